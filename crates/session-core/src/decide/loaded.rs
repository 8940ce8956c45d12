//! What a commit starts from: [`LoadedSession`].

use crate::event::Termination;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::token::PresentedToken;

/// A stored session as it was when it was read, and what gave access to it.
pub(crate) struct LoadedSession {
    pub(crate) record: Record,
    pub(crate) proof: Proof,
}

/// What gave access to a session.
pub(crate) enum Proof {
    /// A token that the record knows.
    Token(PresentedToken, TokenStatus),
    /// The seal around the session itself, which its client keeps.
    Seal,
}

/// What the presented token is to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenStatus {
    Current,
    /// In the grace window after a renewal: may read and write, but not log in or regenerate.
    Superseded,
}

/// Whether a request counts as activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Active,
    Passive,
}

/// The session that a new one replaces, in the terms of a store.
pub(crate) struct Replaced {
    pub(crate) id: SessionId,
    pub(crate) user: Option<UserId>,
    pub(crate) version: Version,
    /// Why it ends.
    pub(crate) reason: Termination,
}

impl LoadedSession {
    /// `record`, whose current token is `token`.
    pub(crate) fn current(record: Record, token: PresentedToken) -> Self {
        Self { record, proof: Proof::Token(token, TokenStatus::Current) }
    }

    /// Another state of the same session, with the same proof.
    pub(crate) fn with_record(&self, record: Record) -> Self {
        Self { record, proof: self.proof.copy() }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        matches!(self.proof, Proof::Token(_, TokenStatus::Superseded))
    }

    pub(crate) fn replaced(&self, reason: Termination) -> Replaced {
        let record = &self.record;
        Replaced { id: record.id(), user: record.user().cloned(), version: record.version, reason }
    }
}

impl Proof {
    /// Not `Clone`: copies of a secret are made on purpose only.
    fn copy(&self) -> Self {
        match self {
            Self::Token(token, status) => Self::Token(token.copy(), *status),
            Self::Seal => Self::Seal,
        }
    }
}
