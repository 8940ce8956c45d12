//! `load`: what was stored comes back, to the bit.

use bytes::Bytes;
use session_core::store::{Record, UpdateOutcome};
use session_core::{RecordFormat, SessionId};

use super::support::{MINUTE, full_session};
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// Every field comes back as it was stored.
    "load/returns-every-field" [] catches [LoadDropsDevice] => returns_every_field;
    /// An id that was never stored is `None`, not an error.
    "load/unknown-is-none" [] catches [LoadUnknownFails] => unknown_is_none;
    /// Ids are told apart by every one of their bytes, whatever these are.
    "load/tells-ids-apart" [] catches [IdTruncated] => tells_ids_apart;
    /// Values are bytes, not text.
    "load/binary-values" [] catches [ValuesAreText, NamesFoldCase] => binary_values;
    /// An empty value is a value.
    "load/empty-values" [] catches [EmptyValuesVanish] => empty_values;
    /// A value of 1 MiB comes back complete.
    "load/large-values" [] catches [LargeValuesCut] => large_values;
    /// Names of values are exact: case, spaces, NUL, any length up to 128 bytes.
    "load/names-are-exact" [] catches [NamesFoldCase] => names_are_exact;
    /// A store does not care in which format core writes a record.
    "load/every-format" [] catches [ListSkipsOldFormats, IndexAppends, TouchBumpsVersion] => every_format;
}

async fn returns_every_field(store: TestStore) -> Outcome {
    let record = store.insert(full_session(&store)).await?;
    store.assert_stored(&record, "after `create`").await
}

async fn unknown_is_none(store: TestStore) -> Outcome {
    let unknown = store.anonymous().build()?;
    store.assert_gone(&unknown, "an id that was never stored, in an empty store").await?;
    store.insert(store.anonymous()).await?;
    store.assert_gone(&unknown, "an id that was never stored").await
}

async fn tells_ids_apart(store: TestStore) -> Outcome {
    // Bytes with a meaning in text formats, keys and C strings; and ids that differ in one byte.
    let mut ids = vec![[0; 16], [0xff; 16], *b"::::::::::::::::", *b"%%%%%%%%%%%%%%%%", *b"\r\n \t\\\"'*?[]{}\0;/"];
    ids.extend((0..16).map(|at| {
        let mut id = [0; 16];
        id[at] = 1;
        id
    }));
    let mut records = Vec::new();
    for id in ids {
        records.push(store.insert(store.anonymous().id(SessionId::from_bytes(id))).await?);
    }
    store.assert_all_stored(&records, "one of many sessions whose ids differ in one byte").await
}

async fn binary_values(store: TestStore) -> Outcome {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let session = store.anonymous().value("every byte", every_byte).value("no UTF-8", vec![0xc3, 0x28]);
    let record = store.insert(session).await?;
    store.assert_stored(&record, "a record with binary values").await
}

async fn empty_values(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous().value("empty", Bytes::new())).await?;
    let loaded = store.stored(&record, "a record with an empty value").await?;
    ensure_eq!(loaded.data.get(b"empty"), Some(&Bytes::new()), "an empty value, which is not the same as none");
    ensure!(loaded.data.get(b"other").is_none(), "a value that was never set is there");
    Ok(())
}

async fn large_values(store: TestStore) -> Outcome {
    // Letters that do not compress well.
    let letter = |at: u32| b'a' + at.wrapping_mul(2_654_435_761).to_be_bytes()[0] % 26;
    let large: Vec<u8> = (0..1024 * 1024).map(letter).collect();
    let record = store.insert(store.anonymous().value("large", large)).await?;
    store.assert_stored(&record, "a record with a value of 1 MiB").await
}

async fn every_format(store: TestStore) -> Outcome {
    let mut stored = Vec::new();
    for format in RecordFormat::ALL {
        let mut record = store.insert(store.session().value("n", "1").format(format)).await?;
        for other in RecordFormat::ALL.into_iter().filter(|other| *other != format).chain([format]) {
            store.assert_stored(&record, "a record in some format").await?;
            store.advance(MINUTE);
            record = store.touched(&record).await?;
            let next = Record { format: other, ..next(&record)? };
            let answer = store.update(&next, record.version).await?;
            ensure_eq!(answer, UpdateOutcome::Applied, "`update` to another format");
            record = next;
        }
        store.assert_stored(&record, "after updates to other formats").await?;
        stored.push(record);
    }
    store.assert_lists(&store.alice, &stored, "sessions of several formats").await
}

async fn names_are_exact(store: TestStore) -> Outcome {
    let longest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
         0123456789abcdef0123456789abcdef";
    let names = ["cart", "Cart", "CART", "cart ", "a.b", "a:b", "a\0b", "a", "$set", "ключ", "\u{1F6D2}", longest];
    let session = names.into_iter().fold(store.anonymous(), |session, name| session.value(name, name.as_bytes()));
    let record = store.insert(session).await?;
    let loaded = store.stored(&record, "a record with odd names").await?;
    for name in names {
        let value = loaded.data.get(name.as_bytes()).map(Bytes::as_ref);
        ensure_eq!(value, Some(name.as_bytes()), "the value called {name:?}");
    }
    ensure_eq!(loaded.data.len(), names.len(), "the number of values");
    Ok(())
}
