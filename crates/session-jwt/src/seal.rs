//! Client-side sessions: [`JwtSeal`].

use std::fmt;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_core::store::{Record, Seal};
use session_core::{Persistence, Policy, SessionId, StoreError, StoreErrorKind, Timestamp};

use crate::encoding;
use crate::header::{self, Type};
use crate::ring::KeyRing;
use crate::tokens::seconds;
use crate::verify::{Gate, payload};
use crate::verifying_keys::VerifyingKeys;

/// The keys may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The ring drops a key while a cookie that it signed may still be used.
    #[error("the rotation's verify_for is shorter than the longest idle timeout of the policy")]
    VerifyFor,
}

/// Signs whole sessions as JWTs (`typ: session+jwt`), for
/// [`SessionManager::client_side`](session_core::SessionManager::client_side). Signed, not encrypted: whoever has the
/// cookie can read it.
///
/// A token of this kind is never accepted as an access token, nor the other way round, also with the same keys.
///
/// ```
/// use session_core::{Policy, OsEntropy, SessionManager, Timestamp};
/// use session_jwt::{Algorithm, JwtSeal, KeyRing, Rotation};
/// use std::time::Duration;
///
/// let policy = Policy::standard();
/// // A key verifies at least as long as a cookie that it signed may be used: here, 7 days for "remember me".
/// let rotation = Rotation { verify_for: Duration::from_secs(7 * 24 * 3600), ..Rotation::default() };
/// let ring = KeyRing::generate(Algorithm::Hs256, rotation, Timestamp::from_millis(1_767_225_600_000), &OsEntropy)?;
/// let seal = JwtSeal::new("https://shop.example", ring, &policy)?;
/// let sessions = SessionManager::client_side(seal, None).policy(policy).build();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct JwtSeal {
    issuer: String,
    /// The longest that a cookie can be used without being renewed by a request.
    longest_idle: std::time::Duration,
    keys: ArcSwap<Keys>,
}

struct Keys {
    ring: KeyRing,
    verifying: VerifyingKeys,
    /// A header segment and its dot, for each key of the ring.
    headers: Vec<String>,
}

/// The payload. `rec` is the session without its id, which is `sid`; the rest is for whoever looks into the cookie.
#[derive(Serialize)]
struct Sealed<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    sid: SessionId,
    iat: u64,
    exp: u64,
    rec: &'a str,
}

#[derive(Deserialize)]
struct Opened {
    iss: String,
    sid: SessionId,
    rec: String,
}

impl JwtSeal {
    /// A seal with these keys. `issuer` tells applications apart that share keys; `policy` is the one of the sessions.
    ///
    /// # Errors
    /// [`SealError::VerifyFor`] if the ring would drop a key while a cookie that it signed may still be used.
    pub fn new(issuer: impl Into<String>, ring: KeyRing, policy: &Policy) -> Result<Self, SealError> {
        let lifetimes = [
            policy.timeouts(false, Persistence::Transient),
            policy.timeouts(true, Persistence::Transient),
            policy.timeouts(true, Persistence::Persistent),
        ];
        let longest_idle = lifetimes.map(|lifetime| lifetime.idle).into_iter().max().unwrap_or_default();
        let keys = ArcSwap::from_pointee(Keys::new(ring, longest_idle)?);
        Ok(Self { issuer: issuer.into(), longest_idle, keys })
    }

    /// Replacement the keys, after a rotation or when a stored ring was loaded. Nobody waits.
    ///
    /// # Errors
    /// [`SealError::VerifyFor`], and nothing changes then.
    pub fn set_ring(&self, ring: KeyRing) -> Result<(), SealError> {
        self.keys.store(Keys::new(ring, self.longest_idle)?.into());
        Ok(())
    }

    fn payload(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        let sealed = Sealed {
            iss: &self.issuer,
            sub: record.user().map(session_core::UserId::as_str),
            sid: record.summary.id,
            iat: seconds(record.summary.created_at),
            exp: seconds(record.deadline()),
            rec: &encoding::encode(record.encode()?),
        };
        serde_json::to_vec(&sealed).map_err(|_| failed("the session cannot be written as JSON"))
    }
}

impl Keys {
    fn new(ring: KeyRing, longest_idle: std::time::Duration) -> Result<Self, SealError> {
        if ring.rotation.verify_for < longest_idle {
            return Err(SealError::VerifyFor);
        }
        let header =
            |entry: &crate::ring::Entry| header::segment(Type::Session, entry.key.algorithm(), &entry.kid) + ".";
        let headers = ring.entries.iter().map(header).collect();
        Ok(Self { verifying: VerifyingKeys::of_ring(&ring, Type::Session), headers, ring })
    }
}

impl Seal for JwtSeal {
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError> {
        let keys = self.keys.load();
        let signing = keys.ring.signing(now);
        let (entry, header) = (&keys.ring.entries[signing], &keys.headers[signing]);
        let payload = self.payload(record)?;
        let mut text = String::with_capacity(header.len() + payload.len().div_ceil(3) * 4 + 90);
        text.push_str(header);
        encoding::encode_to(payload, &mut text);
        entry.key.sign(&mut text).ok_or_else(|| failed("signing failed"))?;
        Ok(text)
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        let payload = payload(text, &self.keys.load().verifying, Gate::Exact, now).ok()?;
        let opened: Opened = serde_json::from_slice(&payload).ok()?;
        if opened.iss != self.issuer {
            return None;
        }
        Record::decode(opened.sid, &Bytes::from(encoding::decode(opened.rec.as_bytes())?)).ok()
    }

    fn sealed_len(&self, record: &Record) -> usize {
        let keys = self.keys.load();
        let around = keys
            .ring
            .entries
            .iter()
            .zip(&keys.headers)
            .map(|(entry, header)| header.len() + ".".len() + entry.key.algorithm().signature_len());
        // What cannot be written does not fit.
        let payload = self.payload(record).map_or(usize::MAX / 8, |payload| payload.len());
        around.max().unwrap_or_default() + (payload * 4).div_ceil(3)
    }
}

impl fmt::Debug for JwtSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSeal").field("issuer", &self.issuer).field("ring", &self.keys.load().ring).finish()
    }
}

fn failed(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, detail)
}
