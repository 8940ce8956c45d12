//! What a backend implements to be tested: [`Harness`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Serialize, Serializer};
use session_core::Namespace;
use session_core::store::SessionStore;

use crate::adapter::AdapterHarness;
use crate::core_adapter::CoreAdapter;
use crate::outcome::Failure;
use crate::service::{Disruption, Service};

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

    /// Opens the store of the application `namespace`. A store that is of one process has no name, and is a new one.
    /// Namespaces share no sessions.
    ///
    /// A [`shared`](Capabilities::shared) backend may have to open a namespace several times: the handles are nodes of
    /// one service, and see the same sessions. A [`durable`](Capabilities::durable) one may have to open it after all
    /// handles were dropped, and still has the sessions. Any other backend opens each namespace once.
    ///
    /// `namespace` has at most 40 bytes, and belongs to one case of one run. The suite cleans nothing up.
    ///
    /// # Errors
    /// If the backend cannot be reached: the case then fails.
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure>;

    /// Starts servers for one case, which disrupts them. Called only with disruptions that
    /// [`capabilities`](Self::capabilities) names.
    ///
    /// # Errors
    /// If they cannot be started: the case then fails.
    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Err(Failure::new(format!("the harness of {} does not support {disruption:?}", self.backend())))
    }

    /// How long what one handle wrote may stay unknown to requests on another: of a store that keeps copies, in real time. A case
    /// waits so long where it changes nodes. [`Freshness::Latest`](session_core::store::Freshness::Latest) knows no such delay.
    fn staleness(&self) -> Duration {
        Duration::ZERO
    }

    /// The HTTP adapter that whole-request cases send their requests through: core's own steps. A backend has no reason
    /// to name another one.
    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        Arc::new(CoreAdapter)
    }
}

/// What a backend can do. There is no default, so that every harness has to answer for a new capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Sessions outlive the last handle on a namespace.
    pub durable: bool,
    /// Two handles on one namespace see the same sessions.
    pub shared: bool,
    /// The disruptions that [`Harness::launch`] supports. None for a backend without servers.
    pub disruptions: &'static [Disruption],
}

impl Capabilities {
    /// Whether the backend has what a case needs.
    #[must_use]
    pub fn have(self, need: Need) -> bool {
        match need {
            Need::Durable => self.durable,
            Need::Shared => self.shared,
            Need::Disruption(disruption) => self.disruptions.contains(&disruption),
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
    /// One of [`Capabilities::disruptions`].
    Disruption(Disruption),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable | Self::Shared => fmt::Debug::fmt(self, f),
            Self::Disruption(disruption) => fmt::Debug::fmt(disruption, f),
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
