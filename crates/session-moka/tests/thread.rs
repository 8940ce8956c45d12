//! The thread that frees memory ends with the store. Alone in its file: it counts the threads of the process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use common::{HOUR, insert, session};
use session_core::store::{Freshness, SessionStore};
use session_moka::MokaStore;
use session_testbed::records::{NOW, created};

fn sweepers() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
    // A thread may end between the listing and the reading.
    names.filter(|path| std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "session-moka")).count()
}

fn wait_for(sweepers_left: usize) {
    let start = Instant::now();
    while sweepers() != sweepers_left {
        assert!(start.elapsed() < Duration::from_secs(10), "{} threads are left", sweepers());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn the_thread_ends_when_the_last_handle_is_dropped() {
    let store = MokaStore::new();
    let clone = store.clone();
    wait_for(1);
    drop(store);
    let record = session(None, NOW, HOUR);
    assert_eq!(insert(&clone, &record, NOW).await.unwrap(), created());
    assert!(clone.load(&record.id(), Freshness::Latest).await.unwrap().is_some());
    assert_eq!(sweepers(), 1);
    let dropped = Instant::now();
    drop(clone);
    wait_for(0);
    assert!(dropped.elapsed() < Duration::from_millis(900), "the thread ended only when it woke up by itself");

    let stores: Vec<MokaStore> = (0..100).map(|_| MokaStore::new()).collect();
    wait_for(100);
    drop(stores);
    wait_for(0);
}
