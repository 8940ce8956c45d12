//! What a store shows of its sessions: those of a user, and, for administrators, all of them a page at a time.

use std::fmt;

use crate::error::{StoreError, StoreErrorKind};
use crate::model::id::SessionId;
use crate::model::summary::SessionSummary;

/// What [`SessionStore::list_by_user`](super::SessionStore::list_by_user) found, or a [`Page`] of all; or what
/// [`SessionStore::delete_by_user`](super::SessionStore::delete_by_user) deleted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The live sessions.
    pub sessions: Vec<SessionSummary>,
    /// Records that this version cannot decode, because they are of a newer format or damaged. A list leaves them as they are.
    pub unreadable: Vec<SessionId>,
}

impl Listing {
    /// Adds a session: what became of decoding its record.
    ///
    /// # Errors
    /// `decoded`, if it is another error than [`StoreErrorKind::Corrupt`](crate::StoreErrorKind::Corrupt).
    pub fn add(&mut self, id: SessionId, decoded: Result<SessionSummary, StoreError>) -> Result<(), StoreError> {
        match decoded {
            Ok(summary) => self.sessions.push(summary),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.unreadable.push(id),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The ids of the live sessions, then those of unreadable records.
    #[must_use]
    pub fn ids(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|session| session.id).chain(self.unreadable.iter().copied()).collect()
    }
}

/// What [`SessionStore::list_all`](super::SessionStore::list_all) found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The sessions of this page: about as many as were asked for, perhaps none although others follow.
    pub listing: Listing,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page, and where the next one begins.
    #[must_use]
    pub const fn new(listing: Listing, next: Option<Cursor>) -> Self {
        Self { listing, next }
    }
}

/// Where a page of [`SessionStore::list_all`](super::SessionStore::list_all) begins: text that only its store can read. It
/// may be shown to an administrator, and taken back from one. It contains no secret: an id, or a position in a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Box<str>);

impl Cursor {
    /// What [`as_str`](Self::as_str) returned, or a store made. A store refuses what it did not make.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// For a store that pages in the order of ids: what follows `id`.
    #[must_use]
    pub fn behind(id: &SessionId) -> Self {
        Self::new(id.to_string())
    }

    /// The id that [`behind`](Self::behind) was given.
    ///
    /// # Errors
    /// [`invalid`](Self::invalid).
    pub fn session_id(&self) -> Result<SessionId, StoreError> {
        self.0.parse().map_err(|_| Self::invalid())
    }

    /// The error of a store that did not make the cursor.
    #[must_use]
    pub fn invalid() -> StoreError {
        let detail = "the cursor is not one of this store; begin with the first page, without a cursor";
        StoreError::new(StoreErrorKind::InvalidCursor, detail)
    }

    /// The cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// How many sessions there are: [`SessionStore::count`](super::SessionStore::count).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub sessions: u64,
    /// Whether all were counted. If not, `sessions` is an estimate; the store documents how far it may be off.
    pub is_exact: bool,
}

impl Count {
    /// All were counted.
    #[must_use]
    pub const fn exact(sessions: u64) -> Self {
        Self { sessions, is_exact: true }
    }

    /// A part was counted, or the store's statistics were read.
    #[must_use]
    pub const fn estimated(sessions: u64) -> Self {
        Self { sessions, is_exact: false }
    }
}
