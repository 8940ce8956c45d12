//! What a case works with: [`Env`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use session_core::store::SessionStore;
use session_core::{Clock, Entropy, ManualClock, OsEntropy, Timestamp, UserId};

use crate::adapter::AdapterHarness;
use crate::build::RecordBuilder;
use crate::fault::{Fault, StoreFault};
use crate::faulty::{Faulty, Shared};
use crate::harness::Harness;
use crate::outcome::Failure;
use crate::service::{Disturbance, Disturbed, FaultyService};

/// 2100-01-01T00:00:00.123Z, where the clock of every case starts.
///
/// Decades away from any clock of a backend, so that a backend that asks its own clock is found out; in the future, so
/// that a physical time to live set from a deadline does not fire during a case; not on a full second, so that cut
/// milliseconds show.
const START: Timestamp = Timestamp::from_millis(4_102_444_800_123);

/// The surroundings of one run of one case: a namespace of its own, a clock that stands still, and builders.
#[derive(Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    harness: Arc<dyn Harness>,
    namespace: String,
    clock: ManualClock,
    fault: Option<Fault>,
    store: tokio::sync::Mutex<Option<Arc<dyn SessionStore>>>,
    opened: AtomicU32,
    /// What faulty stores remember, by namespace.
    faulty: Mutex<HashMap<String, Arc<Shared>>>,
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
            faulty: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The clock of this case. It stands still until the case moves it.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.inner.clock
    }

    /// What [`clock`](Self::clock) shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The fault that is seeded in this run, if any.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.inner.fault
    }

    /// Whether `fault` is the one that is seeded.
    #[must_use]
    pub fn has(&self, fault: impl Into<Fault>) -> bool {
        self.inner.fault == Some(fault.into())
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
        let turn = self.inner.opened.fetch_add(1, Ordering::SeqCst);
        if turn > 0 && self.has(StoreFault::OpenStartsEmpty) {
            return self.open(&format!("{}_{turn}", self.inner.namespace)).await;
        }
        self.open(&self.inner.namespace).await
    }

    /// Whether there may be a second handle: [`open_node`](Self::open_node) for a case that uses one if it can.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.harness.capabilities().shared
    }

    /// Gives up the handle of [`store`](Self::store), as a process that ends does. The next use opens a new one. The
    /// case must need [`Durable`](crate::Need::Durable).
    pub async fn close(&self) {
        *self.inner.store.lock().await = None;
    }

    /// A store in a namespace of its own that this case has beside the one under test: another tenant.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn other_tenant(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        if self.has(StoreFault::TenantsShare) {
            return self.store().await;
        }
        self.open(&format!("{}_x", self.inner.namespace)).await
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let store = self.inner.harness.open(namespace).await?;
        Ok(match self.inner.fault {
            Some(Fault::Store(fault)) => {
                let mut faulty = self.inner.faulty.lock().unwrap_or_else(PoisonError::into_inner);
                let shared = faulty.entry(namespace.to_owned()).or_default();
                Arc::new(Faulty::new(store, fault, Arc::clone(shared)))
            }
            Some(Fault::Service(_)) | None => store,
        })
    }

    /// A service that this case has for itself, with two nodes on it. The case must need
    /// [`Disturbance`](crate::Need::Disturbance) of the same kind.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) async fn launch(&self, disturbance: Disturbance) -> Result<Disturbed, Failure> {
        let service = self.inner.harness.launch(disturbance).await?;
        let service = match self.inner.fault {
            Some(Fault::Service(fault)) => Box::new(FaultyService::new(service, fault, disturbance)),
            Some(Fault::Store(_)) | None => service,
        };
        let open = || service.open(&self.inner.namespace);
        Ok(Disturbed { nodes: [open().await?, open().await?], service })
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

    /// A record that begins now: anonymous, 30 minutes idle, 8 hours absolute, without values, unless told otherwise.
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

/// A name nobody used before, of `[a-z0-9_]` and at most 36 characters, that tells the case to whoever looks into the
/// store.
fn namespace(case: &str) -> Result<String, Failure> {
    let mut random = [0; 8];
    OsEntropy.fill(&mut random)?;
    let slug: String = case.chars().take(16).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Ok(format!("c_{slug}_{:016x}", u64::from_be_bytes(random)))
}
