//! The surroundings of a case: [`Env`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use session_core::store::SessionStore;
use session_core::{Clock, Entropy, ManualClock, Namespace, OsEntropy, Timestamp, UserId};

use crate::adapter::AdapterHarness;
use crate::faults::{BrokenService, BrokenStore, Fault, Shared};
use crate::harness::Harness;
use crate::outcome::Failure;
use crate::record::RecordBuilder;
use crate::service::{Cluster, Disruption};

/// 2100-01-01T00:00:00.123Z, where the clock of every case starts.
///
/// Decades away from real time, which exposes a backend that reads its own clock; in the future, so that no server-side
/// time to live fires during a case; not on a full second, which exposes truncated milliseconds.
const START: Timestamp = Timestamp::from_millis(4_102_444_800_123);

/// One run of one case: its own namespace, a manual clock, and builders.
#[derive(Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    harness: Arc<dyn Harness>,
    namespace: Namespace,
    clock: ManualClock,
    fault: Option<Fault>,
    store: tokio::sync::Mutex<Option<Arc<dyn SessionStore>>>,
    opened: AtomicU32,
    /// What the handles on a broken store share, by namespace.
    broken: Mutex<HashMap<Namespace, Arc<Shared>>>,
}

impl Env {
    pub(crate) fn new(harness: Arc<dyn Harness>, case: &str, fault: Option<Fault>) -> Result<Self, Failure> {
        let inner = Inner {
            harness,
            namespace: namespace(case)?,
            clock: ManualClock::new(START),
            fault,
            store: tokio::sync::Mutex::new(None),
            opened: AtomicU32::new(0),
            broken: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The clock of this case. Only the case moves it.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.inner.clock
    }

    /// The time of [`clock`](Self::clock).
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The fault of this run, if one is seeded.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.inner.fault
    }

    /// The store under test: the same handle each time.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn store(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut store = self.inner.store.lock().await;
        if let Some(store) = &*store {
            return Ok(Arc::clone(store));
        }
        let opened = self.open_node().await?;
        *store = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Another handle on the same sessions, as another node has it. The case must need
    /// [`Shared`](crate::Need::Shared).
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn open_node(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        let number = self.inner.opened.fetch_add(1, Ordering::SeqCst);
        if number > 0 && self.inner.fault == Some(Fault::OpenStartsEmpty) {
            return self.open(&self.beside(&number.to_string())?).await;
        }
        self.open(&self.inner.namespace).await
    }

    /// Waits until what was done on one node is known on the others, as far as that takes time.
    pub async fn settle(&self) {
        let staleness = self.staleness();
        if staleness > Duration::ZERO {
            // A copy as old as that is still good.
            tokio::time::sleep(staleness + Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn staleness(&self) -> Duration {
        self.inner.harness.staleness()
    }

    /// Whether the backend supports [`open_node`](Self::open_node).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.harness.capabilities().shared
    }

    /// Drops the handle of [`store`](Self::store), like a process that exits. The next use opens a new one. The case must
    /// need [`Durable`](crate::Need::Durable).
    pub async fn close(&self) {
        *self.inner.store.lock().await = None;
    }

    /// Another tenant: a store in a second namespace of this case.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn other_tenant(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        if self.inner.fault == Some(Fault::TenantsShare) {
            return self.store().await;
        }
        self.open(&self.beside("x")?).await
    }

    /// Another namespace of this case.
    fn beside(&self, name: &str) -> Result<Namespace, Failure> {
        Ok(Namespace::new(&format!("{}_{name}", self.inner.namespace))?)
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let Some(fault) = self.inner.fault.filter(|fault| fault.disruption().is_none()) else {
            return self.inner.harness.open(namespace).await;
        };
        let mut broken = self.inner.broken.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = broken.entry(namespace.clone()).or_default();
        Ok(Arc::new(BrokenStore::new(fault, Arc::clone(shared))))
    }

    /// Servers of this case alone, and two nodes. The case must [need](crate::Need::Disruption) the disruption.
    ///
    /// # Errors
    /// If they cannot be started.
    pub(crate) async fn launch(&self, disruption: Disruption) -> Result<Cluster, Failure> {
        let fault = self.inner.fault.filter(|fault| fault.disruption() == Some(disruption));
        let service = match fault {
            Some(fault) => Box::new(BrokenService::new(fault, disruption)),
            None => self.inner.harness.launch(disruption).await?,
        };
        let open = || service.open(&self.inner.namespace);
        Ok(Cluster { nodes: [open().await?, open().await?], service })
    }

    /// The HTTP adapter that requests are sent through.
    pub(crate) fn adapter(&self) -> Arc<dyn AdapterHarness> {
        self.inner.harness.adapter()
    }

    /// A user.
    ///
    /// # Errors
    /// If `name` cannot name a user.
    pub fn user(&self, name: &str) -> Result<UserId, Failure> {
        Ok(UserId::new(name)?)
    }

    /// A record of an anonymous session that begins now, with timeouts of 30 minutes and 8 hours, unless changed.
    #[must_use]
    pub fn record(&self) -> RecordBuilder {
        RecordBuilder::new(self.now())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("harness", &self.inner.harness)
            .field("namespace", &self.inner.namespace)
            .field("fault", &self.inner.fault)
            .finish_non_exhaustive()
    }
}

/// A unique name of `[a-z0-9_]` and at most 36 characters. It starts with that of the case, for a look into the store.
fn namespace(case: &str) -> Result<Namespace, Failure> {
    let mut random = [0; 8];
    OsEntropy.fill(&mut random)?;
    let slug: String = case.chars().take(16).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Ok(Namespace::new(&format!("c_{slug}_{:016x}", u64::from_be_bytes(random)))?)
}
