//! Visitors that keep no cookie: `--max-visitors`.

use futures::future::join_all;
use serde_json::json;

use crate::backend::Backend;
use crate::server::{empty_store, on_each};
use crate::support::{Browser, Demo};

on_each!(a_flood_of_visitors_keeps_nobody_out);

#[tokio::test]
async fn a_flood_of_visitors_keeps_nobody_out_in_memory() {
    a_flood("memory").await;
}

async fn a_flood_of_visitors_keeps_nobody_out(backend: Backend) {
    a_flood(&empty_store(backend).await).await;
}

/// With as few as 40 the limit is exact in every store.
async fn a_flood(store: &str) {
    let demo = Demo::start(&["--store", store, "--max-visitors", "40"]);
    let alice = demo.logged_in("alice").await;
    let first = visit(&demo).await;
    let (mut visitors, mut users) = (Vec::new(), vec![alice]);
    for _ in 0..20 {
        let (arrived, bob) = tokio::join!(join_all((0..10).map(|_| visit(&demo))), demo.logged_in("bob"));
        visitors.extend(arrived);
        users.push(bob);
        // Bob's devices are limited too; let him leave.
        users.split_off(1)[0].post("/api/logout", &json!(null)).await.assert(204);
    }
    // Visits at once may each have counted without the others; this one did not.
    visitors.push(visit(&demo).await);
    assert_eq!(users[0].user().await.as_deref(), Some("alice"));
    assert!(!lives(&first).await, "the first visitor had to go");
    let mut living = 0;
    for visitor in &visitors {
        living += u32::from(lives(visitor).await);
    }
    assert!((20..=40).contains(&living), "{living} visitors live on {store}");
    assert!(lives(&visitors[200]).await, "the last one lives");
}

async fn visit(demo: &Demo) -> Browser<'_> {
    let browser = demo.browser();
    browser.put("/api/data/cart", &json!(["tea"])).await.assert(204);
    browser
}

async fn lives(visitor: &Browser<'_>) -> bool {
    visitor.get("/api/data/cart").await.status == 200
}
