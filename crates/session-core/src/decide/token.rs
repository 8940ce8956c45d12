//! What a presented token gets of the record that it names: one decision for cookies and refresh tokens. Pure.

use super::loaded::TokenStatus;
use super::verdict::{Expiry, Verdict, verdict};
use crate::clock::Timestamp;
use crate::model::credential::{Grace, TokenCheck};
use crate::model::record::Record;
use crate::model::token::{Kind, PresentedToken};
use crate::policy::rules::Policy;

/// What a presented token gets of the record that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    /// The session.
    Accepted(TokenStatus),
    /// Nothing: it is none of the record's tokens.
    Unknown,
    /// Nothing: the session is past a deadline.
    Expired(Expiry),
    /// Nothing: it lost a race against its successor. No theft.
    SuccessorUsed,
    /// Nothing, and the session ends.
    Reuse,
}

/// Decides by the order of generations, never by that of times; time only closes the grace window. `kind` is what
/// carried the token.
pub(crate) fn judge(
    record: &Record,
    kind: Kind,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
) -> TokenVerdict {
    if record.summary.kind != kind {
        return TokenVerdict::Unknown;
    }
    let check = record.check(token);
    if check == TokenCheck::Unknown {
        return TokenVerdict::Unknown;
    }
    if let Verdict::Expired(expiry) = verdict(&record.summary, policy, now) {
        return TokenVerdict::Expired(expiry);
    }
    let window = match kind {
        Kind::Cookie => policy.renewal().map(|renewal| renewal.grace).unwrap_or_default(),
        Kind::Refresh => policy.refresh_grace(),
    };
    match (check, record.credential.grace(window, now), kind) {
        (TokenCheck::Current, _, _) => TokenVerdict::Accepted(TokenStatus::Current),
        (TokenCheck::Superseded, Grace::Open, _) => TokenVerdict::Accepted(TokenStatus::Superseded),
        (TokenCheck::Superseded, Grace::SuccessorUsed, Kind::Cookie) => TokenVerdict::SuccessorUsed,
        // A refresh token is used by being replaced, which makes its predecessor stale.
        (TokenCheck::Superseded, Grace::SuccessorUsed, Kind::Refresh)
        | (TokenCheck::Superseded, Grace::Closed, _)
        | (TokenCheck::Stale, _, _) => TokenVerdict::Reuse,
        (TokenCheck::Unknown, _, _) => TokenVerdict::Unknown,
    }
}

/// Whether a token that was accepted when its request began still gives access to what is stored now. Not a matter of
/// grace, nor of reuse: `None` only means that the session ended for this request.
pub(crate) fn still_accepted(
    record: &Record,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
) -> Option<TokenStatus> {
    let status = match record.check(token) {
        TokenCheck::Current => TokenStatus::Current,
        TokenCheck::Superseded => TokenStatus::Superseded,
        TokenCheck::Stale | TokenCheck::Unknown => return None,
    };
    (verdict(&record.summary, policy, now) == Verdict::Live).then_some(status)
}
