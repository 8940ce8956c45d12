//! The stored form of a record.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use session_core::store::{Credential, Data, Record, RecordHeader, Version, layout};
use session_core::{
    Assurance, Authentication, Device, Kind, OsEntropy, Persistence, PresentedToken, Proof, RecordFormat, SessionId,
    SessionSummary, StoreErrorKind, Timeouts, Timestamp, UserId,
};

/// What there is a form for.
const TIMES: std::ops::Range<i64> = -(1 << 47)..1 << 47;
const TIMEOUTS: std::ops::Range<u64> = 0..1 << 40;

/// Issued at the beginning of the session, or later and then renewed.
fn credential(id: SessionId, begin: Timestamp, renewals: u8) -> Credential {
    let later = begin + Duration::from_millis(u64::from(renewals) << 20);
    let (mut credential, mut token) = Credential::issue(Kind::Cookie, id, later, &OsEntropy).unwrap();
    for _ in 1..renewals {
        let presented = PresentedToken::parse(token.encode().expose().as_bytes()).unwrap();
        (credential, token) =
            credential.renew(Kind::Cookie, &presented, Duration::from_secs(7), later, &OsEntropy).unwrap();
    }
    credential
}

fn records() -> impl Strategy<Value = Record> {
    let user = proptest::option::of((".{1,60}", proptest::collection::vec("[a-z]{1,5}", 0..3), 0..3usize, 0..3usize));
    let device = (proptest::option::of(".{0,300}"), proptest::option::of(".{0,300}"), any::<Option<IpAddr>>());
    let data = proptest::collection::btree_map(".{1,20}", proptest::collection::vec(any::<u8>(), 0..200), 0..6);
    (user, device, data, [TIMES; 3], [TIMEOUTS; 2], any::<(u32, u64)>(), any::<(bool, u8, Option<[u8; 5]>, bool)>())
        .prop_map(|(user, (label, agent, ip), data, times, timeouts, version, (flag, renewals, binding, is_old))| {
            let now = Timestamp::from_millis(times[0]);
            let authentication = user.map(|(user, methods, level, weaker)| {
                let level = [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3][level];
                let at = Timestamp::from_millis(times[2]);
                let methods = |proof| methods.iter().cloned().fold(proof, Proof::method);
                let mut authentication =
                    Authentication::new(UserId::new(user).unwrap(), methods(Proof::new(level, at)));
                for (weaker, later) in [(Assurance::Aal2, 1), (Assurance::Aal1, 2)].into_iter().take(weaker) {
                    authentication.prove(methods(Proof::new(weaker, at + Duration::from_millis(later))));
                }
                authentication
            });
            let id = SessionId::generate(authentication.as_ref().map(|a| &a.user), &OsEntropy).unwrap();
            let mut device = Device::new();
            if let Some(label) = label {
                device = device.with_label(label);
            }
            if let Some(agent) = agent {
                device = device.with_user_agent(agent);
            }
            if let Some(ip) = ip {
                device = device.with_ip(ip);
            }
            let mut values = Data::default();
            for (key, value) in data {
                values.insert(key.into(), value.into());
            }
            let kind = if flag { Kind::Cookie } else { Kind::Refresh };
            let [idle, absolute] = timeouts.map(Duration::from_millis);
            let mut summary = SessionSummary::new(id, kind, now, Timeouts { idle, absolute });
            summary.last_seen = Timestamp::from_millis(times[1]);
            summary.persistence = if flag { Persistence::Persistent } else { Persistence::Transient };
            summary.authentication = authentication;
            summary.device = device;
            let version = Version { number: version.0, nonce: version.1 };
            let binding = binding.map(|binding| Bytes::copy_from_slice(&binding));
            let format = if is_old { RecordFormat::V3 } else { RecordFormat::V4 };
            let record = Record::new(summary, version, credential(id, now, renewals % 4));
            Record { data: values, format, ..record }.with_binding(binding)
        })
}

fn record() -> Record {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    Record { format: RecordFormat::LATEST, ..records().new_tree(&mut runner).unwrap().current() }
}

fn header(record: &Record) -> RecordHeader {
    let SessionSummary { id, created_at, last_seen, timeouts, .. } = record.summary;
    RecordHeader { id, version: record.version, user: record.user().cloned(), created_at, last_seen, timeouts }
}

