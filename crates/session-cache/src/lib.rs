//! A coherent cache in front of a shared session store: reads without a round trip, and a logout that every node obeys.
//!
//! ```
//! use std::time::Duration;
//!
//! use session_cache::CachedStore;
//! use session_core::store::SessionStore;
//! use session_core::{Policy, SessionManager};
//!
//! fn sessions(store: impl SessionStore) -> SessionManager {
//!     let store = CachedStore::builder(store, Duration::from_secs(5)).build();
//!     SessionManager::new(store, Policy::standard())
//! }
//! ```
//!
//! - **Bounded.** No node gives a session later than `max_stale` after its end, with a feed or without, whatever happens to
//!   servers, networks, clocks, or the process itself. With a feed, what ended elsewhere is known within milliseconds.
//! - **It may only say "alive".** If a copy says anything else (expired, superseded, of another token), the store is asked. So it
//!   is for all that asks for [`Freshness::Latest`](session_core::store::Freshness::Latest): decisions, refresh tokens, what
//!   comes after a conflict.
//! - **No stale fill.** A load that began before a revocation never puts the session back.
//! - **No lost update.** Writes go to the store, which compares versions as always: a change that was based on an old copy is a
//!   conflict, and is repeated on the current state.
//! - **Bounded memory**: [`CachedStoreBuilder::capacity`].
//!
//! A feed that is dead costs speed, never truth. When not to use a cache, and what reads see across nodes, is said in
//! [the manual](session_core::manual::cache).
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `metrics` | `CacheStats::publish`: [what there is to count](session_core::manual::observing#the-cache), for the exporter of the application |

mod builder;
mod cache;
mod clock;
mod follow;
mod machine;
mod stats;
mod store;
#[cfg(test)]
mod tests;

pub use builder::CachedStoreBuilder;
pub use stats::{CacheStats, FeedState};
pub use store::CachedStore;
