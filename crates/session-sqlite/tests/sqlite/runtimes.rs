//! A store is used from several runtimes.

use session_core::DeleteOutcome;
use session_core::store::SessionStore;
use session_testbed::records::{NOW, insert, load, record, user};
use tokio::runtime::Builder;

use crate::common::{Folder, open};

/// The runtime in which the store was opened ends, with calls under way; the next one goes on.
#[test]
fn a_store_outlives_its_runtime() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let first = Builder::new_current_thread().enable_all().build().unwrap();
    let store = first.block_on(open(&path)).unwrap();
    let alice = record(Some(&user("alice")), NOW);
    first.block_on(async {
        insert(&store, &alice).await;
        for _ in 0..64 {
            let (writer, reader, id) = (store.clone(), store.clone(), alice.id());
            tokio::spawn(async move { insert(&writer, &record(None, NOW)).await });
            tokio::spawn(async move { load(&reader, &id).await });
        }
        tokio::task::yield_now().await;
    });
    drop(first);
    for threads in [1, 4] {
        let next = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        next.block_on(async {
            assert!(load(&store, &alice.id()).await.is_some());
            let bob = record(Some(&user("bob")), NOW);
            insert(&store, &bob).await;
            assert_eq!(store.delete(&bob.id(), bob.user()).await.unwrap(), DeleteOutcome::Deleted);
        });
    }
    let last = Builder::new_current_thread().enable_all().build().unwrap();
    last.block_on(store.close());
}

/// Dropping the last handle ends the threads and closes the file.
#[tokio::test]
async fn dropping_the_last_handle_closes_the_file() {
    let folder = Folder::new();
    let store = open(&folder.join("sessions.db")).await.unwrap();
    insert(&store, &record(None, NOW)).await;
    assert!(folder.join("sessions.db-wal").exists());
    drop(store);
    while folder.join("sessions.db-wal").exists() {
        tokio::task::yield_now().await;
    }
}
