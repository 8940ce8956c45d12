//! Clean-up returns space to the file system, and ends in time.

use std::num::NonZeroU32;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::Timestamp;
use session_core::store::{CreateRequest, SessionStore};
use session_sqlite::SqliteStore;
use session_testbed::records::{MINUTE, NOW, load, shop, user};

use crate::common::{Folder, connect, number, open, sweep};

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_makes_the_file_smaller() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let create = async |name: String, now: Timestamp| {
        let record = RecordBuilder::new(now).of(&user(&name)).value("cart", vec![7; 500]).build().unwrap();
        let _ = store.create(CreateRequest::new(&record), now).await.unwrap();
        record
    };
    let later = NOW + 20 * MINUTE;
    let mut kept = Vec::new();
    for n in 0..1000 {
        create(format!("user {n}"), NOW).await;
        if n % 100 == 0 {
            kept.push(create(format!("late user {n}"), later).await);
        }
    }
    let mut other = connect(&path).await;
    assert_eq!(number(&mut other, "PRAGMA auto_vacuum").await, 2, "INCREMENTAL");
    let before = number(&mut other, "PRAGMA page_count").await;
    assert_eq!(sweep(&store, later + 15 * MINUTE, 600).await, 1000);
    let after = number(&mut other, "PRAGMA page_count").await;
    assert!(after * 4 < before, "{before} pages before, {after} after");
    for record in kept {
        assert!(load(&store, &record.id()).await.is_some());
    }
    drop(other);
    store.close().await;
    assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::try_from(after).unwrap() * 4096);
}

/// It pauses between its transactions, and a disk may be slow: it says how far it came before its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_would_take_too_long_says_how_far_it_came() {
    let folder = Folder::new();
    let store = SqliteStore::builder(folder.join("sessions.db"), shop());
    let store = store.operation_timeout(Duration::from_millis(500)).open().await.unwrap();
    for _ in 0..1000 {
        let record = RecordBuilder::new(NOW).build().unwrap();
        let _ = store.create(CreateRequest::new(&record), NOW).await.unwrap();
    }
    let expired = NOW + 60 * MINUTE;
    let deleted = store.delete_expired(expired, NonZeroU32::new(1000).unwrap()).await.unwrap();
    assert!((1..1000).contains(&deleted), "{deleted}");
    assert_eq!(deleted + sweep(&store, expired, 1000).await, 1000);
}
