//! What a record keeps of a token, and the four answers to "is this it?".

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::id::SessionId;
use super::token::{Kind, Parts, PresentedToken, SessionToken};
use crate::clock::{Timestamp, millis};
use crate::entropy::{Entropy, EntropyError, random};

/// The first 128 bits of a SHA-256 digest of (a part of) a token: as many as the secret has. The only trace of a token
/// that reaches a store.
///
/// Compared in constant time only: there is no `PartialEq`. `Debug` hides it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct TokenDigest([u8; 16]);

impl TokenDigest {
    /// Digest of the part all tokens of a family share. The kind is hashed too, so that a token of one kind never
    /// passes for another.
    fn family(kind: Kind, parts: &Parts) -> Self {
        Self::of(b"session-core/family/v1", kind, parts, None)
    }

    /// Digest of one token of the family.
    fn token(kind: Kind, parts: &Parts) -> Self {
        Self::of(b"session-core/token/v1", kind, parts, Some(&parts.secret))
    }

    fn of(domain: &[u8], kind: Kind, parts: &Parts, secret: Option<&[u8; 16]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(domain);
        hash.update([kind.tag()]);
        hash.update(parts.id.as_bytes());
        hash.update(parts.family);
        if let Some(secret) = secret {
            hash.update(secret);
        }
        Self(cut(&hash.finalize().into()))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// What a presented token is to a record.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// The one valid token.
    Current,
    /// The immediate predecessor of the valid token.
    Superseded,
    /// An authentic token of this family that was consumed earlier than that: a copy was kept. Reuse. Before the first
    /// renewal there is none.
    Stale,
    /// Anything else. Treated as no session; never changes or deletes anything, or a public id would be a weapon.
    Unknown,
}

/// The stored side of a token: digests, and what renewal needs. Never the token itself.
///
/// Order is decided by [`generation`](Self::generation), never by time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    pub(crate) current: TokenDigest,
    pub(crate) issued_at: i64,
    pub(crate) lineage: Option<Lineage>,
}

/// What there is to remember since the first renewal. A family that was never renewed has no other token than the
/// current one, so until then nothing of it need be known.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Lineage {
    family: TokenDigest,
    generation: u64,
    /// The token that was valid before the current one, until the current one was issued.
    predecessor: TokenDigest,
    /// With the predecessor's secret, this gives the successor's; alone it gives nothing.
    nonce: [u8; 16],
    successor_used: bool,
    /// How long the predecessor may be used after the renewal, in milliseconds: what the policy of the writer said.
    grace: i64,
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lineage")
            .field("generation", &self.generation)
            .field("successor_used", &self.successor_used)
            .finish_non_exhaustive()
    }
}

/// What to do with a [`TokenCheck::Superseded`] token.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// Inside the window, and the successor was not used yet: answer with the identical successor.
    Open,
    /// The successor was used, or the window has passed, but so lately that the clocks of two servers may differ by as
    /// much: the loser of a race. Refused, but no theft.
    Raced,
    /// Later than that: reuse.
    Closed,
}

