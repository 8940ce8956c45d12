//! The option `--cache`.

use std::time::Duration;

use serde_json::Value;

use crate::backend::Backend;
use crate::server::{Nodes, on_both};
use crate::support::{Demo, assert_refused};

/// What the cache of a demo says of itself.
async fn cache(demo: &Demo) -> Value {
    demo.browser().get("/api/cache").await.assert(200).json()
}

on_both!(reads_cost_nothing_and_what_ended_elsewhere_is_heard_of);

/// A copy would be good for ten minutes if nothing were heard.
async fn reads_cost_nothing_and_what_ended_elsewhere_is_heard_of(backend: Backend) {
    let nodes = Nodes::start(backend, &["--cache", "10m"]).await;
    let alice = nodes.a.logged_in("alice").await;
    assert_eq!(alice.copy().at(&nodes.b).user().await.as_deref(), Some("alice"));
    for demo in [&nodes.a, &nodes.b] {
        in_time(async || cache(demo).await["feed"] == "live").await;
    }
    // What was loaded before the feed was followed is not what it tells of.
    let there = alice.copy().at(&nodes.b);
    there.post("/api/counter/n", &Value::Null).await.assert(200);
    let before = cache(&nodes.b).await;
    for _ in 0..20 {
        assert_eq!(there.user().await.as_deref(), Some("alice"));
    }
    let after = cache(&nodes.b).await;
    assert_eq!(after["misses"], before["misses"], "{before} {after}");
    assert_eq!(after["hits"].as_u64(), before["hits"].as_u64().map(|hits| hits + 20), "{before} {after}");
    assert!(after["lag_ms"].is_u64(), "{after}");
    // A write is heard of, too.
    alice.post("/api/counter/n", &Value::Null).await.assert(200);
    in_time(async || there.get("/api/data/n").await.json() == 2).await;
    let old = alice.copy();
    alice.post("/api/logout", &Value::Null).await.assert(204);
    assert_eq!(old.user().await, None, "where it was logged out");
    in_time(async || there.user().await.is_none()).await;
}

/// Asks until the answer is yes.
async fn in_time(mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it never became so");
}

#[tokio::test]
async fn without_a_cache_there_is_nothing_to_tell() {
    let demo = Demo::start(&[]);
    demo.browser().get("/api/cache").await.assert_error(404, "not_found");
}

#[tokio::test]
async fn a_cache_needs_sessions_that_are_stored() {
    assert_refused(&["--mode", "client", "--cache", "5s"], &["--cache is for --mode cookie and --mode hybrid"]).await;
    let demo = Demo::start(&["--mode", "hybrid", "--cache", "5s"]);
    let counts = ["hits", "misses", "entries"].map(|count| cache_of(&demo, count));
    assert_eq!(futures::future::join_all(counts).await, [0, 0, 0]);
}

async fn cache_of(demo: &Demo, count: &str) -> u64 {
    cache(demo).await[count].as_u64().unwrap()
}
