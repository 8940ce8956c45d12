//! [`JwtSeal`]: client-side sessions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_core::store::{Cipher, EncryptionKeys, PlainValues, Record, Seal};
use session_core::{Persistence, Policy, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::encoding;
use crate::keys::error::KeyError;
use crate::keys::ring::KeyRing;
use crate::tokens::header::TokenType;
use crate::tokens::payload::numeric_date;
use crate::tokens::signer::Signer;

/// Signs whole sessions as JWTs (`typ: session+jwt`), for
/// [`SessionManager::client_side`](session_core::SessionManager::client_side). Without [`encrypted`](Self::encrypted), the
/// holder of the cookie can read it: who is logged in, from where, and all values.
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
    /// Another type of token, so that neither is taken for the other.
    encrypted_signer: Signer,
    encryption: Option<Encryption>,
}

#[derive(Debug)]
struct Encryption {
    cipher: Cipher,
    plain: PlainValues,
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

/// Of the id, which precedes the record in what is encrypted.
const ID_LEN: usize = 16;

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
        let encrypted_signer = Signer::new(TokenType::EncryptedSession, ring.clone(), longest_idle)?;
        let signer = Signer::new(TokenType::Session, ring, longest_idle)?;
        Ok(Self { issuer: issuer.into(), signer, encrypted_signer, encryption: None })
    }

    /// Encrypts each session, then signs what came of it: bytes in place of claims, `typ: encrypted-session`. Its holder sees
    /// the name of the two keys, and how long it is; not the issuer, the id, the user, a time, or a value. It is shorter than one
    /// that is only signed.
    ///
    /// A session that is not encrypted is nobody's from now on; [`plain`](Self::plain) says how that begins without a logout. A
    /// seal that does not encrypt, or of a version that cannot, refuses one that is. Keys that encrypt values in a store can be
    /// used here, too: nothing of the one is accepted at the other. How they are rotated is said at [`EncryptionKeys`]: an old
    /// one decrypts for the longest idle timeout.
    ///
    /// ```
    /// use session_core::OsEntropy;
    /// use session_core::store::{EncryptionKey, EncryptionKeyError, EncryptionKeys};
    /// use session_jwt::JwtSeal;
    ///
    /// fn encrypted(seal: JwtSeal, text: &str) -> Result<JwtSeal, EncryptionKeyError> {
    ///     let key = EncryptionKey::from_base64(text)?;
    ///     Ok(seal.encrypted(&EncryptionKeys::new(key)))
    /// }
    /// ```
    #[must_use]
    pub fn encrypted(mut self, keys: &EncryptionKeys) -> Self {
        self.encryption = Some(Encryption { cipher: Cipher::new(keys, "client-side"), plain: PlainValues::Refused });
        self
    }

    /// For the time of a migration: what becomes of sessions that are not encrypted. Without [`encrypted`](Self::encrypted),
    /// nothing.
    #[must_use]
    pub fn plain(mut self, plain: PlainValues) -> Self {
        if let Some(encryption) = &mut self.encryption {
            encryption.plain = plain;
        }
        self
    }

    /// Replaces the keys that encrypt, for a rotation without a restart. Without [`encrypted`](Self::encrypted), nothing: a
    /// seal does not begin to encrypt while it is in use.
    pub fn set_encryption_keys(&self, keys: &EncryptionKeys) {
        if let Some(encryption) = &self.encryption {
            encryption.cipher.set_keys(keys);
        }
    }

    /// Replaces the keys that sign, after a rotation or after a stored ring was loaded. Never blocks.
    ///
    /// # Errors
    /// [`KeyError::VerifyFor`], [`KeyError::External`]. The keys are unchanged then.
    pub fn set_ring(&self, ring: KeyRing) -> Result<(), KeyError> {
        self.encrypted_signer.set_ring(ring.clone())?;
        self.signer.set_ring(ring)
    }

    /// What encrypts what is written now.
    fn encryption(&self) -> Option<&Encryption> {
        self.encryption.as_ref().filter(|encryption| encryption.plain != PlainValues::Written)
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
        let sealed = match self.encryption() {
            Some(Encryption { cipher, .. }) => {
                let plain = [&record.summary.id.as_bytes()[..], &record.encode()?].concat();
                let text = cipher.encrypt(&plain, self.issuer.as_bytes());
                let text = text.map_err(|_| failed("the session was not encrypted: the random generator failed"))?;
                self.encrypted_signer.sign_now(&text, now)
            }
            None => self.signer.sign_now(&self.payload(record)?, now),
        };
        sealed.ok_or_else(|| failed("signing failed"))
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        if let Some(Encryption { cipher, plain }) = &self.encryption {
            if let Ok(text) = self.encrypted_signer.open(text, now) {
                let plain = Bytes::from(cipher.decrypt(&text, self.issuer.as_bytes()).ok()?);
                let id = SessionId::from_bytes(*plain.first_chunk()?);
                return Record::decode(id, &plain.slice(ID_LEN..)).ok();
            }
            if *plain == PlainValues::Refused {
                return None;
            }
        }
        let payload = self.signer.open(text, now).ok()?;
        let opened: Opened = serde_json::from_slice(&payload).ok()?;
        if opened.iss != self.issuer {
            return None;
        }
        Record::decode(opened.sid, &Bytes::from(encoding::decode(opened.rec)?)).ok()
    }

    fn sealed_len(&self, record: &Record) -> usize {
        // What cannot be encoded does not fit.
        if self.encryption().is_some() {
            let len = record.encode().map_or(usize::MAX / 8, |record| ID_LEN + record.len() + Cipher::OVERHEAD);
            return self.encrypted_signer.max_signed_len(len);
        }
        let payload_len = self.payload(record).map_or(usize::MAX / 8, |payload| payload.len());
        self.signer.max_signed_len(payload_len)
    }
}

fn failed(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, detail)
}
