//! Services of their own for single cases, and what happens to their servers.

mod fault;
mod faulty;
mod reference;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::SessionStore;

use crate::outcome::Failure;

pub use fault::ServiceFault;
pub(crate) use faulty::FaultyService;
pub(crate) use reference::ReferenceService;

/// Something that happens to the servers of a store, and that the store has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disturbance {
    /// The servers are killed and started again with their data.
    Restart,
    /// The servers are down, from the beginning of the disturbance to its end.
    Outage,
    /// The servers do not answer, from the beginning of the disturbance to its end; then they go on.
    Freeze,
    /// The next reply on the wire is lost together with its connection, although the request was carried out. May be
    /// begun again and again.
    LostReply,
    /// The servers forget the scripts that they were taught.
    ForgetScripts,
    /// The sessions of the database get a time zone that is not UTC.
    ForeignTimeZone,
    /// Data moves to other servers.
    MoveShards,
    /// Replicas take over, in good order: they have all that was acknowledged before the beginning.
    Failover,
}

impl Disturbance {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Restart,
        Self::Outage,
        Self::Freeze,
        Self::LostReply,
        Self::ForgetScripts,
        Self::ForeignTimeZone,
        Self::MoveShards,
        Self::Failover,
    ];
}

/// The servers of one case, which suffer one [`Disturbance`]. Dropping it ends them.
#[async_trait]
pub trait Service: fmt::Debug + Send + Sync {
    /// Opens a node: a handle with connections of its own on the sessions of `namespace`. Its operations give up within
    /// some three seconds.
    ///
    /// # Errors
    /// If the servers cannot be reached.
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure>;

    /// Begins the disturbance. Of one that has no end of its own, returns when it is over.
    ///
    /// # Errors
    /// If that was not possible.
    async fn begin(&self) -> Result<(), Failure>;

    /// Ends the disturbance, and returns when the servers serve again. The nodes may need a moment more.
    ///
    /// # Errors
    /// If that was not possible.
    async fn end(&self) -> Result<(), Failure>;
}

/// A service with two nodes.
#[derive(Debug)]
pub(crate) struct Disturbed {
    pub(crate) nodes: [Arc<dyn SessionStore>; 2],
    pub(crate) service: Box<dyn Service>,
}
