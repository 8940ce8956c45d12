//! The stored form of a [`Record`]: a fixed header and the owner, which SQL and Lua can read, then the rest.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, millis};
use crate::error::{StoreError, StoreErrorKind};
use crate::model::credential::{Credential, Lineage, TokenDigest};
use crate::model::data::Data;
use crate::model::device::Device;
use crate::model::format::RecordFormat;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::summary::{Assurance, Authentication, Persistence, Proof, SessionSummary, Timeouts};
use crate::model::token::Kind;

/// Where the fields of [`Record::encode`] are, for backends whose server compares and patches a record in place.
///
/// All numbers are big-endian. Times are milliseconds since the epoch.
pub mod layout {
    use std::ops::{Range, RangeInclusive};

    use super::{Duration, StoreError, StoreErrorKind, Timestamp, UserId, millis, put_bytes};

    /// The format byte: one of [`FORMATS`].
    pub const FORMAT: usize = 0;
    /// The formats whose records begin as this module says, [`RecordFormat`](crate::RecordFormat) by number.
    pub const FORMATS: RangeInclusive<u8> = 3..=4;
    /// The version, as [`Version::to_bytes`](super::Version::to_bytes) has it.
    pub const VERSION: Range<usize> = 1..13;
    /// When the session began: [`time`].
    pub const CREATED_AT: Range<usize> = 13..19;
    /// Last activity: the one field that changes without a new version. [`time`].
    pub const LAST_SEEN: Range<usize> = 19..25;
    /// Idle timeout: [`timeout`].
    pub const IDLE: Range<usize> = 25..30;
    /// Absolute timeout: [`timeout`].
    pub const ABSOLUTE: Range<usize> = 30..35;
    /// Where the application's values begin, in 24 bits: what comes before is all that a list of sessions shows.
    pub const VALUES: Range<usize> = 35..38;
    /// Length of the fields at fixed places.
    pub const HEADER: usize = 38;
    /// Where the [`owner`] begins.
    pub const OWNER: usize = HEADER;

    /// The owner: the length in LEB128, then the user as UTF-8; a single zero for an anonymous session.
    ///
    /// No owner begins like another, so a record is the owner's exactly if these bytes are at [`OWNER`].
    #[must_use]
    pub fn owner(user: Option<&UserId>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + user.map_or(0, |user| user.as_str().len()));
        put_owner(&mut bytes, user);
        bytes
    }

    pub(super) fn put_owner(bytes: &mut Vec<u8>, user: Option<&UserId>) {
        put_bytes(bytes, user.map_or("", UserId::as_str).as_bytes());
    }

    /// A moment, as a signed number of milliseconds in 48 bits: 4461 years before and after 1970.
    ///
    /// # Errors
    /// [`StoreErrorKind::Other`] for any other moment.
    pub fn time(moment: Timestamp) -> Result<[u8; 6], StoreError> {
        let [_, _, a, b, c, d, e, f] = moment.as_millis().to_be_bytes();
        let bytes = [a, b, c, d, e, f];
        if read_time(bytes) != moment {
            let detail = "a time is thousands of years away; is a clock wrong?";
            return Err(StoreError::new(StoreErrorKind::Other, detail));
        }
        Ok(bytes)
    }

    /// Reads what [`time`] wrote.
    #[must_use]
    pub const fn read_time([a, b, c, d, e, f]: [u8; 6]) -> Timestamp {
        // Shifted down from the top, so that the sign comes along.
        Timestamp::from_millis(i64::from_be_bytes([a, b, c, d, e, f, 0, 0]) >> 16)
    }

    /// A timeout, as a number of milliseconds in 40 bits; a longer one is [`Timeouts::MAX`](crate::Timeouts::MAX).
    #[must_use]
    pub fn timeout(timeout: Duration) -> [u8; 5] {
        let [_, _, _, a, b, c, d, e] = millis(timeout.min(crate::Timeouts::MAX)).to_be_bytes();
        [a, b, c, d, e]
    }

    /// Reads what [`timeout`] wrote.
    #[must_use]
    pub const fn read_timeout([a, b, c, d, e]: [u8; 5]) -> Duration {
        Duration::from_millis(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }
}

