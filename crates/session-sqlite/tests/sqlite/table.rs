//! What is in the table, and how it is found.

use std::num::NonZeroU32;

use session_core::store::{CreateRequest, SessionStore};
use session_core::{OsEntropy, SessionId, StoreErrorKind, VisitorLimit};
use session_testbed::records::{MINUTE, NOW, insert, load, record, user};

use crate::common::{Folder, connect, execute, number, open, sweep};

/// Visitors are counted exactly, whatever ends them, and the limit is that of all shards together.
#[tokio::test]
async fn the_count_of_visitors_is_exact() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let limit = VisitorLimit::new(300).unwrap();
    let mut all = Vec::new();
    for n in 0..310 {
        let now = NOW + std::time::Duration::from_secs(n);
        let mut visitor = record(None, now);
        visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
        let _ = store.create(CreateRequest::new(&visitor).among(limit), now).await.unwrap();
        all.push(visitor);
    }
    // Not fewer, as a part for each shard would have it; and those that were used least recently ended.
    for (n, visitor) in all.iter().enumerate() {
        assert_eq!(load(&store, &visitor.id()).await.is_some(), n >= 10, "visitor {n}");
    }
    let mut other = connect(&path).await;
    let stored = "SELECT (SELECT count(*) FROM \"session.shop\" WHERE is_visitor) - (SELECT visitors FROM \"session.shop.meta\")";
    assert_eq!(number(&mut other, stored).await, 0);
    let _ = store.delete(&all[20].id(), None).await.unwrap();
    let login = record(Some(&user("alice")), NOW + 6 * MINUTE);
    let _ = store.create(session_testbed::records::replacing(&login, &all[21]), NOW + 6 * MINUTE).await.unwrap();
    assert_eq!(number(&mut other, stored).await, 0);
    assert_eq!(sweep(&store, NOW + 33 * MINUTE, 1000).await, 169);
    assert_eq!(number(&mut other, stored).await, 0);
    assert_eq!(number(&mut other, "SELECT visitors FROM \"session.shop.meta\"").await, 129);
}

/// What this release cannot read hides no other, and only a deletion ends it.
#[tokio::test]
async fn an_unreadable_record_hides_no_other() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let alice = user("alice");
    let (readable, strange) = (record(Some(&alice), NOW), record(Some(&alice), NOW));
    insert(&store, &readable).await;
    insert(&store, &strange).await;
    let id: String = strange.id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut other = connect(&path).await;
    execute(&mut other, &format!("UPDATE \"session.shop\" SET body = x'ff00' WHERE id = x'{id}'")).await;

    let error = store.load(&strange.id(), session_core::store::Freshness::Latest).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    let listing = store.list_by_user(&alice, NOW).await.unwrap();
    let ids =
        |listing: &session_core::store::Listing| -> Vec<SessionId> { listing.sessions.iter().map(|s| s.id).collect() };
    assert_eq!((ids(&listing), listing.unreadable), (vec![readable.id()], vec![strange.id()]));
    let page = store.list_all(None, NonZeroU32::new(10).unwrap(), NOW).await.unwrap();
    assert_eq!((ids(&page.listing), page.listing.unreadable), (vec![readable.id()], vec![strange.id()]));
    assert_eq!(number(&mut other, &format!("SELECT body = x'ff00' FROM \"session.shop\" WHERE id = x'{id}'")).await, 1);
    let ended = store.delete_by_user(&alice, None, NOW).await.unwrap();
    assert_eq!((ids(&ended), ended.unreadable), (vec![readable.id()], vec![strange.id()]));
}

/// Somebody has made another table of it: that is no single record, which would make its client a visitor.
#[tokio::test]
async fn a_row_of_another_shape_is_no_unreadable_record() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let alice = record(Some(&user("alice")), NOW);
    insert(&store, &alice).await;
    let change = "ALTER TABLE \"session.shop\" RENAME TO old; CREATE TABLE \"session.shop\" AS SELECT * FROM old; \
        UPDATE \"session.shop\" SET created_at = 'yesterday'";
    execute(&mut connect(&path).await, change).await;
    let error = store.load(&alice.id(), session_core::store::Freshness::Latest).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
}
