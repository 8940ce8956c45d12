//! What a backend provides: [`Harness`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use session_core::SessionStore;

use crate::outcome::Failure;
use crate::reference::ReferenceStore;

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
}

/// What a backend can do. There is no default: whoever adds a capability makes every harness answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Sessions outlive the last handle on a namespace.
    pub durable: bool,
    /// Two handles on one namespace see the same sessions.
    pub shared: bool,
}

impl Capabilities {
    /// Whether the backend has what a case needs.
    #[must_use]
    pub fn have(self, need: Need) -> bool {
        match need {
            Need::Durable => self.durable,
            Need::Shared => self.shared,
        }
    }
}

/// A capability that a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Need {
    /// [`Capabilities::durable`].
    Durable,
    /// [`Capabilities::shared`].
    Shared,
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
        Capabilities { durable: true, shared: true }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<ReferenceStore> = Arc::clone(stores.entry(namespace.to_owned()).or_default());
        Ok(store)
    }
}
