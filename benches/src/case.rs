//! What there is to measure: operation × backend × concurrency.

use std::sync::Arc;

use session_core::SessionManager;

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
}

impl Operation {
    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store(kind) => kind.name(),
            Self::Request(kind) => kind.name(),
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
        for operation in store.into_iter().chain(request) {
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
        let floor_store = self.backend.floor(addresses).await?;
        let store = self.backend.store(addresses).await?;
        Ok(match self.operation {
            Operation::Store(kind) => [boxed(FloorOp { store: floor_store, kind }), boxed(StoreOp::new(store, kind)?)],
            Operation::Request(kind) => {
                let bare = if kind.is_bare() { floor::bare() } else { floor::site(floor_store)? };
                let floor = boxed(RequestOp::floor(bare, kind));
                let manager = SessionManager::builder(store).policy(policy()?).build();
                if kind.uses_tokens() {
                    [floor, boxed(RequestOp::new(tokens(manager)?, kind))]
                } else {
                    [floor, boxed(RequestOp::new(site(manager), kind))]
                }
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
