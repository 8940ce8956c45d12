//! [`JwtSeal`]: client-side sessions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_core::store::{Record, Seal};
use session_core::{Persistence, Policy, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::encoding;
use crate::keys::error::KeyError;
use crate::keys::ring::KeyRing;
use crate::tokens::header::TokenType;
use crate::tokens::payload::numeric_date;
use crate::tokens::signer::Signer;

/// Signs whole sessions as JWTs (`typ: session+jwt`), for
/// [`SessionManager::client_side`](session_core::SessionManager::client_side). Signed, not encrypted: the holder of the
/// cookie can read it.
///
/// A sealed session is never accepted as an access token, nor the other way round, even with the same keys.
///
/// ```
/// use session_core::{Policy, OsEntropy, SessionManager, Timestamp};
/// use session_jwt::{Algorithm, JwtSeal, KeyRing, Rotation};
/// use std::time::Duration;
///
/// let policy = Policy::standard();
/// // A key must verify at least as long as a cookie that it signed may be used: here, 7 days for "remember me".
/// let rotation = Rotation::builder().verify_for(Duration::from_secs(7 * 24 * 3600)).build()?;
/// let ring = KeyRing::generate(Algorithm::Hs256, rotation, Timestamp::from_millis(1_767_225_600_000), &OsEntropy)?;
/// let seal = JwtSeal::new("https://shop.example", ring, &policy)?;
/// let sessions = SessionManager::client_side(seal, None).policy(policy).build();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JwtSeal {
    issuer: String,
    signer: Signer,
}

/// The payload. `rec` is the session without its id, which is `sid`; the other members are informative.
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
    /// A seal with these keys. `issuer` distinguishes applications that share keys; `policy` is that of the sessions.
    ///
    /// # Errors
    /// [`KeyError::VerifyFor`] if the ring would drop a key while a cookie that it signed may still be used: `verify_for`
    /// must be at least the longest idle timeout of the policy. [`KeyError::External`] if an external signer holds a key.
    pub fn new(issuer: impl Into<String>, ring: KeyRing, policy: &Policy) -> Result<Self, KeyError> {
        let timeouts = [
            policy.timeouts(false, Persistence::Transient),
            policy.timeouts(true, Persistence::Transient),
            policy.timeouts(true, Persistence::Persistent),
        ];
        // Every request within the idle timeout renews the cookie.
        let longest_idle = timeouts.map(|timeouts| timeouts.idle).into_iter().max().unwrap_or_default();
        Ok(Self { issuer: issuer.into(), signer: Signer::new(TokenType::Session, ring, longest_idle)? })
    }

    /// Replaces the keys, after a rotation or after a stored ring was loaded. Never blocks.
    ///
    /// # Errors
    /// [`KeyError::VerifyFor`], [`KeyError::External`]. The keys are unchanged then.
    pub fn set_ring(&self, ring: KeyRing) -> Result<(), KeyError> {
        self.signer.set_ring(ring)
    }

    fn payload(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        let sealed = Sealed {
            iss: &self.issuer,
            sub: record.user().map(UserId::as_str),
            sid: record.summary.id,
            iat: numeric_date(record.summary.created_at),
            exp: numeric_date(record.deadline()),
            rec: &encoding::encode(record.encode()?),
        };
        serde_json::to_vec(&sealed).map_err(|_| failed("the session cannot be encoded as JSON"))
    }
}

impl Seal for JwtSeal {
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError> {
        self.signer.sign_now(&self.payload(record)?, now).ok_or_else(|| failed("signing failed"))
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        let payload = self.signer.open(text, now).ok()?;
        let opened: Opened = serde_json::from_slice(&payload).ok()?;
        if opened.iss != self.issuer {
            return None;
        }
        Record::decode(opened.sid, &Bytes::from(encoding::decode(opened.rec)?)).ok()
    }

    fn sealed_len(&self, record: &Record) -> usize {
        // What cannot be encoded does not fit.
        let payload_len = self.payload(record).map_or(usize::MAX / 8, |payload| payload.len());
        self.signer.max_signed_len(payload_len)
    }
}

fn failed(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, detail)
}
