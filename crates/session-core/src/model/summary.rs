//! What a session is, beside its credential and its data: [`SessionSummary`], and the parts it is made of.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use super::id::{SessionId, UserId};
use super::token::Kind;
use crate::clock::Timestamp;

/// What identifies and describes a session: everything that a list of sessions shows, and all that decides whether it is
/// alive. Neither its credential nor its data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The public handle, and the primary key of stores.
    pub id: SessionId,
    /// What carries the token. A token of one kind is never accepted as another.
    pub kind: Kind,
    /// When the session began. A login begins a new session.
    pub created_at: Timestamp,
    /// Last recorded activity. Only ever moves forward; lags behind by up to the policy's touch interval.
    pub last_seen: Timestamp,
    /// Its two timeouts. In a record, those it was created with; in what [`SessionManager`](crate::SessionManager)
    /// returns, tightened by the policy.
    pub timeouts: Timeouts,
    /// Whether the client keeps the cookie when the browser closes.
    pub persistence: Persistence,
    /// Who is logged in and how; `None` for an anonymous session. The user of an id never changes.
    pub authentication: Option<Authentication>,
    /// Where the session was opened, for "your devices".
    pub device: Device,
    /// Whether the session is bound to a key of its client ([`Login::bound_to`](crate::Login::bound_to), or a protocol like
    /// DBSC): a copy of its token is worth nothing elsewhere.
    pub is_bound: bool,
}

impl SessionSummary {
    /// An anonymous session that begins at `now`: transient, from an unknown device.
    #[must_use]
    pub fn new(id: SessionId, kind: Kind, now: Timestamp, timeouts: Timeouts) -> Self {
        Self {
            id,
            kind,
            created_at: now,
            last_seen: now,
            timeouts,
            persistence: Persistence::Transient,
            authentication: None,
            device: Device::new(),
            is_bound: false,
        }
    }

    /// The user this session belongs to; `None` for an anonymous one.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.authentication.as_ref().map(|authentication| &authentication.user)
    }

    /// The moment from which the session is dead in any case.
    #[must_use]
    pub fn absolute_deadline(&self) -> Timestamp {
        self.created_at + self.timeouts.absolute
    }

    /// The moment from which the session is dead unless it is used before: the earlier of the idle and the absolute
    /// deadline.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.timeouts.deadline(self.created_at, self.last_seen)
    }

    /// Whether the session is past its deadline. At the deadline itself it is.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.deadline()
    }
}

/// The two timeouts of a session. Both are always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a session lives without activity.
    pub idle: Duration,
    /// How long it lives whatever the activity, counted from its beginning.
    pub absolute: Duration,
}

impl Timeouts {
    /// The longest timeout, almost 35 years: stores keep a longer one as this.
    pub const MAX: Duration = Duration::from_millis((1 << 40) - 1);

    /// No session reaches them.
    pub(crate) const UNLIMITED: Self = Self { idle: Self::MAX, absolute: Self::MAX };

    /// The shorter of each timeout.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { idle: self.idle.min(other.idle), absolute: self.absolute.min(other.absolute) }
    }

    /// The moment from which a session with these timeouts is dead: the one rule of when a session is alive.
    #[must_use]
    pub fn deadline(self, created_at: Timestamp, last_seen: Timestamp) -> Timestamp {
        (last_seen + self.idle).min(created_at + self.absolute)
    }
}

/// Whether the client keeps the cookie when the browser closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Until the browser closes.
    Transient,
    /// Until the absolute deadline: "remember me".
    Persistent,
}

/// Who is logged in, and what has proved it: for each assurance level, the last time that it was reached.
///
/// ```
/// use session_core::{Assurance, Authentication, Proof, Timestamp, UserId};
///
/// let (login, later) = (Timestamp::from_millis(0), Timestamp::from_millis(3_600_000));
/// let mut alice = Authentication::new(UserId::new("alice")?, Proof::new(Assurance::Aal2, login).method("pwd").method("otp"));
/// alice.prove(Proof::new(Assurance::Aal1, later).method("pwd"));
///
/// assert_eq!(alice.strongest().at, login);
/// assert_eq!(alice.proof(Assurance::Aal1).map(|proof| proof.at), Some(later));
/// # Ok::<_, session_core::UserIdError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Authentication {
    /// Who logged in.
    pub user: UserId,
    strongest: Proof,
    /// Each at a lower level than the one before it, and later: what a stronger proof covers is not kept.
    weaker: Vec<Proof>,
}

