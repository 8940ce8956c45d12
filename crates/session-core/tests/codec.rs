//! The stored form of a record.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use session_core::{
    Assurance, Authentication, Credential, Data, Device, Kind, Lifetime, OsEntropy, Persistence, Record, SessionId,
    StoreErrorKind, Timestamp, UserId, Version, layout,
};

fn records() -> impl Strategy<Value = Record> {
    let user = proptest::option::of((".{1,60}", proptest::collection::vec("[a-z]{1,5}", 0..3), 0..3usize));
    let device = (proptest::option::of(".{0,300}"), proptest::option::of(".{0,300}"), any::<Option<IpAddr>>());
    let data = proptest::collection::btree_map(".{1,20}", proptest::collection::vec(any::<u8>(), 0..200), 0..6);
    (user, device, data, any::<[i64; 2]>(), any::<[u32; 2]>(), any::<[u64; 2]>(), any::<bool>()).prop_map(
        |(user, (label, agent, ip), data, times, timeouts, version, flag)| {
            let now = Timestamp::from_millis(times[0]);
            let authentication = user.map(|(user, methods, level)| Authentication {
                user: UserId::new(user).unwrap(),
                at: now,
                methods: methods.into(),
                level: [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3][level],
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
            Record {
                id,
                version: Version { number: version[0], nonce: version[1] },
                kind: if flag { Kind::Cookie } else { Kind::Refresh },
                created_at: now,
                last_seen: Timestamp::from_millis(times[1]),
                lifetime: Lifetime {
                    idle: Duration::from_millis(timeouts[0].into()),
                    absolute: Duration::from_millis(timeouts[1].into()),
                },
                persistence: if flag { Persistence::Persistent } else { Persistence::Transient },
                authentication,
                credential: Credential::issue(Kind::Cookie, id, now, &OsEntropy).unwrap().0,
                device,
                data: values,
            }
        },
    )
}

fn record() -> Record {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    records().new_tree(&mut runner).unwrap().current()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(record in records()) {
        let bytes = record.encode().unwrap();
        let read = Record::decode(&bytes).unwrap();
        // Every field takes part in the encoding, so equal bytes mean equal records.
        prop_assert_eq!(read.encode().unwrap(), bytes.clone());
        prop_assert_eq!(read.id, record.id);
        prop_assert_eq!(read.user(), record.user());
        prop_assert_eq!(read.deadline(), record.deadline());
        prop_assert_eq!(read.device.user_agent(), record.device.user_agent());
        prop_assert!(read.data.same_as(&record.data));
        prop_assert_eq!(&bytes[layout::ID], &record.id.as_bytes()[..]);
        prop_assert_eq!(&bytes[layout::LAST_SEEN], &record.last_seen.as_millis().to_be_bytes()[..]);
        prop_assert_eq!(&bytes[layout::VERSION.start..layout::VERSION.start + 8], &record.version.number.to_be_bytes()[..]);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_record_and_never_a_panic(
        record in records(), at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = record.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = Record::decode(&Bytes::from(bytes.clone()));
        bytes[at] ^= flip;
        bytes.truncate(cut.index(bytes.len()));
        let error = Record::decode(&Bytes::from(bytes)).unwrap_err();
        prop_assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_record_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&Bytes::from(bytes));
    }
}

#[test]
fn a_newer_format_is_an_error_that_says_so() {
    let mut bytes = record().encode().unwrap().to_vec();
    bytes[layout::FORMAT] += 1;
    let error = Record::decode(&Bytes::from(bytes)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_last_seen_patched_in_place_is_read_back() {
    let record = record();
    let mut bytes = record.encode().unwrap().to_vec();
    bytes[layout::LAST_SEEN].copy_from_slice(&42i64.to_be_bytes());
    assert_eq!(Record::decode(&Bytes::from(bytes)).unwrap().last_seen, Timestamp::from_millis(42));
}

#[test]
fn client_texts_are_cut_at_a_character() {
    let device = Device::new().with_user_agent("ä".repeat(1_000)).with_label("x".repeat(1_000));
    assert_eq!(device.user_agent().unwrap().len(), 256);
    assert_eq!(device.label().unwrap().len(), 256);
}
