//! What there is to measure: operation × backend × concurrency.

use session_core::SessionManager;

use crate::floor::{self, FloorOp};
use crate::op::{Failure, Measured, Subject};
use crate::request::{RequestOp, RequestOpKind, site, tokens};
use crate::servers::{Addresses, Backend};
use crate::store::{StoreOp, StoreOpKind, policy};

/// One operation, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is done.
    pub what: What,
    /// Where sessions are kept.
    pub backend: Backend,
    /// How many workers do it at once.
    pub concurrency: usize,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An operation of a store.
    Store(StoreOpKind),
    /// A whole request.
    Request(RequestOpKind),
}

impl What {
    /// As the report calls it.
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
        let store = StoreOpKind::ALL.map(What::Store);
        let request = RequestOpKind::ALL.map(What::Request);
        let mut cases = Vec::new();
        for what in store.into_iter().chain(request) {
            for backend in Backend::ALL {
                for concurrency in [1, 64] {
                    let case = Self { what, backend, concurrency };
                    if case.makes_sense() {
                        cases.push(case);
                    }
                }
            }
        }
        cases
    }

    fn makes_sense(&self) -> bool {
        match self.what {
            // It has no index.
            What::Store(StoreOpKind::List) => self.backend != Backend::Noop,
            What::Request(RequestOpKind::Contention) => self.concurrency > 1,
            // Neither asks a store.
            What::Request(RequestOpKind::AccessToken) => self.backend == Backend::Noop,
            What::Store(_) | What::Request(_) => true,
        }
    }

    /// `op/scenario/backend`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.what.name(), self.concurrency, self.backend.name())
    }

    /// The floor, then what is measured, each on an empty store.
    ///
    /// # Errors
    /// If a server cannot be reached.
    pub async fn open(&self, addresses: &Addresses) -> Result<[Box<dyn Subject>; 2], Failure> {
        let keep = self.backend.floor(addresses).await?;
        let store = self.backend.store(addresses).await?;
        Ok(match self.what {
            What::Store(kind) => {
                [Box::new(Measured::new(FloorOp { keep, kind })), Box::new(Measured::new(StoreOp::new(store, kind)?))]
            }
            What::Request(kind) => {
                let bare = if kind.is_bare() { floor::bare() } else { floor::site(keep)? };
                let floor = Box::new(Measured::new(RequestOp::floor(bare, kind)));
                let manager = SessionManager::builder(store).policy(policy()?).build();
                if kind.is_of_tokens() {
                    [floor, Box::new(Measured::new(RequestOp::new(tokens(manager)?, kind)))]
                } else {
                    [floor, Box::new(Measured::new(RequestOp::new(site(manager), kind)))]
                }
            }
        })
    }
}
