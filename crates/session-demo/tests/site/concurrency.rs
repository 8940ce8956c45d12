//! Many requests at once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Browser, Demo};

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_different_keys_lose_nothing() {
    let demo = Demo::start(&[]);
    for browser in [demo.browser(), demo.logged_in("alice").await] {
        browser.put("/api/data/first", &json!(0)).await.assert(204);
        let writes = join_all((0..64).map(|number| {
            let browser = browser.copy();
            async move { browser.put(&format!("/api/data/k{number}?delay_ms=5"), &json!(number)).await.status }
        }));
        assert!(writes.await.iter().all(|status| *status == 204));
        for number in 0..64 {
            assert_eq!(browser.get(&format!("/api/data/k{number}")).await.assert(200).json(), number);
        }
        assert_eq!(browser.get("/api/data").await.json()["keys"].as_array().unwrap().len(), 65);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_and_no_value_is_returned_twice() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    let counts = join_all((0..64).map(|_| {
        let tab = alice.copy();
        async move { tab.post("/api/counter/n?delay_ms=5", &Value::Null).await.assert(200).json()["value"].as_u64() }
    }));
    let values: BTreeSet<_> = counts.await.into_iter().flatten().collect();
    assert_eq!(values, (1..=64).collect());
    assert_eq!(alice.get("/api/data/n").await.json(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_stays_a_logout() {
    let demo = Demo::start(&["--limit", "100"]);
    join_all((0..20).map(async |_| {
        let alice = demo.logged_in("alice").await;
        let (slow, copy) = (alice.copy(), alice.copy());
        let late = slow.send("PUT", "/api/data/late?delay_ms=1000", &[], "\"resurrected\"");
        let logout = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            alice.post("/api/logout", &Value::Null).await.assert(204);
            assert_eq!(copy.user().await, None, "the old cookie is dead at once");
        };
        let (late, ()) = tokio::join!(late, logout);
        late.assert_error(401, "session_gone");
        assert_eq!(late.header("set-cookie"), None);
        assert_eq!(copy.user().await, None, "and stays dead");
        copy.get("/api/data/late").await.assert_error(404, "not_found");
    }))
    .await;
}

/// 16 browsers log in at once. Returns the statuses, and how many are logged in afterwards.
async fn stampede(demo: &Demo) -> (Vec<u16>, usize) {
    let browsers: Vec<Browser<'_>> = (0..16).map(|_| demo.browser()).collect();
    let logins = join_all(browsers.iter().map(async |browser| browser.login("alice").await));
    let statuses = logins.await.iter().map(|answer| answer.status.as_u16()).collect();
    let users = join_all(browsers.iter().map(Browser::user)).await;
    (statuses, users.iter().flatten().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_under_simultaneous_logins() {
    for on_limit in [&[][..], &["--on-limit", "evict-oldest"], &["--on-limit", "evict-least-recent"]] {
        let demo = Demo::start(&[&["--limit", "3"], on_limit].concat());
        assert_eq!(stampede(&demo).await, (vec![200; 16], 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_can_reject() {
    let demo = Demo::start(&["--limit", "3", "--on-limit", "reject"]);
    let (mut statuses, live) = stampede(&demo).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 3], vec![409; 13]].concat());
    assert_eq!(live, 3);
    let browser = demo.browser();
    browser.put("/api/data/cart", &json!(["tea"])).await.assert(204);
    browser.login("alice").await.assert_error(409, "session_limit_reached");
    assert_eq!(browser.get("/api/data/cart").await.json(), json!(["tea"]), "the anonymous session keeps its values");
    browser.login("bob").await.assert(200);
}
