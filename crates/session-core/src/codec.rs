//! The stored form of a [`Record`]: a fixed header that SQL and Lua can read, and a MessagePack body.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes as Borrowed;

use crate::clock::{Timestamp, millis};
use crate::credential::Credential;
use crate::data::Data;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{SessionId, UserId};
use crate::record::{Assurance, Authentication, Device, Kind, Lifetime, Persistence, Record, Version};

/// Offsets of the fixed header of [`Record::encode`], for backends whose server patches a record in place.
///
/// All numbers are big-endian. Times are milliseconds since the epoch.
pub mod layout {
    use std::ops::Range;

    /// The format byte.
    pub const FORMAT: usize = 0;
    /// The session id.
    pub const ID: Range<usize> = 1..17;
    /// The version: number, then nonce.
    pub const VERSION: Range<usize> = 17..33;
    /// When the session began.
    pub const CREATED_AT: Range<usize> = 33..41;
    /// Last activity: the one field that changes without a new version.
    pub const LAST_SEEN: Range<usize> = 41..49;
    /// Idle timeout.
    pub const IDLE: Range<usize> = 49..57;
    /// Absolute timeout.
    pub const ABSOLUTE: Range<usize> = 57..65;
    /// Length of the header; the body follows.
    pub const HEADER: usize = 65;
}

/// The format this version writes. Bump it with every change that an older reader would misread.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    kind: u8,
    persistent: bool,
    #[serde(borrow)]
    authentication: Option<AuthenticationBody<'a>>,
    credential: Credential,
    #[serde(borrow)]
    device: DeviceBody<'a>,
    #[serde(borrow)]
    data: Vec<(&'a Borrowed, &'a Borrowed)>,
}

#[derive(Serialize, Deserialize)]
struct AuthenticationBody<'a> {
    user: &'a str,
    at: i64,
    #[serde(borrow)]
    methods: Vec<&'a str>,
    level: u8,
}

#[derive(Serialize, Deserialize)]
struct DeviceBody<'a> {
    label: Option<&'a str>,
    user_agent: Option<&'a str>,
    #[serde(borrow)]
    ip: Option<&'a Borrowed>,
}

