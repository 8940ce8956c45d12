//! The store: what the backend gets, and what it can do with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use session_conformance::{Intercept, Intercepted, RecordBuilder, ReferenceStore, StoreCall};
use session_core::store::{
    CreateOutcome, CreateRequest, Data, EncryptedStore, EncryptionKeys, Freshness, PlainValues, Record, SessionStore,
    UpdateOutcome,
};
use session_core::{
    Clock as _, Device, Entropy, EntropyError, Kind, ManualClock, OsEntropy, StoreError, StoreErrorKind, Timestamp,
    UserId,
};

use crate::{key, ring};

const NAME: &str = "secret-name-77aa03";
const VALUE: &[u8] = b"\"secret-value-51c0d2\"";

type Encrypted = EncryptedStore<Arc<ReferenceStore>>;

struct Bed {
    inner: Arc<ReferenceStore>,
    now: Timestamp,
}

impl Bed {
    fn new() -> Self {
        Self { inner: Arc::new(ReferenceStore::new()), now: ManualClock::default().now() }
    }

    fn store(&self, keys: &EncryptionKeys) -> Encrypted {
        EncryptedStore::new(Arc::clone(&self.inner), keys)
    }

    fn record(&self) -> RecordBuilder {
        RecordBuilder::new(self.now).of(&alice()).device(Device::new().with_label("laptop"))
    }

    async fn create(&self, store: &dyn SessionStore, record: &Record) {
        let created = store.create(CreateRequest::new(record), self.now).await.unwrap();
        assert_eq!(created, CreateOutcome::Created { evicted: vec![] });
    }

    /// What the backend has of `record`.
    async fn stored(&self, record: &Record) -> Record {
        self.inner.load(&record.id(), Freshness::Latest).await.unwrap().unwrap()
    }