/// What a record is, and which sections it has, as bits of a number: one byte in format 3, LEB128 in format 4.
mod flag {
    pub(super) const REFRESH: u16 = 1;
    pub(super) const PERSISTENT: u16 = 1 << 1;
    /// Two bits, 0 for an anonymous session. In format 3, the assurance level of its proof; in format 4, the number of its
    /// proofs, each of which begins with its level.
    pub(super) const PROOFS: u16 = 0b11 << 2;
    pub(super) const PROOFS_SHIFT: u32 = 2;
    /// The token was issued at another time than the session was created.
    pub(super) const REISSUED: u16 = 1 << 4;
    /// The token was renewed.
    pub(super) const RENEWED: u16 = 1 << 5;
    pub(super) const DEVICE: u16 = 1 << 6;
    /// The session is bound to a key of the device.
    pub(super) const BOUND: u16 = 1 << 7;
}

/// The device, as it is stored.
#[derive(Serialize, Deserialize)]
struct Parts<'a> {
    label: Option<&'a str>,
    user_agent: Option<&'a str>,
    ip: Option<IpAddr>,
}

/// What of a [`Record`] a backend may keep in columns of its own, beside [`Record::encode_body`].
#[derive(Clone, Debug)]
pub struct RecordHeader {
    /// [`SessionSummary::id`].
    pub id: SessionId,
    /// [`Record::version`].
    pub version: Version,
    /// [`Record::user`].
    pub user: Option<UserId>,
    /// [`SessionSummary::created_at`].
    pub created_at: Timestamp,
    /// [`SessionSummary::last_seen`].
    pub last_seen: Timestamp,
    /// [`SessionSummary::timeouts`].
    pub timeouts: Timeouts,
}

impl Record {
    /// The record as bytes, without its id: a header at the offsets of [`layout`], the owner, and what only core can read.
    ///
    /// Timeouts longer than [`Timeouts::MAX`] are stored as that.
    ///
    /// # Errors
    /// [`StoreErrorKind::Other`] for a time that [`layout::time`] has no form for.
    pub fn encode(&self) -> Result<Bytes, StoreError> {
        let user = self.user().map_or(0, |user| user.as_str().len());
        let SessionSummary { created_at, last_seen, timeouts, .. } = &self.summary;
        let mut bytes = Vec::with_capacity(layout::HEADER + 2 + user + self.body_capacity());
        bytes.push(self.format.byte());
        bytes.extend_from_slice(&self.version.to_bytes());
        bytes.extend_from_slice(&layout::time(*created_at)?);
        bytes.extend_from_slice(&layout::time(*last_seen)?);
        bytes.extend_from_slice(&layout::timeout(timeouts.idle));
        bytes.extend_from_slice(&layout::timeout(timeouts.absolute));
        bytes.extend_from_slice(&[0; 3]);
        layout::put_owner(&mut bytes, self.user());
        self.put_body(&mut bytes);
        let too_long = || StoreError::new(StoreErrorKind::Other, "what describes the session is longer than 16 MiB");
        match u32::try_from(bytes.len()).map_err(|_| too_long())?.to_be_bytes() {
            [0, at @ ..] => bytes[layout::VALUES].copy_from_slice(&at),
            [..] => return Err(too_long()),
        }
        self.put_values(&mut bytes);
        Ok(bytes.into())
    }

