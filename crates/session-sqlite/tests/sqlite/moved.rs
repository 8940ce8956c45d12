//! The file is moved, deleted or replaced while the store uses it: all that follows is an error.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_core::{StoreError, StoreErrorKind};
use session_testbed::records::{NOW, insert, load, record, user};

use crate::common::{Folder, connect, execute, open};

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("moved, deleted or replaced: stop"), "{error}");
}

/// Alice is logged in, and logs out after `mishap`: no logout is acknowledged that a store does not have that is opened
/// then.
async fn nothing_is_acknowledged_after(mishap: impl AsyncFnOnce(&Path)) {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let (alice, bob) = (record(Some(&user("alice")), NOW), record(Some(&user("bob")), NOW));
    insert(&store, &alice).await;
    // One connection that reads is there already, others come later.
    assert!(load(&store, &alice.id()).await.is_some());
    mishap(&path).await;
    for _ in 0..2 {
        let reads = (0..4).map(|_| {
            let (store, id) = (store.clone(), alice.id());
            tokio::spawn(async move { store.load(&id, Freshness::Latest).await })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_lost(read.await.unwrap());
        }
        let id = alice.id();
        let (out, login) = tokio::join!(store.delete(&id, alice.user()), store.create(CreateRequest::new(&bob), NOW),);
        assert_lost(out);
        assert_lost(login);
        assert_lost(store.list_by_user(&user("alice"), NOW).await);
        assert_lost(store.count(NOW).await);
        if !path.exists() {
            // Its log has what was acknowledged: SQLite would delete it.
            let error = open(&path).await.unwrap_err();
            assert!(error.to_string().contains("put the file back, or move the log away"), "{error}");
            let log = path.with_extension("db-wal");
            fs::rename(&log, log.with_extension("old")).unwrap();
        }
        // Also when there is a file again.
        open(&path).await.unwrap().close().await;
    }
    let (next, carol) = (open(&path).await.unwrap(), record(Some(&user("carol")), NOW));
    assert!(load(&next, &bob.id()).await.is_none());
    insert(&next, &carol).await;
    // What is beside the path is that of the next one.
    let log = || fs::metadata(path.with_extension("db-wal")).map(|log| log.ino()).unwrap();
    let before = log();
    store.close().await;
    assert_eq!(log(), before);
    assert!(load(&open(&path).await.unwrap(), &carol.id()).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_deleted_acknowledges_nothing() {
    nothing_is_acknowledged_after(async |path| fs::remove_file(path).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_renamed_acknowledges_nothing() {
    nothing_is_acknowledged_after(async |path| fs::rename(path, path.with_extension("old")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_acknowledges_nothing() {
    let replace = async |path: &Path| {
        let copy = path.with_extension("copy");
        execute(&mut connect(path).await, &format!("VACUUM INTO '{}'", copy.display())).await;
        // As it is restored, but for the restart.
        fs::remove_file(path.with_extension("db-wal")).unwrap();
        fs::remove_file(path.with_extension("db-shm")).unwrap();
        fs::rename(copy, path).unwrap();
    };
    nothing_is_acknowledged_after(replace).await;
}

/// What is beside it may be of another file by then.
#[tokio::test]
async fn a_file_that_came_back_is_still_lost() {
    let folder = Folder::new();
    let (path, away) = (folder.join("sessions.db"), folder.join("away.db"));
    let store = open(&path).await.unwrap();
    fs::rename(&path, &away).unwrap();
    assert_lost(store.count(NOW).await);
    fs::rename(&away, &path).unwrap();
    assert_lost(store.count(NOW).await);
    assert_lost(store.create(CreateRequest::new(&record(None, NOW)), NOW).await);
}

/// Each name of a file would have a log of its own.
#[tokio::test]
async fn a_file_with_two_names_is_refused() {
    let folder = Folder::new();
    let (path, second) = (folder.join("sessions.db"), folder.join("second.db"));
    open(&path).await.unwrap().close().await;
    fs::hard_link(&path, &second).unwrap();
    for path in [&path, &second] {
        let error = open(path).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
        assert!(error.to_string().contains("hard link"), "{error}");
    }
    fs::remove_file(&second).unwrap();
    open(&path).await.unwrap();
}