impl Credential {
    /// A credential of a new family, and its token. Every earlier token of the session stops working.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn issue(
        kind: Kind,
        id: SessionId,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, SessionToken), EntropyError> {
        let token = SessionToken::generate(id, entropy)?;
        let credential =
            Self { current: TokenDigest::token(kind, token.parts()), issued_at: now.as_millis(), lineage: None };
        Ok((credential, token))
    }

    /// Compares a presented token with this credential, in time that does not depend on either.
    pub fn check(&self, kind: Kind, token: &PresentedToken) -> TokenCheck {
        let family = TokenDigest::family(kind, token.parts());
        let digest = TokenDigest::token(kind, token.parts());
        let is_current = self.current.matches(&digest);
        // Without a lineage, compare with the current digest all the same: the time taken must not tell.
        let (of_family, predecessor, exists) = match &self.lineage {
            Some(lineage) => (&lineage.family, &lineage.predecessor, Choice::from(1)),
            None => (&self.current, &self.current, Choice::from(0)),
        };
        let in_family = exists & of_family.matches(&family);
        let is_superseded = in_family & predecessor.matches(&digest);
        if is_current.into() {
            TokenCheck::Current
        } else if is_superseded.into() {
            TokenCheck::Superseded
        } else if in_family.into() {
            TokenCheck::Stale
        } else {
            TokenCheck::Unknown
        }
    }

    /// The next credential of the same family, and its token: the successor of `token`, which must be the current one.
    ///
    /// The successor's secret is HMAC-SHA-256(secret, nonce ‖ id ‖ generation), cut to 16 bytes: a holder of the
    /// predecessor can be given the same successor again ([`successor`](Self::successor)), the store alone cannot
    /// compute it. For how long is recorded: `grace`.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn renew(
        &self,
        kind: Kind,
        token: &PresentedToken,
        grace: Duration,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, SessionToken), EntropyError> {
        let nonce = random(entropy)?;
        let generation = self.generation().saturating_add(1);
        let successor = derive(token, &nonce, generation);
        let lineage = Lineage {
            family: TokenDigest::family(kind, token.parts()),
            generation,
            predecessor: self.current,
            nonce,
            successor_used: false,
            grace: millis(grace),
        };
        let credential = Self {
            current: TokenDigest::token(kind, successor.parts()),
            issued_at: now.as_millis(),
            lineage: Some(lineage),
        };
        Ok((credential, successor))
    }

    /// The successor of a [`TokenCheck::Superseded`] token, byte for byte what [`renew`](Self::renew) returned.
    /// `None` if there was no renewal.
    #[must_use]
    pub fn successor(&self, superseded: &PresentedToken) -> Option<SessionToken> {
        let lineage = self.lineage.as_ref()?;
        Some(derive(superseded, &lineage.nonce, lineage.generation))
    }

    /// Whether the predecessor may still be used. The window begins at the renewal, is as long as was recorded then, is not
    /// moved by replays, and closes at the first use of the successor. By how much the clocks of two servers may differ,
    /// `max_clock_skew`, delays the alarm, not the end.
    pub fn grace(&self, max_clock_skew: Duration, now: Timestamp) -> Grace {
        let Some(lineage) = &self.lineage else { return Grace::Closed };
        let end = self.issued_at() + Duration::from_millis(lineage.grace.unsigned_abs());
        if now >= end + max_clock_skew {
            Grace::Closed
        } else if now >= end || lineage.successor_used {
            Grace::Raced
        } else {
            Grace::Open
        }
    }

    /// Whether the first use of the current token is still to be recorded.
    #[must_use]
    pub fn awaits_first_use(&self) -> bool {
        self.lineage.as_ref().is_some_and(|lineage| !lineage.successor_used)
    }

    /// Records the first use of the current token: closes the grace window.
    pub(crate) fn record_use(&mut self) {
        if let Some(lineage) = &mut self.lineage {
            lineage.successor_used = true;
        }
    }

    /// The same, as if the last renewal had been at `moment`; for a test of what must not happen.
    #[cfg(test)]
    pub(crate) fn anchored_at(&self, moment: Timestamp) -> Self {
        Self { issued_at: moment.as_millis(), ..self.clone() }
    }

    /// How many times the family was renewed.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.lineage.as_ref().map_or(0, |lineage| lineage.generation)
    }

    /// When the current token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        Timestamp::from_millis(self.issued_at)
    }
}

fn derive(predecessor: &PresentedToken, nonce: &[u8; 16], generation: u64) -> SessionToken {
    let parts = predecessor.parts();
    // HMAC takes keys of any length; the error arm exists for other MACs only.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&parts.secret) else {
        unreachable!("HMAC-SHA-256 accepts a key of 16 bytes")
    };
    mac.update(nonce);
    mac.update(parts.id.as_bytes());
    mac.update(&generation.to_be_bytes());
    SessionToken::with_secret(parts, cut(&mac.finalize().into_bytes().into()))
}

/// The first half.
fn cut(digest: &[u8; 32]) -> [u8; 16] {
    let (halves, _) = digest.as_chunks();
    halves[0]
}
