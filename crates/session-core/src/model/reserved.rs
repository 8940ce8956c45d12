//! What the library itself keeps among the values of a session, under [names](Data::is_reserved) that no key can have: what
//! was added to records without another format. Sessions that were stored before have none of it.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::data::Data;
use super::grant::{Grant, Scope};
use super::id::SessionId;
use super::record::Version;
use crate::clock::Timestamp;
use crate::error::{StoreError, StoreErrorKind};

/// Names, for ever. What is kept under one keeps its form; a new form gets a new name.
const GRANT: &[u8] = &[0x80];
const REPLAYS: &[u8] = &[0x81];
const PROVIDER_SESSION: &[u8] = &[0x82];
const CREDENTIALS: &[u8] = &[0x83];
const CLAIM: &[u8] = &[0x84];

impl Grant {
    /// The grant among these values; that of nothing, if there is none.
    pub(crate) fn read(data: &Data) -> Result<Self, StoreError> {
        let Some(bytes) = data.get(GRANT) else { return Ok(Self::new()) };
        Self::decode(bytes).ok_or_else(|| corrupt("the grant of the session is damaged"))
    }

    /// Keeps it among these values.
    pub(crate) fn write(&self, data: &mut Data) {
        if *self == Self::new() {
            return data.remove(GRANT);
        }
        data.insert(Bytes::from_static(GRANT), put(&(self.client(), self.audiences(), self.scope().as_str())));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (client, audiences, scope): (Option<&str>, Vec<&str>, &str) = whole(bytes)?;
        let grant = match client {
            Some(client) => Self::new().with_client(client).ok()?,
            None => Self::new(),
        };
        let grant = audiences.into_iter().try_fold(grant, |grant, audience| grant.with_audience(audience).ok())?;
        let scope = if scope.is_empty() { Scope::default() } else { Scope::parse(scope).ok()? };
        grant.with_scope(scope).ok()
    }
}

/// How much of its budget for replays a session has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replays {
    /// How many tokens were replayed, less those that were forgiven.
    pub(crate) spent: u32,
    /// Up to when they were forgiven. Never moves back.
    pub(crate) since: Timestamp,
    /// The last token that was replayed, by the generation of its successor.
    pub(crate) generation: u64,
}

impl Replays {
    /// Those among these values; `None` before the first.
    pub(crate) fn read(data: &Data) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = data.get(REPLAYS) else { return Ok(None) };
        let parts: Option<(u32, i64, u64)> = whole(bytes);
        let (spent, since, generation) = parts.ok_or_else(|| corrupt("the replays of the session are damaged"))?;
        Ok(Some(Self { spent, since: Timestamp::from_millis(since), generation }))
    }

    /// Keeps them among these values.
    pub(crate) fn write(&self, data: &mut Data) {
        let parts = (self.spent, self.since.as_millis(), self.generation);
        data.insert(Bytes::from_static(REPLAYS), put(&parts));
    }
}

/// A session of an OpenID provider, as it is kept with those that began in it: a digest of issuer and `sid`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProviderSession([u8; 16]);

impl ProviderSession {
    pub(crate) fn new(issuer: &str, sid: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"session-core/provider-session/v1");
        // Its length, so that no two pairs are the same bytes.
        hash.update((issuer.len() as u64).to_be_bytes());
        hash.update(issuer);
        hash.update(sid);
        let digest: [u8; 32] = hash.finalize().into();
        let (halves, _) = digest.as_chunks();
        Self(halves[0])
    }

    /// That among these values; `None` for a session that began in none, or was not said to.
    pub(crate) fn read(data: &Data) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = data.get(PROVIDER_SESSION) else { return Ok(None) };
        let digest = bytes.as_ref().try_into();
        digest.map(|digest| Some(Self(digest))).map_err(|_| corrupt("the provider's session is damaged"))
    }

    /// Keeps it among these values, or none.
    pub(crate) fn write(this: Option<Self>, data: &mut Data) {
        match this {
            Some(Self(digest)) => data.insert(Bytes::from_static(PROVIDER_SESSION), Bytes::copy_from_slice(&digest)),
            None => data.remove(PROVIDER_SESSION),
        }
    }
}

/// What the credentials of the account were at the last proof that said so: a digest, for comparison alone.
#[derive(Clone, Copy)]
pub(crate) struct Credentials([u8; 16]);

impl Credentials {
    pub(crate) fn new(current: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"session-core/credentials/v1");
        hash.update(current);
        let digest: [u8; 32] = hash.finalize().into();
        let (halves, _) = digest.as_chunks();
        Self(halves[0])
    }

    /// Whether these are among these values. Damaged ones are others.
    pub(crate) fn are_among(&self, data: &Data) -> bool {
        data.get(CREDENTIALS).is_some_and(|kept| kept.as_ref().ct_eq(&self.0).into())
    }

    /// Keeps them among these values, or none.
    pub(crate) fn write(this: Option<Self>, data: &mut Data) {
        match this {
            Some(Self(digest)) => data.insert(Bytes::from_static(CREDENTIALS), Bytes::copy_from_slice(&digest)),
            None => data.remove(CREDENTIALS),
        }
    }
}

/// In a session that is leaving its store for another: how it is admitted there. See [`MovingStore`](crate::store::MovingStore).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// What is exchanged for the session in the new store.
    pub(crate) ticket: SessionId,
    /// The version of that.
    pub(crate) version: Version,
    /// The version that the session had, and will have.
    pub(crate) original: Version,
}

impl Claim {
    /// That among these values; `None` if the session was not claimed.
    pub(crate) fn read(data: &Data) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = data.get(CLAIM) else { return Ok(None) };
        let parts: Option<([u8; 16], [u8; 12], [u8; 12])> = whole(bytes);
        let (ticket, version, original) = parts.ok_or_else(|| corrupt("the claim of the session is damaged"))?;
        let [version, original] = [version, original].map(Version::from_bytes);
        Ok(Some(Self { ticket: SessionId::from_bytes(ticket), version, original }))
    }

    /// Whether there is one.
    pub(crate) fn is_among(data: &Data) -> bool {
        data.get(CLAIM).is_some()
    }

    /// Keeps it among these values.
    pub(crate) fn write(&self, data: &mut Data) {
        let parts = (self.ticket.as_bytes(), self.version.to_bytes(), self.original.to_bytes());
        data.insert(Bytes::from_static(CLAIM), put(&parts));
    }

    /// These values without it.
    pub(crate) fn erase(data: &mut Data) {
        data.remove(CLAIM);
    }
}

fn put<T: serde::Serialize>(value: &T) -> Bytes {
    let Ok(bytes) = postcard::to_extend(value, Vec::new()) else {
        unreachable!("memory takes any number of bytes, and every section knows its length")
    };
    bytes.into()
}

/// What [`put`] wrote, and nothing behind it.
fn whole<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (value, left) = postcard::take_from_bytes(bytes).ok()?;
    left.is_empty().then_some(value)
}

fn corrupt(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, detail)
}
