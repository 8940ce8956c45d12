//! [`Feed`]: what tells a cache in one process of what others do.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::model::id::SessionId;
use crate::model::record::Version;

/// What a feed tells, in the order in which the server did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The session was created or changed. Touches need not be told.
    Changed {
        /// Its id.
        id: SessionId,
        /// What it has now, if the feed knows it: a copy of that version is up to date.
        version: Option<Version>,
    },
    /// The session ended, for good.
    Ended {
        /// Its id.
        id: SessionId,
    },
    /// All that the store did before `asked` has been told.
    Beat {
        /// A moment of the caller's monotonic clock.
        asked: Instant,
    },
    /// Something may have been missed: the connection was lost, the server changed, a buffer overflowed. Everything after it is
    /// told again from here on.
    Lost,
}

/// Tells what happens to the sessions of a store, wherever it was done.
#[async_trait]
pub trait Feed: fmt::Debug + Send + 'static {
    /// The next event. Cancel-safe. Never fails: a feed that cannot be followed says [`FeedEvent::Lost`] (once) and reconnects
    /// by itself, with pauses, for as long as it is polled; it asks for a beat every `beat` while it is connected.
    async fn next(&mut self, beat: Duration) -> FeedEvent;
}