impl Record {
    /// The record as bytes: a header at the offsets of [`layout`], then a body only core can read.
    ///
    /// # Errors
    /// [`StoreErrorKind::Other`] if the body cannot be encoded, which no record built by core causes.
    pub fn encode(&self) -> Result<Bytes, StoreError> {
        let ip = self.device.ip().map(octets);
        let body = Body {
            kind: self.kind.tag(),
            persistent: self.persistence == Persistence::Persistent,
            authentication: self.authentication.as_ref().map(|authentication| AuthenticationBody {
                user: authentication.user.as_str(),
                at: authentication.at.as_millis(),
                methods: authentication.methods.iter().map(String::as_str).collect(),
                level: level_tag(authentication.level),
            }),
            credential: self.credential.clone(),
            device: DeviceBody {
                label: self.device.label(),
                user_agent: self.device.user_agent(),
                ip: ip.as_deref().map(Borrowed::new),
            },
            data: self.data.entries().iter().map(|(name, value)| (Borrowed::new(name), Borrowed::new(value))).collect(),
        };
        let mut bytes = Vec::with_capacity(layout::HEADER + 160 + self.data.size());
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.version.number.to_be_bytes());
        bytes.extend_from_slice(&self.version.nonce.to_be_bytes());
        for time in [self.created_at, self.last_seen] {
            bytes.extend_from_slice(&time.as_millis().to_be_bytes());
        }
        for timeout in [self.lifetime.idle, self.lifetime.absolute] {
            bytes.extend_from_slice(&millis(timeout).to_be_bytes());
        }
        rmp_serde::encode::write(&mut bytes, &body)
            .map_err(|_| StoreError::new(StoreErrorKind::Other, "encode", "the record cannot be encoded"))?;
        Ok(bytes.into())
    }

    /// Reads what [`encode`](Self::encode) wrote. The values of the data share the memory of `bytes`.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] if the bytes are not a record, or one of a newer format. The caller must not
    /// overwrite such a record: another version of the application may still be able to read it.
    pub fn decode(bytes: &Bytes) -> Result<Self, StoreError> {
        if bytes.first().is_some_and(|format| *format != FORMAT) {
            return Err(corrupt("the record has a format this version does not know; is a newer version deployed?"));
        }
        let header = bytes.get(..layout::HEADER).ok_or_else(|| corrupt("the record is truncated"))?;
        let body: Body<'_> = rmp_serde::from_slice(&bytes[layout::HEADER..])
            .map_err(|_| corrupt("the body of the record is damaged"))?;
        Ok(Self {
            id: SessionId::from_bytes(field(header, layout::ID.start)),
            version: Version {
                number: u64::from_be_bytes(field(header, layout::VERSION.start)),
                nonce: u64::from_be_bytes(field(header, layout::VERSION.start + 8)),
            },
            kind: Kind::from_tag(body.kind).ok_or_else(|| corrupt("the record is of an unknown kind"))?,
            created_at: time(header, layout::CREATED_AT.start),
            last_seen: time(header, layout::LAST_SEEN.start),
            lifetime: Lifetime {
                idle: timeout(header, layout::IDLE.start),
                absolute: timeout(header, layout::ABSOLUTE.start),
            },
            persistence: if body.persistent { Persistence::Persistent } else { Persistence::Transient },
            authentication: body.authentication.map(authentication).transpose()?,
            credential: body.credential,
            device: device(&body.device)?,
            data: Data::from_sorted(
                body.data.iter().map(|(name, value)| (bytes.slice_ref(name), bytes.slice_ref(value))).collect(),
            )
            .ok_or_else(|| corrupt("the data of the record is damaged"))?,
        })
    }
}

fn authentication(body: AuthenticationBody<'_>) -> Result<Authentication, StoreError> {
    Ok(Authentication {
        user: UserId::new(body.user).map_err(|_| corrupt("the record has an invalid user"))?,
        at: Timestamp::from_millis(body.at),
        methods: body.methods.into_iter().map(str::to_owned).collect(),
        level: level(body.level).ok_or_else(|| corrupt("the record has an unknown assurance level"))?,
    })
}

fn device(body: &DeviceBody<'_>) -> Result<Device, StoreError> {
    let mut device = Device::new();
    if let Some(label) = body.label {
        device = device.with_label(label);
    }
    if let Some(user_agent) = body.user_agent {
        device = device.with_user_agent(user_agent);
    }
    if let Some(octets) = body.ip {
        device = device.with_ip(address(octets).ok_or_else(|| corrupt("the record has an invalid address"))?);
    }
    Ok(device)
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(octets).map(IpAddr::from).ok())
}

const fn level_tag(level: Assurance) -> u8 {
    match level {
        Assurance::Aal1 => 1,
        Assurance::Aal2 => 2,
        Assurance::Aal3 => 3,
    }
}

const fn level(tag: u8) -> Option<Assurance> {
    match tag {
        1 => Some(Assurance::Aal1),
        2 => Some(Assurance::Aal2),
        3 => Some(Assurance::Aal3),
        _ => None,
    }
}

/// `N` bytes of `header` from `start`; the header's length is checked by the caller.
fn field<const N: usize>(header: &[u8], start: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&header[start..start + N]);
    field
}

fn time(header: &[u8], start: usize) -> Timestamp {
    Timestamp::from_millis(i64::from_be_bytes(field(header, start)))
}

fn timeout(header: &[u8], start: usize) -> Duration {
    Duration::from_millis(u64::try_from(i64::from_be_bytes(field(header, start))).unwrap_or(0))
}

fn corrupt(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "decode", detail)
}
