//! What a backend provides: [`Harness`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Serialize, Serializer};
use session_core::store::SessionStore;

use crate::adapter::AdapterHarness;
use crate::core_adapter::CoreAdapter;
use crate::outcome::Failure;
use crate::reference::ReferenceStore;
use crate::service::{Disturbance, ReferenceService, Service};

/// Opens stores of one backend for the suite.
#[async_trait]
pub trait Harness: fmt::Debug + Send + Sync + 'static {
    /// The name of the backend in reports: `moka`, `redis`, `postgres`.
    fn backend(&self) -> &'static str;

    /// What the backend can do. A case that needs more is reported as `n/a`.
    fn capabilities(&self) -> Capabilities;

    /// Cases the backend is known to fail, each with a reason. A waived case that passes fails the run.
    fn waivers(&self) -> &'static [Waiver] {
        &[]
    }

    /// Opens the store in `namespace`: a key prefix, a schema, a new cache. No two namespaces see each other's
    /// sessions.
    ///
    /// A [`shared`](Capabilities::shared) backend is asked for one namespace several times: the handles are nodes of
    /// one service, and see the same sessions. A [`durable`](Capabilities::durable) one is asked again after all
    /// handles were dropped, and has the sessions still. Of any other, each namespace is asked for once.
    ///
    /// `namespace` matches `[a-z][a-z0-9_]{0,39}`, and is used for one case of one run only. The suite removes nothing.
    ///
    /// # Errors
    /// If the backend cannot be reached: the case then fails. Unreachable is never green.
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure>;

    /// Starts servers that no other case uses, for one that suffers `disturbance`: one of those that
    /// [`capabilities`](Self::capabilities) names. Without any, this is never asked for.
    ///
    /// # Errors
    /// If they cannot be started: the case then fails.
    async fn launch(&self, disturbance: Disturbance) -> Result<Box<dyn Service>, Failure> {
        Err(Failure::new(format!("the harness of {} cannot bring about {disturbance:?}", self.backend())))
    }

    /// The HTTP adapter that whole-request cases send their requests through: core's own steps. A backend has no reason
    /// to name another one.
    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        Arc::new(CoreAdapter)
    }
}

/// What a backend can do. There is no default: whoever adds a capability makes every harness answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Sessions outlive the last handle on a namespace.
    pub durable: bool,
    /// Two handles on one namespace see the same sessions.
    pub shared: bool,
    /// What [`Harness::launch`] can do to its servers. None, for a backend without a server.
    pub disturbances: &'static [Disturbance],
}

impl Capabilities {
    /// Whether the backend has what a case needs.
    #[must_use]
    pub fn have(self, need: Need) -> bool {
        match need {
            Need::Durable => self.durable,
            Need::Shared => self.shared,
            Need::Disturbance(disturbance) => self.disturbances.contains(&disturbance),
        }
    }
}

/// A capability that a case needs. As text, and in JSON, by its name: `Durable`, `Restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// [`Capabilities::durable`].
    Durable,
    /// [`Capabilities::shared`].
    Shared,
    /// One of [`Capabilities::disturbances`].
    Disturbance(Disturbance),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable | Self::Shared => fmt::Debug::fmt(self, f),
            Self::Disturbance(disturbance) => fmt::Debug::fmt(disturbance, f),
        }
    }
}

impl Serialize for Need {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A case that a backend is known to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The id of the case.
    pub case: &'static str,
    /// Why that is accepted.
    pub reason: &'static str,
}

/// The harness of [`ReferenceStore`], which the suite itself is tested with.
///
/// It remembers the store of each namespace, so it is shared, and durable as long as the harness lives.
#[derive(Debug, Default)]
pub struct ReferenceHarness {
    stores: Mutex<HashMap<String, Arc<ReferenceStore>>>,
}

#[async_trait]
impl Harness for ReferenceHarness {
    fn backend(&self) -> &'static str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true, disturbances: Disturbance::ALL }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<ReferenceStore> = Arc::clone(stores.entry(namespace.to_owned()).or_default());
        Ok(store)
    }

    async fn launch(&self, disturbance: Disturbance) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(ReferenceService::new(disturbance)))
    }
}
