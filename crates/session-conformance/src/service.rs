//! Servers that a case has to itself, and what happens to them: [`Service`], [`Disruption`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::Namespace;
use session_core::store::SessionStore;

use crate::outcome::Failure;

/// Something that happens to the servers of a store, and must not break its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disruption {
    /// The servers are killed and restarted with their data.
    Restart,
    /// The servers are down from the beginning of the disruption to its end.
    Outage,
    /// The servers do not answer from the beginning of the disruption to its end; then they resume.
    Freeze,
    /// The next reply is lost together with its connection, although the request was executed. May begin again and
    /// again.
    LostReply,
    /// The servers lose their script caches.
    ForgetScripts,
    /// The connections to the database get a time zone other than UTC.
    ForeignTimeZone,
    /// Data moves to other servers.
    MoveShards,
    /// Replicas take over. They have all that was acknowledged before the disruption.
    Failover,
}

impl Disruption {
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

/// The servers of one case, for one [`Disruption`]. Dropping it stops them.
#[async_trait]
pub trait Service: fmt::Debug + Send + Sync {
    /// Opens a node: a handle with its own connections on the sessions of `namespace`. Its operations time out after
    /// about three seconds.
    ///
    /// # Errors
    /// If the servers cannot be reached.
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure>;

    /// Begins the disruption. Returns when it is over if it ends by itself.
    ///
    /// # Errors
    /// If that was not possible.
    async fn begin(&self) -> Result<(), Failure>;

    /// Ends the disruption, and returns when the servers answer again. The nodes may need a moment longer.
    ///
    /// # Errors
    /// If that was not possible.
    async fn end(&self) -> Result<(), Failure>;
}

/// A service and two nodes of it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: [Arc<dyn SessionStore>; 2],
    pub(crate) service: Box<dyn Service>,
}