impl Authentication {
    /// `user`, as `proof` has shown.
    #[must_use]
    pub fn new(user: UserId, proof: Proof) -> Self {
        Self { user, strongest: proof, weaker: Vec::new() }
    }

    /// Adds a proof. It renews its own level and those below, and none above.
    pub fn prove(&mut self, proof: Proof) {
        let covers = |other: &Proof| other.at > proof.at || other.at == proof.at && other.level > proof.level;
        if self.proof(proof.level).is_some_and(covers) {
            return;
        }
        self.weaker.retain(|weaker| weaker.level > proof.level || weaker.at > proof.at);
        if proof.level >= self.strongest.level {
            let before = mem::replace(&mut self.strongest, proof);
            // A stronger proof that arrives late: what came after it still counts, below it.
            if before.level < self.strongest.level && before.at > self.strongest.at {
                self.weaker.insert(0, before);
            }
        } else {
            let place = self.weaker.partition_point(|weaker| weaker.level > proof.level);
            self.weaker.insert(place, proof);
        }
    }

    /// The last proof of the highest level that was reached: what `acr`, `amr` and `auth_time` of a token come from.
    #[must_use]
    pub fn strongest(&self) -> &Proof {
        &self.strongest
    }

    /// The last proof, of whatever level.
    #[must_use]
    pub fn latest(&self) -> &Proof {
        self.weaker.last().unwrap_or(&self.strongest)
    }

    /// The last proof that reached `level`, or more.
    #[must_use]
    pub fn proof(&self, level: Assurance) -> Option<&Proof> {
        self.proofs().filter(|proof| proof.level >= level).last()
    }

    /// Every proof that counts for some level, from the strongest, which is the earliest, to the latest: at most one per
    /// level.
    pub fn proofs(&self) -> impl Iterator<Item = &Proof> {
        std::iter::once(&self.strongest).chain(&self.weaker)
    }
}

/// The user proved who they are: when, how, how strongly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The authenticator assurance level reached.
    pub level: Assurance,
    /// When.
    pub at: Timestamp,
    /// Methods used, as in the `amr` claim of RFC 8176: `pwd`, `otp`, `hwk`, …
    pub methods: Arc<[String]>,
}

impl Proof {
    /// A proof that reached `level` at this moment, by no named method.
    #[must_use]
    pub fn new(level: Assurance, at: Timestamp) -> Self {
        Self { level, at, methods: Arc::default() }
    }

    /// Names one more method that was used, unless it is named already.
    #[must_use]
    pub fn method(self, method: impl Into<String>) -> Self {
        Self { methods: with_method(&self.methods, method.into()), ..self }
    }
}

/// `methods` and one more. Shared, because a session is copied more often than it is logged in to.
pub(crate) fn with_method(methods: &Arc<[String]>, method: String) -> Arc<[String]> {
    if methods.contains(&method) {
        return Arc::clone(methods);
    }
    methods.iter().cloned().chain([method]).collect()
}

/// Authenticator assurance level, as in NIST SP 800-63B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// One factor.
    Aal1,
    /// Two factors.
    Aal2,
    /// Two factors, one of them a hardware authenticator that resists phishing.
    Aal3,
}

impl Assurance {
    /// Its name in tokens (`acr`) and lists: `aal1` to `aal3`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
            Self::Aal3 => "aal3",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use proptest::prelude::*;

    use super::*;

    const LEVELS: [Assurance; 3] = [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3];

    proptest! {
        #[test]
        fn each_level_has_the_time_at_which_it_was_last_reached(proofs in prop::collection::vec((0..3_usize, 0..6_i64), 1..8)) {
            let proofs = proofs.into_iter().map(|(level, at)| Proof::new(LEVELS[level], Timestamp::from_millis(at)));
            let proofs: Vec<Proof> = proofs.collect();
            let mut authentication = Authentication::new(UserId::new("alice").unwrap(), proofs[0].clone());
            proofs[1..].iter().cloned().for_each(|proof| authentication.prove(proof));
            for level in LEVELS {
                let last = proofs.iter().filter(|proof| proof.level >= level).map(|proof| proof.at).max();
                prop_assert_eq!(authentication.proof(level).map(|proof| proof.at), last);
            }
            let kept: Vec<&Proof> = authentication.proofs().collect();
            prop_assert!(kept.is_sorted_by(|a, b| a.level > b.level && a.at < b.at), "{:?}", kept);
            prop_assert_eq!(authentication.latest().at, proofs.iter().map(|proof| proof.at).max().unwrap());
        }
    }
}
