//! What copies take is what the capacity counts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::RecordBuilder;
use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_core::{SessionId, Timestamp, UserId};
use session_moka::MokaStore;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_000);
const COUNT: usize = 4_000;

#[test]
fn copies_take_what_is_said() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Decodes each record anew, as a store with a server does.
    let server = Arc::new(MokaStore::new());
    let ids: Vec<SessionId> = (0..COUNT)
        .map(|number| {
            let user = UserId::new(format!("user-{number}")).unwrap();
            let record = RecordBuilder::new(NOW).of(&user).value("profile", "x".repeat(500)).build().unwrap();
            let _ = runtime.block_on(server.create(CreateRequest::new(&record), NOW)).unwrap();
            record.id()
        })
        .collect();
    let store = CachedStore::builder(Arc::clone(&server), Duration::from_secs(60)).build();
    let load = |id: &SessionId| assert!(runtime.block_on(store.load(id, Freshness::Cached)).unwrap().is_some());
    let taken = allocation_counter::measure(|| {
        ids.iter().for_each(load);
        assert_eq!(store.stats().entries, COUNT as u64);
    });
    let (counted, taken) = (store.stats().bytes, u64::try_from(taken.bytes_current).unwrap());
    println!("counted {} bytes for each copy, taken {}", counted / COUNT as u64, taken / COUNT as u64);
    assert!(taken <= counted && counted <= 2 * taken, "counted {counted} bytes, taken {taken}");
}
