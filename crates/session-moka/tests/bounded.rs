//! With nothing configured, the decoded copies of busy sessions have their bound.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateRequest, Freshness, SessionStore as _};
use session_core::{Clock as _, ManualClock, OsEntropy, SessionId, UserId};
use session_moka::MokaStore;

const SESSIONS: u64 = 3000;
const VALUE: usize = 32 * 1024;
const MIB: i64 = 1 << 20;

/// All of them are in use, again and again, and would have copies of 94 MiB.
#[test]
fn copies_of_busy_sessions_do_not_fill_the_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, now) = (MokaStore::new(), ManualClock::default().now());
    let ids: Vec<SessionId> = (0..SESSIONS)
        .map(|number| {
            let user = UserId::new(format!("user-{number}")).unwrap();
            let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
            let day = Duration::from_secs(24 * 3600);
            let record = RecordBuilder::new(now).id(id).of(&user).timeouts(day, day).value("note", vec![7; VALUE]);
            let _ = runtime.block_on(store.create(CreateRequest::new(&record.build().unwrap()), now)).unwrap();
            id
        })
        .collect();
    // A copy is made of what is loaded often.
    let grown = allocation_counter::measure(|| {
        for id in ids.iter().cycle().take(ids.len() * 32) {
            assert!(runtime.block_on(store.load(id, Freshness::Cached)).unwrap().is_some());
        }
    });
    let grown = grown.bytes_current / MIB;
    assert!((8..64).contains(&grown), "the copies occupy {grown} MiB");
}
