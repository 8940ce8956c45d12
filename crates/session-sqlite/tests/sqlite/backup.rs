//! A backup while the store is in use.

use session_core::store::SessionStore;
use session_testbed::records::{NOW, insert, load, record, user};

use crate::common::{Folder, connect, execute, open};

/// As the documentation says: `VACUUM INTO`, through another connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_sessions_are_written_has_them() {
    let folder = Folder::new();
    let (path, copy) = (folder.join("sessions.db"), folder.join("copy.db"));
    let store = open(&path).await.unwrap();
    let mut before = Vec::new();
    for n in 0..200 {
        let record = record(Some(&user(&format!("user {n}"))), NOW);
        insert(&store, &record).await;
        before.push(record);
    }
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                insert(&store, &record(None, NOW)).await;
            }
        })
    };
    let mut other = connect(&path).await;
    execute(&mut other, &format!("VACUUM INTO '{}'", copy.display())).await;
    writing.abort();
    let copied = open(&copy).await.unwrap();
    for record in &before {
        assert!(load(&copied, &record.id()).await.is_some());
    }
    let later = copied.count(NOW).await.unwrap().sessions;
    assert!(later >= 200 && later <= store.count(NOW).await.unwrap().sessions);
    // It is a store like any other.
    insert(&copied, &record(None, NOW)).await;
}
