//! Client-side sessions, with two demos and one key file.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::folder::Folder;
use crate::program::HAS_PAGES;
use crate::server::Server;
use crate::support::Demo;

fn demo(keys: &str) -> Demo {
    Demo::start(&["--mode", "client", "--keys", keys])
}

#[tokio::test]
async fn sessions_work_without_a_store() {
    let folder = Folder::new();
    let (a, b) = (demo(&folder.keys()), demo(&folder.keys()));
    let alice = a.browser();
    alice.put("/api/data/cart", &json!(["tea"])).await.assert(204);
    alice.at(&b).login("alice").await.assert(200);
    for (turn, node) in [&a, &b, &a].into_iter().enumerate() {
        assert_eq!(alice.at(node).user().await.as_deref(), Some("alice"));
        assert_eq!(alice.at(node).get("/api/data/cart").await.assert(200).json(), json!(["tea"]));
        let counted = alice.at(node).post("/api/counter/n", &Value::Null).await;
        assert_eq!(counted.assert(200).json()["value"], turn + 1);
    }
    alice.at(&b).get("/api/sensitive").await.assert(200);
    let size = alice.cookie().unwrap().len();
    assert!((500..800).contains(&size), "{size} bytes; /kinds says from 500");

    // A copy of the cookie stays valid: without a store, a logout is known to no server.
    let copy = alice.copy();
    alice.at(&b).post("/api/logout", &Value::Null).await.assert(204);
    assert_eq!((alice.cookie(), alice.user().await), (None, None));
    assert_eq!(copy.user().await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn sessions_survive_a_restart_and_are_refused_with_other_keys() {
    let folder = Folder::new();
    let first = demo(&folder.keys());
    let alice = first.logged_in("alice").await;
    first.signal("TERM");
    let again = demo(&folder.keys());
    let other_keys = Demo::start(&["--mode", "client"]);
    assert_eq!(alice.at(&again).user().await.as_deref(), Some("alice"));
    let elsewhere = alice.copy();
    assert_eq!(elsewhere.at(&other_keys).user().await, None);
    elsewhere.at(&other_keys).put("/api/data/a", &json!(1)).await.assert(204);
    assert_eq!(elsewhere.at(&again).user().await, None, "and the other way round");
}

#[tokio::test]
async fn a_value_too_large_for_a_cookie_is_refused_and_nothing_is_lost() {
    let demo = Demo::start(&["--mode", "client"]);
    for browser in [demo.browser(), demo.logged_in("alice").await] {
        browser.put("/api/data/kept", &json!("here")).await.assert(204);
        let before = browser.cookie();
        let large = browser.put("/api/data/large", &json!("x".repeat(3000))).await;
        large.assert_error(413, "session_too_large");
        assert_eq!(large.header("set-cookie"), None);
        assert_eq!(browser.cookie(), before);
        assert_eq!(browser.get("/api/data/kept").await.assert(200).json(), "here");
        browser.get("/api/data/large").await.assert_error(404, "not_found");
    }
}

#[tokio::test]
async fn device_routes_are_unsupported() {
    let demo = Demo::start(&["--mode", "client"]);
    let alice = demo.logged_in("alice").await;
    for (method, path) in [
        ("GET", "/api/devices"),
        ("DELETE", "/api/devices/AAAAAAAAAAAAAAAAAAAAAA"),
        ("POST", "/api/devices/revoke-others"),
        ("POST", "/api/devices/revoke-all"),
    ] {
        for browser in [&alice, &demo.browser()] {
            let answer = browser.send(method, path, &[], "").await;
            answer.assert_error(501, "session_unsupported");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    let pages = [("GET", "/devices"), ("POST", "/devices/revoke-others"), ("POST", "/devices/revoke-all")];
    for (method, path) in pages.into_iter().filter(|_| HAS_PAGES) {
        let answer = alice.send(method, path, &[], "").await;
        assert!(answer.assert(501).text().contains("No list in this mode"));
    }
    assert_eq!(alice.user().await.as_deref(), Some("alice"), "nothing was ended");
}

/// With `--store`, the ids of ended sessions are kept there.
#[tokio::test]
async fn with_a_deny_list_a_logout_holds_for_every_copy() {
    for backend in [Backend::Redis, Backend::Postgres, Backend::Sqlite] {
        let (folder, server) = (Folder::new(), Server::launch(backend).await);
        let (keys, store) = (folder.keys(), server.url());
        let options = ["--mode", "client", "--keys", &keys, "--store", &store];
        let (a, b) = (Demo::start(&options), Demo::start(&options));
        let (alice, other) = (a.logged_in("alice").await, b.logged_in("alice").await);
        assert_eq!(server.records().await, 0, "sessions are not in the store");
        let copy = alice.copy();
        alice.post("/api/logout", &Value::Null).await.assert(204);
        assert_eq!(server.records().await, 1);
        for node in [&a, &b] {
            assert_eq!(copy.copy().at(node).user().await, None);
            assert_eq!(other.at(node).user().await.as_deref(), Some("alice"));
        }
        if backend == Backend::Sqlite {
            continue; // It has no server that could be down.
        }
        server.process().stop().await.unwrap();
        other.get("/api/me").await.assert_error(503, "session_store_unavailable");
        assert!(other.cookie().is_some());
    }
}
