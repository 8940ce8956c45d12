//! Helpers for the tests of this crate.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

pub mod tls;

use std::time::{Duration, Instant};

use session_core::store::Record;
use session_core::{SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::calls::Call;
use session_testbed::records::{NOW, insert, record, shop, user};
use session_testbed::servers::{Redis, Reply};

/// The operations that ask the server: not `DeleteExpired`.
pub const CALLS: &[Call] = Call::ALL.split_at(Call::ALL.len() - 1).0;

/// A server, a store on it, and a session of `alice` that is stored there.
pub async fn with_session() -> (Redis, RedisStore, UserId, Record) {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let session = record(Some(&alice), NOW);
    insert(&store, &session).await;
    (server, store, alice, session)
}

/// Runs one command, written with spaces.
pub async fn run(server: &Redis, command: &str) -> Reply {
    server.command(&command.split(' ').collect::<Vec<_>>()).await.unwrap()
}

/// The key of a user's session, in the application `shop`.
pub fn session_key(user: &UserId, id: &SessionId) -> String {
    format!("{{shop:{:04x}}}:s:{id}", user.shard())
}

/// The key of a user's index, in the application `shop`.
pub fn index_key(user: &UserId) -> String {
    format!("{{shop:{:04x}}}:u:{}", user.shard(), user.as_str())
}

/// Every key, with its time to live in milliseconds (-1: none). Without tombstones.
pub async fn keys(server: &Redis) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    for key in run(server, "KEYS *").await.list() {
        if key.text().contains("}:s:") && server.command(&["STRLEN", key.text()]).await.unwrap().number() == Some(1) {
            continue;
        }
        let ttl = server.command(&["PTTL", key.text()]).await.unwrap();
        found.push((key.text().to_owned(), ttl.number().unwrap()));
    }
    found
}

/// Every key has a time to live. -2: it has expired since it was listed.
pub async fn assert_all_expire(server: &Redis, after: &str) {
    for (key, ttl) in keys(server).await {
        assert!(ttl > 0 || ttl == -2, "{key} has no time to live after {after}");
    }
}

/// Closes all connections of clients.
pub async fn cut_clients(server: &Redis) {
    run(server, "CLIENT KILL TYPE normal SKIPME yes").await;
}

/// Waits until `condition` holds, and returns how long it took.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(60), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}
