//! A quota: what ends for a login, and what still works.

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, SessionStore};
use session_core::{DeleteOutcome, StoreErrorKind, VisitorLimit};
use session_sqlite::SqliteStore;
use session_testbed::records::{MINUTE, NOW, load, record, shop, user};

use crate::common::{Folder, connect, execute};

const SIZE: u64 = 192 * 1024;

/// Visitors fill the file. Each login gets a place, and the visitors that end for it are reported.
#[tokio::test]
async fn visitors_end_before_a_user_is_refused() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = SqliteStore::builder(&path, shop()).max_size(SIZE).open().await.unwrap();
    let limit = VisitorLimit::new(1_000_000).unwrap();
    let (mut visitors, mut ended) = (Vec::new(), 0);
    // More than there is room for: some end for others.
    while ended == 0 {
        let visitor = record(None, NOW);
        let created = store.create(CreateRequest::new(&visitor).among(limit), NOW).await.unwrap();
        let CreateOutcome::Created { evicted } = created else { panic!("{created:?}") };
        for id in &evicted {
            assert!(load(&store, id).await.is_none(), "it was reported as ended");
        }
        ended += evicted.len();
        visitors.push(visitor);
    }
    assert!(visitors.len() > 200, "{}", visitors.len());
    let (mut users, mut refused) = (Vec::new(), None);
    while refused.is_none() {
        let alice = record(Some(&user(&format!("user {}", users.len()))), NOW);
        match store.create(CreateRequest::new(&alice), NOW).await {
            Ok(CreateOutcome::Created { evicted }) => {
                ended += evicted.len();
                users.push(alice);
            }
            Ok(outcome) => panic!("{outcome:?}"),
            Err(error) => refused = Some(error),
        }
    }
    assert_eq!(refused.unwrap().kind(), StoreErrorKind::Full);
    // Those that are left would not free a page.
    assert!(visitors.len() - ended < 40, "no user was refused while visitors could make room: {ended}");
    assert!(users.len() > 200, "{}", users.len());
    for user in &users {
        assert!(load(&store, &user.id()).await.is_some(), "no user ends for another");
    }
    assert!(std::fs::metadata(&path).unwrap().len() <= SIZE);

    // A logout always works, and makes room.
    for user in &users[..50] {
        assert_eq!(store.delete(&user.id(), user.user()).await.unwrap(), DeleteOutcome::Deleted);
    }
    let alice = record(Some(&user("alice")), NOW);
    assert_eq!(store.create(CreateRequest::new(&alice), NOW).await.unwrap(), session_testbed::records::created());
}

/// A file that other software has made has pages of another size.
#[tokio::test]
async fn the_quota_is_in_bytes_whatever_the_pages_are() {
    for page in [512, 65_536] {
        let folder = Folder::new();
        let path = folder.join("sessions.db");
        let sql = format!("PRAGMA page_size = {page}; CREATE TABLE other (id)");
        execute(&mut connect(&path).await, &sql).await;
        let store = SqliteStore::builder(&path, shop()).max_size(8 * SIZE).open().await.unwrap();
        let mut users = 0;
        let refused = loop {
            let login = RecordBuilder::new(NOW).of(&user(&format!("user {users}"))).value("cart", vec![7; 3000]);
            match store.create(CreateRequest::new(&login.build().unwrap()), NOW).await {
                Ok(_) if users < 2_000 => users += 1,
                refused => break refused.unwrap_err(),
            }
        };
        assert_eq!(refused.kind(), StoreErrorKind::Full, "after {users}");
        store.close().await;
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= 8 * SIZE && size > 6 * SIZE, "pages of {page}: {size}");
    }
}

/// What has expired makes room before anyone ends.
#[tokio::test]
async fn expired_sessions_make_room() {
    let folder = Folder::new();
    let store = SqliteStore::builder(folder.join("sessions.db"), shop()).max_size(SIZE).open().await.unwrap();
    let mut users = 0;
    while store.create(CreateRequest::new(&record(Some(&user(&format!("user {users}"))), NOW)), NOW).await.is_ok() {
        users += 1;
    }
    let later = NOW + 60 * MINUTE;
    let alice = record(Some(&user("alice")), later);
    let created = store.create(CreateRequest::new(&alice), later).await.unwrap();
    assert_eq!(created, session_testbed::records::created(), "after {users} that have expired");
}
