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
//! For a single server process, for development and for tests: sessions end with the process, and no other process sees
//! them.
//!
//! - **Authoritative.** A session stays until it is deleted or its deadline has passed. Nothing is evicted to save
//!   memory: without [`max_sessions`](MokaStoreBuilder::max_sessions) the store grows, with it a session that exceeds the
//!   quota is refused. The exception are anonymous sessions, which anyone can have: of those there are never more than the
//!   policy's [`max_visitors`](session_core::PolicyBuilder::max_visitors), and in a full store one of them ends for each
//!   session that begins.
//! - **Of one application.** It has no [`Namespace`](session_core::Namespace), because nobody else can reach it: managers
//!   share sessions if they were given clones of one store. Two applications in one process have a store each.
//! - **Atomic.** Every operation, including a login that ends another session and evicts a third, is one step under
//!   locks that are held for microseconds. Every future is ready at its first poll.
//! - **Small.** Sessions are kept encoded, each in about 100 bytes more than its encoding. The busiest ones are also
//!   kept decoded, in a `moka` cache of 32 MiB.
//! - **Tidy.** A thread of the store frees sessions some 5 to 15 seconds after their deadline, without any call. It
//!   ends when the last handle is dropped. It never decides whether a session is alive: core does that, at the
//!   deadline.

mod cache;
mod entry;
mod expiry;
mod store;
mod stripe;
mod table;
mod visitors;

pub use self::store::{MokaStore, MokaStoreBuilder};