    /// Reads what [`encode`](Self::encode) wrote for the session `id`. The values of the data share the memory of
    /// `bytes`.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] if the bytes are not a record, or one of a newer format. The caller must not
    /// overwrite such a record: another version of the application may still be able to read it.
    pub fn decode(id: SessionId, bytes: &Bytes) -> Result<Self, StoreError> {
        let mut reader = Reader::new(bytes)?;
        let record = reader.whole_body(id)?;
        let values_at = (bytes.len() - reader.left.len()).to_be_bytes();
        if bytes[layout::VALUES] != values_at[values_at.len() - 3..] {
            return Err(corrupt("the record does not say where its values begin"));
        }
        Ok(Self { data: reader.data(bytes)?, replaces: Some(bytes.clone()), ..record })
    }

    /// Reads what describes the session from the beginning of what [`encode`](Self::encode) wrote, up to
    /// [`layout::VALUES`] at least.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_summary(id: SessionId, bytes: &[u8]) -> Result<SessionSummary, StoreError> {
        Ok(Reader::new(bytes)?.whole_body(id)?.summary)
    }

    /// The record without its values and what is in its [`RecordHeader`], as bytes that only core can read.
    #[must_use]
    pub fn encode_body(&self) -> Bytes {
        let mut bytes = vec![self.format.byte()];
        self.put_body(&mut bytes);
        bytes.into()
    }

    /// The application's values, as bytes that only core can read.
    #[must_use]
    pub fn encode_values(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(3 + self.data.entries().len() * 6 + self.data.size());
        self.put_values(&mut bytes);
        bytes.into()
    }

    /// Reads what [`encode_body`](Self::encode_body) and [`encode_values`](Self::encode_values) wrote. The values share the
    /// memory of `values`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_body(header: RecordHeader, body: &[u8], values: &Bytes) -> Result<Self, StoreError> {
        let mut reader = Reader::new(body)?;
        let record = reader.body(header)?;
        if !reader.left.is_empty() {
            return Err(corrupt("the record is longer than it says"));
        }
        Ok(Self { data: Reader { left: values, ..reader }.data(values)?, ..record })
    }

    /// Reads what [`encode_body`](Self::encode_body) wrote.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_body_summary(header: RecordHeader, body: &[u8]) -> Result<SessionSummary, StoreError> {
        Ok(Reader::new(body)?.body(header)?.summary)
    }

    /// About as much as [`put_body`](Self::put_body) and [`put_values`](Self::put_values) need.
    fn body_capacity(&self) -> usize {
        let lineage = if self.credential.lineage.is_some() { 60 } else { 0 };
        let texts = [self.summary.device.label(), self.summary.device.user_agent()];
        let device: usize = texts.into_iter().flatten().map(|text| text.len() + 12).sum();
        let entries = self.data.entries().len() * 3;
        let binding = self.binding.as_ref().map_or(0, |binding| binding.len() + 3);
        48 + lineage + device + binding + entries + self.data.size()
    }

    fn put_body(&self, bytes: &mut Vec<u8>) {
        let SessionSummary { kind, persistence, authentication, device, created_at, .. } = &self.summary;
        let (Credential { current, issued_at, lineage }, created_at) = (&self.credential, created_at.as_millis());
        let device = Parts { label: device.label(), user_agent: device.user_agent(), ip: device.ip() };
        let has_device = device.label.is_some() || device.user_agent.is_some() || device.ip.is_some();
        let proofs = || authentication.iter().flat_map(Authentication::proofs);
        let (proofs_kept, proofs_bits) = match self.format {
            RecordFormat::V3 => (1, proofs().next().map_or(0, |proof| level_tag(proof.level))),
            RecordFormat::V4 => (proofs().count(), proofs().count() as u8),
        };
        let flags = [
            (*kind == Kind::Refresh, flag::REFRESH),
            (*persistence == Persistence::Persistent, flag::PERSISTENT),
            (*issued_at != created_at, flag::REISSUED),
            (lineage.is_some(), flag::RENEWED),
            (has_device, flag::DEVICE),
            (self.binding.is_some(), flag::BOUND),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag);
        let set = set | u16::from(proofs_bits) << flag::PROOFS_SHIFT;
        match self.format {
            RecordFormat::V3 => bytes.push(set as u8),
            RecordFormat::V4 => put(bytes, &set),
        }

        bytes.extend_from_slice(current.as_bytes());
        if *issued_at != created_at {
            put(bytes, &issued_at.wrapping_sub(created_at));
        }
        if let Some(lineage) = lineage {
            put(bytes, lineage);
        }
        for proof in proofs().take(proofs_kept) {
            if self.format == RecordFormat::V4 {
                bytes.push(level_tag(proof.level));
            }
            put(bytes, &proof.at.as_millis().wrapping_sub(created_at));
            put(bytes, &*proof.methods);
        }
        if has_device {
            put(bytes, &device);
        }
        if let Some(binding) = &self.binding {
            put_bytes(bytes, binding);
        }
    }

    fn put_values(&self, bytes: &mut Vec<u8>) {
        // Their number comes first, so that a record that was cut between two entries is not taken for a whole one.
        put_len(bytes, self.data.entries().len());
        for (name, value) in self.data.entries() {
            put_bytes(bytes, name);
            put_bytes(bytes, value);
        }
    }
}

