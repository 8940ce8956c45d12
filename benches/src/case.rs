//! What there is to measure: operation × backend × concurrency.

use std::sync::Arc;

use session_core::SessionManager;
use session_core::store::SessionStore;

use crate::backend::Backend;
use crate::floor::{self, FloorOp};
use crate::op::{Benchmark, Failure};
use crate::request::{RequestOp, RequestOpKind, site, tokens};
use crate::servers::Addresses;
use crate::store::{StoreOp, StoreOpKind, policy};

/// One operation on one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is measured.
    pub operation: Operation,
    /// Where sessions are stored.
    pub backend: Backend,
    /// How many workers run the operation at once.
    pub concurrency: usize,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An operation of a store.
    Store(StoreOpKind),
    /// A whole request.
    Request(RequestOpKind),
    /// With a cache in front of the backend.
    Cached(CachedOpKind),
}

/// What is measured with a cache that follows the feed of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedOpKind {
    /// Loads a session of which there is a copy. Its floor is `session-moka`.
    Load,
    /// Replaces the values. Its floor is the same store without a cache, which publishes as well: what that costs is the price of a
    /// cache in any node, and `--followers` shows it.
    Update,
    /// A request that reads a value. Its floor is the same on `session-moka`.
    Read,
    /// One that changes a value. Its floor is the same without a cache, as that of an update.
    Write,
}

impl CachedOpKind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Load, Self::Update, Self::Read, Self::Write];

    fn name(self) -> &'static str {
        match self {
            Self::Load => "cached-load",
            Self::Update => "cached-update",
            Self::Read => "cached-request-read",
            Self::Write => "cached-request-write",
        }
    }

    /// The store that it is compared with.
    async fn floor(self, backend: Backend, addresses: &Addresses) -> Result<Arc<dyn SessionStore>, Failure> {
        match self {
            Self::Load | Self::Read => Backend::Moka.store(addresses).await,
            Self::Update | Self::Write => backend.publishing(addresses).await,
        }
    }

    fn on(self, store: Arc<dyn SessionStore>) -> Result<Box<dyn Benchmark>, Failure> {
        let request = |store, kind| {
            let manager = SessionManager::builder(store).policy(policy()?).build();
            Ok(boxed(RequestOp::new(site(manager), kind)))
        };
        match self {
            Self::Load => Ok(boxed(StoreOp::new(store, StoreOpKind::Load)?)),
            Self::Update => Ok(boxed(StoreOp::new(store, StoreOpKind::Update)?)),
            Self::Read => request(store, RequestOpKind::Read),
            Self::Write => request(store, RequestOpKind::Write),
        }
    }
}

impl Operation {
    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store(kind) => kind.name(),
            Self::Request(kind) => kind.name(),
            Self::Cached(kind) => kind.name(),
        }
    }

    /// Whether it calls a store, and does not send a request.
    #[must_use]
    pub fn is_of_store(self) -> bool {
        match self {
            Self::Store(_) | Self::Cached(CachedOpKind::Load | CachedOpKind::Update) => true,
            Self::Request(_) | Self::Cached(CachedOpKind::Read | CachedOpKind::Write) => false,
        }
    }
}

impl Case {
    /// All cases, those of stores first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let store = StoreOpKind::ALL.map(Operation::Store);
        let request = RequestOpKind::ALL.map(Operation::Request);
        let mut cases = Vec::new();
        let cached = CachedOpKind::ALL.map(Operation::Cached);
        for operation in store.into_iter().chain(request).chain(cached) {
            for backend in Backend::ALL {
                cases.extend([1, 64].map(|concurrency| Self { operation, backend, concurrency }));
            }
        }
        cases.retain(Self::is_meaningful);
        cases
    }

    fn is_meaningful(&self) -> bool {
        match self.operation {
            // It has no index.
            Operation::Store(StoreOpKind::List) => self.backend != Backend::Noop,
            Operation::Request(RequestOpKind::Contention) => self.concurrency > 1,
            // Verifying an access token makes no store call, whatever the backend.
            Operation::Request(RequestOpKind::AccessToken) => self.backend == Backend::Noop,
            // The others are in this process already.
            Operation::Cached(_) => matches!(self.backend, Backend::Redis | Backend::Postgres),
            Operation::Store(_) | Operation::Request(_) => true,
        }
    }

    /// `op/concurrency/backend`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.operation.name(), self.concurrency, self.backend.name())
    }

    /// The floor, then the operation itself, each on an empty store.
    ///
    /// # Errors
    /// If a server cannot be reached.
    pub async fn open(&self, addresses: &Addresses) -> Result<[Box<dyn Benchmark>; 2], Failure> {
        Ok(match self.operation {
            Operation::Store(kind) => {
                let floor = boxed(FloorOp { store: self.backend.floor(addresses).await?, kind });
                [floor, boxed(StoreOp::new(self.backend.store(addresses).await?, kind)?)]
            }
            Operation::Request(kind) => {
                let floor_store = self.backend.floor(addresses).await?;
                let bare = if kind.is_bare() { floor::bare() } else { floor::site(floor_store)? };
                let floor = boxed(RequestOp::floor(bare, kind));
                let store = self.backend.store(addresses).await?;
                let manager = SessionManager::builder(store).policy(policy()?).build();
                if kind.uses_tokens() {
                    [floor, boxed(RequestOp::new(tokens(manager)?, kind))]
                } else {
                    [floor, boxed(RequestOp::new(site(manager), kind))]
                }
            }
            Operation::Cached(kind) => {
                let floor = kind.on(kind.floor(self.backend, addresses).await?)?;
                [floor, kind.on(self.backend.cached(addresses).await?)?]
            }
        })
    }
}

fn boxed<O>(op: O) -> Box<dyn Benchmark>
where
    Arc<O>: Benchmark + 'static,
{
    Box::new(Arc::new(op))
}