    /// Writes into the backend, past the store.
    async fn tamper(&self, record: Record) {
        let _ = self.inner.delete(&record.id(), record.user()).await.unwrap();
        self.create(&*self.inner, &record).await;
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

async fn load(store: &dyn SessionStore, record: &Record) -> Result<Record, StoreErrorKind> {
    let loaded = store.load(&record.id(), Freshness::Latest).await;
    loaded.map(Option::unwrap).map_err(|error| error.kind())
}

fn holds(record: &Record, bytes: &[u8]) -> bool {
    record.encode().unwrap().windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test]
async fn the_backend_gets_no_byte_of_a_value() {
    let bed = Bed::new();
    let store = bed.store(&ring(&[&key()]));
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(&store, &record).await;
    let next = Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() };
    let check = async |step: &str| {
        let stored = bed.stored(&record).await;
        // Four bytes in a row occur by chance once in a million runs.
        for part in VALUE.windows(4).chain(NAME.as_bytes().windows(4)) {
            assert!(!holds(&stored, part), "{step}: {}", String::from_utf8_lossy(part));
        }
        assert_eq!(stored.data.names().collect::<Vec<_>>(), [""], "{step}");
        // The search finds what is there, and what stays in clear is what is said to be.
        assert!(holds(&record, &VALUE[..4]) && holds(&stored, b"alice") && holds(&stored, b"laptop"));
        let loaded = load(&store, &record).await.unwrap();
        assert!(loaded.data.same_as(&record.data), "{step}");
        assert_eq!(loaded.encode_body(), stored.encode_body(), "{step}");
        stored.data.get(b"").unwrap().clone()
    };
    let created = check("created").await;
    assert_eq!(store.update(&next, record.version, bed.now).await.unwrap(), UpdateOutcome::Applied);
    assert_ne!(check("updated").await, created, "the same values look different each time");
    let _ = store.touch(&record.id(), record.user(), bed.now + Duration::from_secs(1)).await.unwrap();
    check("touched").await;
}

/// Whether there are values cannot be told, nor can they be taken away.
#[tokio::test]
async fn a_session_without_values_is_encrypted_too() {
    let bed = Bed::new();
    let store = bed.store(&ring(&[&key()]));
    for kind in [Kind::Cookie, Kind::Refresh] {
        let record = bed.record().kind(kind).build().unwrap();
        bed.create(&store, &record).await;
        assert!(!bed.stored(&record).await.data.is_empty());
        assert!(load(&store, &record).await.unwrap().data.is_empty());
    }
}

#[tokio::test]
async fn a_ciphertext_belongs_to_one_state_of_one_session() {
    let bed = Bed::new();
    let store = bed.store(&ring(&[&key()]));
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(&store, &record).await;
    let stored = bed.stored(&record).await;
    let bob = UserId::new("bob").unwrap();
    let other = |builder: RecordBuilder| Record { version: record.version, ..builder.build().unwrap() };
    let same = other(bed.record().id(record.id()));
    let mut other_kind = same.clone();
    other_kind.summary.kind = Kind::Refresh;
    let mut nonce = record.version;
    nonce.nonce ^= 1;
    let mut number = record.version;
    number.number += 1;
    for (what, moved) in [
        ("another session", other(bed.record())),
        ("another kind", other_kind),
        ("another user", other(RecordBuilder::new(bed.now).of(&bob).id(record.id()))),
        ("no user", other(RecordBuilder::new(bed.now).id(record.id()))),
        ("a later version", Record { version: number, ..same.clone() }),
        ("another writer's version", Record { version: nonce, ..same.clone() }),
    ] {
        let moved = Record { data: stored.data.clone(), ..moved };
        let _ = bed.inner.delete(&record.id(), record.user()).await.unwrap();
        bed.tamper(moved.clone()).await;
        assert_eq!(load(&store, &moved).await.unwrap_err(), StoreErrorKind::Corrupt, "{what}");
        let _ = bed.inner.delete(&moved.id(), moved.user()).await.unwrap();
    }
    // Everything that a backend may do to it, and what it is not bound to.
    let kept = Record { data: stored.data, ..same }.touched(bed.now + Duration::from_secs(60));
    bed.tamper(kept.clone()).await;
    assert!(load(&store, &kept).await.unwrap().data.same_as(&record.data));
}

#[tokio::test]
async fn what_was_changed_is_corrupt_and_never_empty() {
    let bed = Bed::new();
    let keys = ring(&[&key()]);
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(&bed.store(&keys), &record).await;
    let stored = bed.stored(&record).await;
    let text = stored.data.get(b"").unwrap().clone();
    let with = |value: &[u8]| {
        let mut data = Data::default();
        data.insert(Bytes::new(), Bytes::copy_from_slice(value));
        data
    };
    let mut beside = stored.data.clone();
    beside.insert("n".into(), "1".into());
    let mut flipped = text.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    for plain in [PlainValues::Refused, PlainValues::Accepted, PlainValues::Written] {
        let store = bed.store(&keys).plain(plain);
        for (what, data) in [
            ("cut to nothing", with(b"")),
            ("cut", with(&text[..text.len() - 1])),
            ("longer", with(&[&text[..], b"0"].concat())),
            ("flipped", with(&flipped)),
            ("a plain value beside it", beside.clone()),
        ] {
            bed.tamper(Record { data, ..stored.clone() }).await;
            assert_eq!(load(&store, &record).await.unwrap_err(), StoreErrorKind::Corrupt, "{what}, {plain:?}");
        }
    }
    let store = bed.store(&keys);
    for (what, data) in [("removed", Data::default()), ("replaced by a plain value", record.data.clone())] {
        bed.tamper(Record { data, ..stored.clone() }).await;
        assert_eq!(load(&store, &record).await.unwrap_err(), StoreErrorKind::Corrupt, "{what}");
    }
    // The backend still lists and ends it.
    assert_eq!(store.list_by_user(&alice(), bed.now).await.unwrap().sessions.len(), 1);
    assert_eq!(store.delete_by_user(&alice(), None, bed.now).await.unwrap().sessions.len(), 1);
}

#[tokio::test]
async fn a_store_in_use_becomes_an_encrypted_one_and_back_without_a_logout() {
    use PlainValues::{Accepted, Refused, Written};
    let bed = Bed::new();
    let keys = ring(&[&key()]);
    let without: &dyn SessionStore = &bed.inner;
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(without, &record).await;
    let mut version = record.version;
    // Each step, with servers of the step before still in use.
    for [before, after] in [[Written, Written], [Written, Accepted], [Accepted, Refused], [Refused, Accepted]]
        .into_iter()
        .chain([[Accepted, Written], [Written, Written]])
    {
        let servers = [before, after].map(|plain| bed.store(&keys).plain(plain));
        for server in servers.iter().chain(&servers) {
            for other in &servers {
                assert!(load(other, &record).await.unwrap().data.same_as(&record.data), "{before:?} {after:?}");
            }
            let loaded = load(server, &record).await.unwrap();
            let next = Record { version: loaded.version.next(&OsEntropy).unwrap(), ..loaded };
            assert_eq!(server.update(&next, version, bed.now).await.unwrap(), UpdateOutcome::Applied);
            version = next.version;
        }
    }
    assert!(load(without, &record).await.unwrap().data.same_as(&record.data), "and no encryption is needed any more");
    let strict = bed.store(&keys);
    assert_eq!(load(&strict, &record).await.unwrap_err(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn old_keys_decrypt_and_each_write_encrypts_with_the_first() {
    let bed = Bed::new();
    let (old, new) = (key(), key());
    let before = bed.store(&ring(&[&old]));
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(&before, &record).await;
    let after = bed.store(&ring(&[&new, &old]));
    let only_new = bed.store(&ring(&[&new]));
    let _ = after.touch(&record.id(), record.user(), bed.now).await.unwrap();
    assert!(load(&after, &record).await.unwrap().data.same_as(&record.data));
    assert_eq!(load(&only_new, &record).await.unwrap_err(), StoreErrorKind::Corrupt, "dropped too early");
    only_new.set_keys(&ring(&[&new, &old]));
    assert!(load(&only_new, &record).await.is_ok(), "and brought back");
    let next = Record { version: record.version.next(&OsEntropy).unwrap(), ..load(&after, &record).await.unwrap() };
    assert_eq!(after.update(&next, record.version, bed.now).await.unwrap(), UpdateOutcome::Applied);
    only_new.set_keys(&ring(&[&new]));
    assert!(load(&only_new, &record).await.is_ok());
    assert_eq!(load(&before, &record).await.unwrap_err(), StoreErrorKind::Corrupt, "a server that was forgotten");
}

/// Gives a copy where that will do.
#[derive(Debug)]
struct Copying {
    copy: Record,
    loads: Mutex<Vec<Freshness>>,
}

impl Intercept for Copying {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.loads.lock().unwrap().extend(call.freshness);
        execute.await
    }

    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        let is_latest = self.loads.lock().unwrap().last() == Some(&Freshness::Latest);
        if is_latest { record } else { Some(self.copy.clone()) }
    }
}

/// Another server has written it with the new key, this one has a copy from before, and the old key is gone.
#[tokio::test]
async fn that_it_cannot_be_read_a_copy_may_not_say() {
    let bed = Bed::new();
    let (old, new) = (key(), key());
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    bed.create(&bed.store(&ring(&[&old])), &record).await;
    let copy = Record { is_copy: true, ..bed.stored(&record).await };
    let copying = Copying { copy, loads: Mutex::default() };
    let copying = Arc::new(Intercepted::new(Arc::clone(&bed.inner), copying));
    let here = EncryptedStore::new(Arc::clone(&copying), &ring(&[&new]));
    let read = async || here.load(&record.id(), Freshness::Cached).await.map_err(|error| error.kind());
    assert_eq!(read().await.unwrap_err(), StoreErrorKind::Corrupt, "so says the store, too");

    let there = bed.store(&ring(&[&new, &old]));
    let next = Record { version: record.version.next(&OsEntropy).unwrap(), ..load(&there, &record).await.unwrap() };
    assert_eq!(there.update(&next, record.version, bed.now).await.unwrap(), UpdateOutcome::Applied);
    copying.hook().loads.lock().unwrap().clear();
    assert_eq!(read().await.unwrap().unwrap().version, next.version);
    here.set_keys(&ring(&[&new, &old]));
    assert_eq!(read().await.unwrap().unwrap().version, record.version, "what can be read will do");
    let asked = [Freshness::Cached, Freshness::Latest, Freshness::Cached];
    assert_eq!(*copying.hook().loads.lock().unwrap(), asked);
}

#[derive(Debug)]
struct Broken;

impl Entropy for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

#[tokio::test]
async fn without_randomness_nothing_is_stored() {
    let bed = Bed::new();
    let one = key();
    let record = bed.record().value(NAME, VALUE).build().unwrap();
    let broken = bed.store(&ring(&[&one])).entropy(Broken);
    let error = broken.create(CreateRequest::new(&record), bed.now).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(bed.inner.load(&record.id(), Freshness::Latest).await.unwrap().is_none());
    let store = bed.store(&ring(&[&one]));
    bed.create(&store, &record).await;
    let next = Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() };
    broken.update(&next, record.version, bed.now).await.unwrap_err();
    assert_eq!(load(&broken, &record).await.unwrap().version, record.version);
}