/// Reads what [`Record::encode_values`] wrote; it is the same in all formats. The values share the memory of `bytes`.
#[cfg(feature = "encryption")]
pub(super) fn decode_values(bytes: &Bytes) -> Result<Data, StoreError> {
    Reader { format: RecordFormat::LATEST, left: bytes }.data(bytes)
}

/// Appends `section` in the form of `postcard`: numbers as LEB128, texts and byte strings behind their length.
fn put<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, section: &T) {
    let Ok(longer) = postcard::to_extend(section, std::mem::take(bytes)) else {
        unreachable!("memory takes any number of bytes, and every section knows its length")
    };
    *bytes = longer;
}

/// The same as [`put`] of a text or byte string, which `postcard` would append byte by byte.
fn put_bytes(bytes: &mut Vec<u8>, section: &[u8]) {
    put_len(bytes, section.len());
    bytes.extend_from_slice(section);
}

/// The same as [`put`] of a number, without the detour: most of a record is lengths.
fn put_len(bytes: &mut Vec<u8>, mut len: usize) {
    while len > 0x7f {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
}

/// What is still to be read of a record.
struct Reader<'a> {
    format: RecordFormat,
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Behind the format byte of `bytes`.
    fn new(bytes: &'a [u8]) -> Result<Self, StoreError> {
        let (format, left) = bytes.split_first().ok_or_else(|| corrupt("the record is empty"))?;
        match RecordFormat::from_byte(*format) {
            Some(format) => Ok(Self { format, left }),
            None => Err(corrupt("the record has a format this version does not know; is a newer version deployed?")),
        }
    }

    /// What [`Record::encode`] wrote before the values, behind the format byte.
    fn whole_body(&mut self, id: SessionId) -> Result<Record, StoreError> {
        let header = RecordHeader {
            id,
            version: Version::from_bytes(self.array()?),
            created_at: layout::read_time(self.array()?),
            last_seen: layout::read_time(self.array()?),
            timeouts: Timeouts {
                idle: layout::read_timeout(self.array()?),
                absolute: layout::read_timeout(self.array()?),
            },
            user: {
                let [_, _, _] = self.array()?;
                match self.take()? {
                    "" => None,
                    user => Some(UserId::new(user).map_err(|_| corrupt("the record has an invalid user"))?),
                }
            },
        };
        self.body(header)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (array, left) = self.left.split_first_chunk().ok_or_else(|| corrupt("the record is truncated"))?;
        self.left = left;
        Ok(*array)
    }

    /// What [`put`] appended.
    fn take<T: Deserialize<'a>>(&mut self) -> Result<T, StoreError> {
        let (section, left) =
            postcard::take_from_bytes(self.left).map_err(|_| corrupt("the record is truncated or damaged"))?;
        self.left = left;
        Ok(section)
    }

    /// What [`Record::put_body`] appended: the record without its values.
    fn body(&mut self, header: RecordHeader) -> Result<Record, StoreError> {
        let RecordHeader { id, version, user, created_at, last_seen, timeouts } = header;
        let flags = match self.format {
            RecordFormat::V3 => u16::from(u8::from_be_bytes(self.array()?)),
            RecordFormat::V4 => self.take()?,
        };
        if flags > 0xff {
            return Err(corrupt("the record has sections this version does not know"));
        }
        let has = |flag: u16| flags & flag != 0;
        let time = |delta: i64| Timestamp::from_millis(created_at.as_millis().wrapping_add(delta));

        let current = TokenDigest::from_bytes(self.array()?);
        let issued_at = if has(flag::REISSUED) { time(self.take()?) } else { created_at };
        let lineage: Option<Lineage> = if has(flag::RENEWED) { Some(self.take()?) } else { None };
        let proof = |reader: &mut Self, level: u8| {
            let level = self::level(level).ok_or_else(|| corrupt("the record has an unknown assurance level"))?;
            let proof = Proof::new(level, time(reader.take()?));
            Ok(Proof { methods: reader.take::<Vec<String>>()?.into(), ..proof })
        };
        let proofs = ((flags & flag::PROOFS) >> flag::PROOFS_SHIFT) as u8;
        let authentication = match (user, proofs, self.format) {
            (None, 0, _) => None,
            (Some(user), 1.., RecordFormat::V3) => Some(Authentication::new(user, proof(self, proofs)?)),
            (Some(user), 1.., RecordFormat::V4) => {
                let [level] = self.array()?;
                let mut authentication = Authentication::new(user, proof(self, level)?);
                for _ in 1..proofs {
                    let [level] = self.array()?;
                    authentication.prove(proof(self, level)?);
                }
                Some(authentication)
            }
            (Some(_), 0, _) | (None, 1.., _) => return Err(corrupt("the record has half an authentication")),
        };
        let device = if has(flag::DEVICE) { device(self.take()?) } else { Device::new() };
        let binding = if has(flag::BOUND) { Some(Bytes::copy_from_slice(self.take()?)) } else { None };
        let summary = SessionSummary {
            id,
            kind: if has(flag::REFRESH) { Kind::Refresh } else { Kind::Cookie },
            created_at,
            last_seen,
            timeouts,
            persistence: if has(flag::PERSISTENT) { Persistence::Persistent } else { Persistence::Transient },
            authentication,
            device,
            is_bound: false,
        };
        let credential = Credential { current, issued_at: issued_at.as_millis(), lineage };
        Ok(Record { format: self.format, ..Record::new(summary, version, credential) }.with_binding(binding))
    }

    /// What [`Record::put_values`] appended, to the end; the values share the memory of `bytes`.
    fn data(mut self, bytes: &Bytes) -> Result<Data, StoreError> {
        let count: usize = self.take()?;
        // Each entry takes two bytes at least: a number that was made up reserves no more than that.
        let mut entries = Vec::with_capacity(count.min(self.left.len() / 2));
        for _ in 0..count {
            let (name, value) = self.take::<(&[u8], &[u8])>()?;
            entries.push((bytes.slice_ref(name), bytes.slice_ref(value)));
        }
        if !self.left.is_empty() {
            return Err(corrupt("the record is longer than it says"));
        }
        Data::from_sorted(entries).ok_or_else(|| corrupt("the data of the record is damaged"))
    }
}

fn device(parts: Parts<'_>) -> Device {
    let mut device = Device::new();
    if let Some(label) = parts.label {
        device = device.with_label(label);
    }
    if let Some(user_agent) = parts.user_agent {
        device = device.with_user_agent(user_agent);
    }
    if let Some(ip) = parts.ip {
        device = device.with_ip(ip);
    }
    device
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

fn corrupt(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, detail)
}
