//! What a store tells of its changes: [`Feed`].

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::model::id::SessionId;
use crate::model::record::Version;

/// What a [`Feed`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The session was created or changed. `version` is what it has now, if the feed knows it.
    ///
    /// A touch is no change. An event may be late, come twice, or tell of a change that was not made after all.
    Changed {
        /// Which session.
        id: SessionId,
        /// What it has now; `None` if the feed does not know.
        version: Option<Version>,
    },
    /// The session ended, for good.
    Ended {
        /// Which session.
        id: SessionId,
    },
    /// All that the store did before `asked` (a moment of the caller's monotonic clock) has been told.
    Beat {
        /// When the server was asked.
        asked: Instant,
    },
    /// Something may have been missed: what was read until now may be outdated.
    Lost,
}

/// Tells of the changes that all nodes make to the sessions of a store.
///
/// What is told is for caches: it may be used to forget what was read, not to learn what is true.
#[async_trait]
pub trait Feed: fmt::Debug + Send + 'static {
    /// The next event. Cancel-safe. Never fails: a feed that cannot be followed has no beats, connects again by itself, with pauses,
    /// and says [`Lost`](FeedEvent::Lost) unless it can tell of all that happened meanwhile. Asks for a beat every `beat`.
    async fn next(&mut self, beat: Duration) -> FeedEvent;
}

/// Why changes cannot be followed. `Debug` is `Display`, which says what to do: it is what a `main` prints that returns it.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The store was opened without `publish_changes`: nobody could hear of what it does.
    #[error("the store does not tell others of its changes: open it with `publish_changes`, on every node")]
    NotPublished,
    /// There is no tokio runtime to connect in.
    #[error("changes must be followed from inside a tokio runtime, or by a store that was opened in one")]
    NoRuntime,
    /// The store is configured so that a server cannot tell it anything: how.
    #[error("changes cannot be followed: {0}")]
    Refused(&'static str),
}

impl fmt::Debug for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
