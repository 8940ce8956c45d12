//! Clean-up returns space to the file system.

use std::num::NonZeroU32;

use session_conformance::RecordBuilder;
use session_core::Timestamp;
use session_core::store::{CreateRequest, SessionStore};
use session_testbed::records::{MINUTE, NOW, load, user};

use crate::common::{Folder, connect, number, open};

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
    assert_eq!(store.delete_expired(later + 15 * MINUTE, NonZeroU32::new(600).unwrap()).await.unwrap(), 600);
    assert_eq!(store.delete_expired(later + 15 * MINUTE, NonZeroU32::new(600).unwrap()).await.unwrap(), 400);
    let after = number(&mut other, "PRAGMA page_count").await;
    assert!(after * 4 < before, "{before} pages before, {after} after");
    for record in kept {
        assert!(load(&store, &record.id()).await.is_some());
    }
    drop(other);
    store.close().await;
    assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::try_from(after).unwrap() * 4096);
}
