//! Login, logout, who is logged in, and the sensitive route.

use serde_json::{Value, json};

use crate::program::HAS_PAGES;
use crate::support::Demo;

#[tokio::test]
async fn login_and_logout() {
    let demo = Demo::start(&[]);
    let alice = demo.browser();
    let answer = alice.login("alice").await;
    answer.assert(200);
    let set_cookie = answer.header("set-cookie").unwrap();
    assert!(set_cookie.starts_with("__Host-id="), "{set_cookie}");
    assert!(set_cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{set_cookie}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let answer = answer.json();
    let me = alice.get("/api/me").await.json();
    assert_eq!((&answer["user"], &answer["session_id"]), (&json!("alice"), &me["session_id"]));
    assert_eq!(me["user"], "alice");

    let copy = alice.copy();
    alice.post("/api/logout", &Value::Null).await.assert(204);
    assert_eq!(alice.cookie(), None);
    for browser in [&alice, &copy] {
        assert_eq!(browser.user().await, None);
    }
    alice.post("/api/logout", &Value::Null).await.assert(204);
    alice.get("/api/logout").await.assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn answers_to_a_user_are_kept_out_of_caches() {
    const UNCACHED: Option<&str> = Some("private, no-store");
    let demo = Demo::start(&[]);
    let (alice, visitor) = (demo.logged_in("alice").await, demo.browser());
    let routes = ["/api/me", "/api/devices", "/api/sensitive", "/api/data", "/api/data/none"];
    let pages = if HAS_PAGES { &["/", "/devices", "/kinds"][..] } else { &[] };
    for path in routes.iter().chain(pages) {
        assert_eq!(alice.get(path).await.header("cache-control"), UNCACHED, "{path}");
        assert_eq!(visitor.get(path).await.header("cache-control"), None, "{path}");
    }
    assert_eq!(alice.get("/api/ping").await.header("cache-control"), None);
    assert_eq!(alice.post("/api/logout", &Value::Null).await.header("cache-control"), UNCACHED);
}

#[tokio::test]
async fn a_login_that_fails_does_not_touch_the_session() {
    let demo = Demo::start(&["--limit", "1"]);
    let alice = demo.logged_in("alice").await;
    let before = alice.get("/api/me").await.json();
    for (username, password) in [
        ("alice", "wrong"),
        ("alice", "correct-horses"),
        ("Alice", "correct-horse"),
        ("mallory", "correct-horse"),
        ("", ""),
    ] {
        let credentials = json!({ "username": username, "password": password });
        for browser in [demo.browser(), alice.copy()] {
            let answer = browser.post("/api/login", &credentials).await;
            answer.assert_error(401, "invalid_credentials");
            assert_eq!((answer.header("set-cookie"), answer.header("vary")), (None, None));
        }
    }
    assert_eq!(alice.get("/api/me").await.json(), before);
}

#[tokio::test]
async fn me_shows_the_session_and_its_deadlines() {
    let demo = Demo::start(&["--idle", "20m", "--absolute", "2h"]);
    let browser = demo.browser();
    let none = json!({ "user": null, "session_id": null, "created_at": null, "last_seen": null,
        "idle_deadline": null, "absolute_deadline": null });
    let answer = browser.get("/api/me").await;
    assert_eq!(answer.json(), none);
    assert_eq!(answer.header("set-cookie"), None);

    browser.put("/api/data/x", &json!(1)).await.assert(204);
    let me = browser.get("/api/me").await.json();
    assert_eq!(me["user"], Value::Null);
    assert!(me["session_id"].is_string(), "an anonymous session that holds something is stored");

    browser.login("alice").await.assert(200);
    let me = browser.get("/api/me").await.json();
    let time = |name: &str| me[name].as_i64().unwrap();
    assert_eq!(time("idle_deadline") - time("last_seen"), 20 * 60 * 1000);
    assert_eq!(time("absolute_deadline") - time("created_at"), 2 * 60 * 60 * 1000);
    assert!(time("created_at") > 1_700_000_000_000, "milliseconds since the epoch");
}

#[tokio::test]
async fn remember_me_makes_the_cookie_persistent() {
    let demo = Demo::start(&["--insecure-cookies"]);
    let browser = demo.browser();
    let credentials = json!({ "username": "alice", "password": "correct-horse", "remember": true });
    let answer = browser.post("/api/login", &credentials).await;
    let set_cookie = answer.assert(200).header("set-cookie").unwrap();
    assert!(set_cookie.starts_with("id-session-demo="), "{set_cookie}");
    assert!(set_cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"), "{set_cookie}");
}

#[tokio::test]
async fn who_may_embed_it_is_said_to_browsers_and_the_cookie_is_partitioned() {
    let (alone, embedders) = ("frame-ancestors 'none';", "frame-ancestors https://a.example https://b.example:8443;");
    let options = ["--embedded-by", "https://A.example", "--embedded-by", "https://b.example:8443"];
    for (options, ancestors) in [(&[][..], alone), (&options, embedders)] {
        let demo = Demo::start(options);
        let answer = demo.browser().login("alice").await;
        let cookie = answer.header("set-cookie").unwrap();
        if HAS_PAGES {
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains(ancestors), "{policy}");
        }
        let is_embedded = cookie.starts_with("__Host-embedded=")
            && ["SameSite=None", "Secure", "Partitioned"].iter().all(|attribute| cookie.contains(attribute));
        assert_eq!(is_embedded, !options.is_empty(), "{cookie}");
    }
}

#[tokio::test]
async fn only_the_cart_is_carried_into_a_login_and_nothing_to_another_user() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    let cart = json!(["tea", { "name": "cup", "price": 4.5 }]);
    browser.put("/api/data/cart", &cart).await.assert(204);
    browser.put("/api/data/note", &json!("x")).await.assert(204);
    let before = browser.copy();

    browser.login("alice").await.assert(200);
    assert_eq!(browser.get("/api/data/cart").await.json(), cart);
    browser.get("/api/data/note").await.assert_error(404, "not_found");
    assert_eq!(before.get("/api/me").await.json()["session_id"], Value::Null, "the session before the login is gone");

    let alice = browser.copy();
    browser.login("bob").await.assert(200);
    assert_eq!(browser.user().await.as_deref(), Some("bob"));
    browser.get("/api/data/cart").await.assert_error(404, "not_found");
    assert_eq!(alice.user().await, None, "the session of the user before is gone");
}

#[tokio::test]
async fn the_sensitive_route_needs_a_recent_login_or_reauthentication() {
    let demo = Demo::start(&[]);
    demo.browser().get("/api/sensitive").await.assert_error(401, "unauthenticated");
    demo.browser()
        .post("/api/reauthenticate", &json!({ "password": "correct-horse" }))
        .await
        .assert_error(401, "unauthenticated");
    let alice = demo.logged_in("alice").await;
    let answer = alice.get("/api/sensitive").await;
    assert_eq!(answer.assert(200).json()["user"], "alice");

    let before = alice.copy();
    alice.post("/api/reauthenticate", &json!({ "password": "wrong" })).await.assert_error(401, "invalid_credentials");
    assert_eq!(alice.cookie(), before.cookie());
    let id = alice.session_id().await;
    alice.post("/api/reauthenticate", &json!({ "password": "correct-horse" })).await.assert(204);
    assert_ne!(alice.cookie(), before.cookie(), "a step-up replaces the token");
    assert_eq!(alice.session_id().await, id);
    alice.get("/api/sensitive").await.assert(200);
    before.get("/api/sensitive").await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn cross_origin_requests_are_refused() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    for path in ["/api/login", "/api/logout", "/api/devices/revoke-all", "/api/data/x"] {
        let answer = alice.send("POST", path, &[("sec-fetch-site", "cross-site")], "{}").await;
        answer.assert_error(403, "cross_origin");
        assert_eq!(answer.header("vary"), Some("Sec-Fetch-Site, Origin"));
    }
    let pages = if HAS_PAGES { &["/login", "/logout", "/devices/revoke-all", "/count"][..] } else { &[] };
    for path in pages {
        let answer = alice.send("POST", path, &[("origin", "https://evil.example")], "").await;
        assert!(answer.assert(403).text().contains("Another site"), "{path}");
    }
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
}
