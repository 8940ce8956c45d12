//! In-process store for `session-core`: the embedded default.
//!
//! ```
//! use session_core::{Policy, SessionManager};
//! use session_moka::MokaStore;
//!
//! let store = MokaStore::new();
//! let sessions = SessionManager::new(store.clone(), Policy::standard());
//! assert_eq!(store.session_count(), 0);
//! # let _ = sessions;
//! ```
//!
//! For one server process, for development and for tests: sessions end with the process, and no other process sees
//! them.
//!
//! - **Authoritative.** A session stays until it is deleted or its deadline has passed. Nothing is evicted to save
//!   memory: without [`max_sessions`](MokaStoreBuilder::max_sessions) the store grows, with it a session that finds
//!   no room is refused.
//! - **Atomic.** Every operation, including a login that ends another session and evicts a third, is one step under
//!   locks that are held for microseconds. Every future is ready at its first poll.
//! - **Small.** Sessions are kept encoded, each in about 100 bytes more than its encoding. The busiest ones are kept
//!   decoded too, in a `moka` cache of 32 MiB.
//! - **Tidy.** A thread of the store frees sessions some 5 to 15 seconds after their deadline, without any call. It
//!   ends when the last handle is dropped. It never decides whether a session is alive: core does that, at the
//!   deadline.

mod entry;
mod inner;
mod store;
mod stripe;
mod sweep;

use std::fmt;
use std::sync::Arc;

use crate::inner::Inner;

/// Keeps sessions in the memory of this process. Cheap to clone; all clones are one store.
///
/// `Debug` shows how many sessions there are, nothing of them.
#[derive(Clone)]
pub struct MokaStore {
    inner: Arc<Inner>,
}

/// Sets up a [`MokaStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MokaStoreBuilder {
    max_sessions: usize,
}

impl MokaStore {
    /// An empty store without a quota.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder, for a store with a quota.
    pub fn builder() -> MokaStoreBuilder {
        MokaStoreBuilder { max_sessions: usize::MAX }
    }

    /// How many sessions are stored, including expired ones that were not freed yet.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.inner.count()
    }
}

impl Default for MokaStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MokaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MokaStore").field("session_count", &self.session_count()).finish_non_exhaustive()
    }
}

impl MokaStoreBuilder {
    /// The quota: how many sessions may be stored. Without it, as many as there is memory for.
    ///
    /// A session that would exceed it is refused with [`Full`](session_core::StoreErrorKind::Full), unless it replaces
    /// another or an expired one can be freed. No live session is dropped to make room.
    pub fn max_sessions(mut self, max: usize) -> Self {
        self.max_sessions = max;
        self
    }

    /// The store, empty.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn build(self) -> MokaStore {
        MokaStore { inner: Inner::start(self.max_sessions) }
    }
}