/// Every field takes part in the encoding, so equal bytes mean equal records.
fn same(a: &Record, b: &Record) -> bool {
    let bytes = |record: &Record| (record.encode().unwrap(), record.encode_body());
    a.summary.id == b.summary.id && bytes(a) == bytes(b) && a.summary.is_bound == b.summary.is_bound
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(record in records()) {
        let bytes = record.encode().unwrap();
        let read = Record::decode(record.summary.id, &bytes).unwrap();
        prop_assert!(same(&read, &record));
        prop_assert_eq!((read.version, read.summary.kind), (record.version, record.summary.kind));
        prop_assert_eq!((read.summary.created_at, read.summary.last_seen), (record.summary.created_at, record.summary.last_seen));
        prop_assert_eq!((read.summary.timeouts, read.summary.persistence), (record.summary.timeouts, record.summary.persistence));
        prop_assert_eq!(read.user(), record.user());
        if let (Some(read), Some(written)) = (&read.summary.authentication, &record.summary.authentication) {
            let kept = if record.format == RecordFormat::V3 { 1 } else { 3 };
            prop_assert!(read.proofs().eq(written.proofs().take(kept)));
        }
        prop_assert_eq!(read.credential.issued_at(), record.credential.issued_at());
        prop_assert_eq!(read.credential.generation(), record.credential.generation());
        prop_assert_eq!(read.credential.awaits_first_use(), record.credential.awaits_first_use());
        prop_assert_eq!(read.summary.device.label(), record.summary.device.label());
        prop_assert_eq!(read.summary.device.user_agent(), record.summary.device.user_agent());
        prop_assert_eq!(read.summary.device.ip(), record.summary.device.ip());
        prop_assert_eq!(&read.binding, &record.binding);
        prop_assert!(read.data.same_as(&record.data));
        let (body, values) = (record.encode_body(), record.encode_values());
        prop_assert!(same(&Record::decode_body(header(&record), &body, &values).unwrap(), &record));
        // What describes the session ends where the layout says, and needs no value.
        let [a, b, c] = bytes[layout::VALUES].try_into().unwrap();
        let end = u32::from_be_bytes([0, a, b, c]) as usize;
        prop_assert_eq!(&bytes[end..], &values[..]);
        let mut described = record.clone();
        described.data = Data::default();
        for summary in [
            Record::decode_summary(record.summary.id, &bytes[..end]),
            Record::decode_summary(record.summary.id, &bytes),
            Record::decode_body_summary(header(&record), &body),
        ] {
            let read = Record { summary: summary.unwrap(), ..described.clone() };
            prop_assert!(same(&read, &described));
        }
        for cut in 0..end {
            prop_assert!(Record::decode_summary(record.summary.id, &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_record_can_be_written_in_any_format_and_begins_alike(record in records()) {
        prop_assert_eq!(RecordFormat::ALL.map(RecordFormat::byte).to_vec(), layout::FORMATS.collect::<Vec<_>>());
        let [old, new] = RecordFormat::ALL.map(|format| Record { format, ..record.clone() }.encode().unwrap());
        prop_assert_eq!((old[layout::FORMAT], new[layout::FORMAT]), (3, 4));
        prop_assert_eq!(&old[1..layout::VALUES.start], &new[1..layout::VALUES.start]);
        let owner = layout::OWNER..layout::OWNER + layout::owner(record.user()).len();
        prop_assert_eq!(&old[owner.clone()], &new[owner]);
    }

    #[test]
    fn the_fields_of_the_layout_are_where_it_says(record in records()) {
        let bytes = record.encode().unwrap();
        prop_assert_eq!(&bytes[layout::VERSION], &record.version.to_bytes());
        prop_assert_eq!(Version::from_bytes(record.version.to_bytes()), record.version);
        prop_assert_eq!(&bytes[layout::CREATED_AT], &layout::time(record.summary.created_at).unwrap());
        prop_assert_eq!(&bytes[layout::LAST_SEEN], &layout::time(record.summary.last_seen).unwrap());
        prop_assert_eq!(&bytes[layout::IDLE], &layout::timeout(record.summary.timeouts.idle));
        prop_assert_eq!(&bytes[layout::ABSOLUTE], &layout::timeout(record.summary.timeouts.absolute));
        prop_assert_eq!(layout::HEADER, layout::VALUES.end);
        prop_assert!(bytes[layout::OWNER..].starts_with(&layout::owner(record.user())));
        let stranger = UserId::new("stranger").unwrap();
        prop_assert!(!bytes[layout::OWNER..].starts_with(&layout::owner(Some(&stranger))));
        prop_assert_eq!(record.user().is_none(), bytes[layout::OWNER..].starts_with(&layout::owner(None)));
    }

    #[test]
    fn a_truncated_record_is_corrupt_wherever_it_was_cut_and_so_is_a_longer_one(record in records()) {
        let (bytes, body, values) = (record.encode().unwrap(), record.encode_body(), record.encode_values());
        for cut in 0..bytes.len() {
            let error = Record::decode(record.summary.id, &bytes.slice(..cut)).unwrap_err();
            prop_assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
        let cut_body = (0..body.len()).map(|cut| (body.slice(..cut), values.clone()));
        let cut_values = (0..values.len()).map(|cut| (body.clone(), values.slice(..cut)));
        let longer = [(Bytes::from([&body[..], b"\0"].concat()), values.clone())];
        for (body, values) in cut_body.chain(cut_values).chain(longer) {
            let error = Record::decode_body(header(&record), &body, &values).unwrap_err();
            prop_assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
        let longer = Bytes::from([&bytes[..], b"\0"].concat());
        prop_assert_eq!(Record::decode(record.summary.id, &longer).unwrap_err().kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_record_and_never_a_panic(
        record in records(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut bytes = record.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = Record::decode(record.summary.id, &bytes.into());
        let (mut body, mut values) = (record.encode_body().to_vec(), record.encode_values().to_vec());
        for bytes in [&mut body, &mut values] {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        let _ = Record::decode_body(header(&record), &body, &record.encode_values());
        let _ = Record::decode_body(header(&record), &record.encode_body(), &values.into());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_record_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(record().summary.id, &Bytes::copy_from_slice(&bytes));
        // Behind a good format byte there is more to read.
        let bytes = Bytes::from([&record().encode_body()[..1], &bytes].concat());
        let _ = Record::decode(record().summary.id, &bytes);
        let _ = Record::decode_body(header(&record()), &bytes, &bytes);
    }
}

#[test]
fn a_newer_format_is_an_error_that_says_so() {
    let mut bytes = record().encode().unwrap().to_vec();
    bytes[layout::FORMAT] += 1;
    let mut body = record().encode_body().to_vec();
    body[0] += 1;
    let values = record().encode_values();
    for error in
        [Record::decode(record().summary.id, &bytes.into()), Record::decode_body(header(&record()), &body, &values)]
    {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(!error.is_retryable());
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}

#[test]
fn a_last_seen_patched_in_place_is_read_back() {
    let record = record();
    let mut bytes = record.encode().unwrap().to_vec();
    bytes[layout::LAST_SEEN].copy_from_slice(&layout::time(Timestamp::from_millis(42)).unwrap());
    assert_eq!(Record::decode(record.summary.id, &bytes.into()).unwrap().summary.last_seen, Timestamp::from_millis(42));
}

#[test]
fn a_record_and_another_owner_do_not_fit() {
    let mut record = record();
    let rest = |record: &Record| (header(record), record.encode_body());
    record.summary.authentication = None;
    let (anonymous, of_anonymous) = rest(&record);
    let (alice, at) = (UserId::new("alice").unwrap(), record.summary.created_at);
    record.summary.authentication = Some(Authentication::new(alice, Proof::new(Assurance::Aal1, at)));
    let (alices, of_alice) = rest(&record);
    for (head, rest) in [(anonymous, of_alice), (alices, of_anonymous)] {
        assert_eq!(
            Record::decode_body(head, &rest, &record.encode_values()).unwrap_err().kind(),
            StoreErrorKind::Corrupt
        );
    }
}

#[test]
fn no_owner_begins_like_another() {
    let mut users: Vec<String> = ["a", "aa", "\0", "\u{1}", "\u{1}a", "\0\u{1}"].map(str::to_owned).into();
    users.extend([1, 2, 127, 128, 129, 255, 256].map(|length| "x".repeat(length)));
    let mut owners = vec![layout::owner(None)];
    owners.extend(users.iter().map(|user| layout::owner(Some(&UserId::new(user.as_str()).unwrap()))));
    for (i, one) in owners.iter().enumerate() {
        for (j, other) in owners.iter().enumerate() {
            // What a server compares: as many bytes, whatever follows them.
            let value = [other.as_slice(), &[0; 300]].concat();
            assert_eq!(value.starts_with(one), i == j, "{one:?} and {other:?}");
        }
    }
}

#[test]
fn a_time_without_a_form_is_an_error_and_never_another_time() {
    let record = record();
    for millis in [TIMES.start, -1, 0, TIMES.end - 1] {
        let time = Timestamp::from_millis(millis);
        let mut known = record.clone();
        (known.summary.created_at, known.summary.last_seen) = (time, time);
        let read = Record::decode(record.summary.id, &known.encode().unwrap()).unwrap();
        assert_eq!((read.summary.created_at, read.summary.last_seen), (time, time));
    }
    for millis in [i64::MIN, TIMES.start - 1, TIMES.end, i64::MAX] {
        let time = Timestamp::from_millis(millis);
        let (mut begun, mut used) = (record.clone(), record.clone());
        (begun.summary.created_at, used.summary.last_seen) = (time, time);
        for unknown in [begun, used] {
            assert_eq!(unknown.encode().unwrap_err().kind(), StoreErrorKind::Other, "{millis}");
        }
        assert!(layout::time(time).is_err());
    }
}

#[test]
fn a_timeout_that_is_too_long_becomes_the_longest() {
    let millis = Duration::from_millis(1);
    assert_eq!(Timeouts::MAX, Duration::from_millis(TIMEOUTS.end) - millis);
    for timeout in [Timeouts::MAX, Timeouts::MAX + millis, Duration::MAX] {
        let mut record = record();
        record.summary.timeouts = Timeouts { idle: timeout, absolute: timeout };
        let read = Record::decode(record.summary.id, &record.encode().unwrap()).unwrap();
        assert_eq!(read.summary.timeouts, Timeouts { idle: Timeouts::MAX, absolute: Timeouts::MAX });
    }
}

#[test]
fn client_texts_are_cut_at_a_character() {
    let device = Device::new().with_user_agent("ä".repeat(1_000)).with_label("x".repeat(1_000));
    assert_eq!(device.user_agent().unwrap().len(), 256);
    assert_eq!(device.label().unwrap().len(), 256);
}
