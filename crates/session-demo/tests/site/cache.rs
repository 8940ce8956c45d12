//! The option `--cache`.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::server::Nodes;
use crate::support::{Browser, Demo, assert_refused};

/// What the cache of a demo says of itself.
async fn cache(demo: &Demo) -> Value {
    demo.browser().get("/api/cache").await.assert(200).json()
}

/// Until a request of the browser is that of a visitor.
async fn until_logged_out(browser: &Browser<'_>) {
    while browser.user().await.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_come_from_copies_and_a_logout_reaches_every_node() {
    let nodes = Nodes::start(Backend::Redis, &["--cache", "1s"]).await;
    let alice = nodes.a.logged_in("alice").await;
    let there = alice.copy().at(&nodes.b);
    for _ in 0..10 {
        for tab in [&alice, &there] {
            assert_eq!(tab.user().await.as_deref(), Some("alice"));
        }
    }
    // Each node has loaded the session once at most, or once more for each second that this took.
    for demo in [&nodes.a, &nodes.b] {
        let cache = cache(demo).await;
        assert!(cache["hits"].as_u64() > Some(0), "{cache}");
        assert_eq!((&cache["entries"], &cache["feed"], &cache["lag_ms"]), (&json!(1), &json!("lost"), &Value::Null));
    }
    let old = alice.copy();
    alice.post("/api/logout", &Value::Null).await.assert(204);
    assert_eq!(old.user().await, None, "where it was logged out");
    until_logged_out(&there).await;
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
