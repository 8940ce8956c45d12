//! Two applications on one store: demos with different `--namespace`.

use serde_json::{Value, json};

use session_testbed::servers::query_file;

use crate::backend::Backend;
use crate::folder::Folder;
use crate::server::{Nodes, Server, empty_store, on_each, psql};
use crate::support::{Browser, Demo};

on_each!(
    a_cookie_is_worth_nothing_at_another_application,
    limits_and_revocation_are_those_of_one_application,
    tokens_are_worth_nothing_at_another_application,
    the_same_name_is_the_same_application,
);

/// Two applications whose names begin alike, with these options in common.
fn two(store: &str, options: &[&str]) -> Nodes {
    let demo = |name| Demo::start(&[&["--store", store, "--namespace", name], options].concat());
    Nodes { a: demo("a"), b: demo("a-b") }
}

async fn devices(browser: &Browser<'_>) -> usize {
    browser.get("/api/devices").await.assert(200).json().as_array().unwrap().len()
}

async fn a_cookie_is_worth_nothing_at_another_application(backend: Backend) {
    let Nodes { a, b } = &two(&empty_store(backend).await, &[]);
    for browser in [a.browser(), a.logged_in("alice").await] {
        browser.put("/api/data/cart", &json!(["tea"])).await.assert(204);
        let copy = browser.copy().at(b).copy();
        assert_eq!(copy.user().await, None);
        copy.get("/api/data/cart").await.assert_error(404, "not_found");
        copy.get("/api/sensitive").await.assert(401);
        copy.post("/api/logout", &Value::Null).await.assert(204);
        copy.post("/api/devices/revoke-all", &Value::Null).await.assert(401);
        // Nothing that was tried there has changed anything here.
        assert_eq!(browser.get("/api/data/cart").await.assert(200).json(), json!(["tea"]));
    }
    // A login there is one there.
    let alice = a.logged_in("alice").await;
    let copy = alice.copy().at(b).copy();
    copy.login("alice").await.assert(200);
    assert_eq!(copy.user().await.as_deref(), Some("alice"));
    assert_eq!((alice.user().await.as_deref(), devices(&alice).await, devices(&copy).await), (Some("alice"), 2, 1));
}

async fn limits_and_revocation_are_those_of_one_application(backend: Backend) {
    for on_limit in ["reject", "evict-oldest"] {
        let store = empty_store(backend).await;
        let Nodes { a, b } = &two(&store, &["--limit", "1", "--on-limit", on_limit]);
        let (here, there) = (a.logged_in("alice").await, b.logged_in("alice").await);
        let second = a.browser().login("alice").await;
        assert_eq!(second.status, if on_limit == "reject" { 409 } else { 200 });
        assert_eq!(here.user().await.is_some(), on_limit == "reject");
        assert_eq!((there.user().await.as_deref(), devices(&there).await), (Some("alice"), 1), "{on_limit}");

        // An id of the other application is none of this one's.
        let id = there.session_id().await;
        let bob = a.logged_in("bob").await;
        bob.delete(&format!("/api/devices/{id}")).await.assert_error(404, "not_found");
        if on_limit == "reject" {
            here.delete(&format!("/api/devices/{id}")).await.assert_error(404, "not_found");
            here.post("/api/devices/revoke-others", &Value::Null).await.assert(200);
            here.post("/api/devices/revoke-all", &Value::Null).await.assert(200);
            assert_eq!(here.copy().user().await, None);
        }
        assert_eq!((there.user().await.as_deref(), devices(&there).await), (Some("alice"), 1), "{on_limit}");
    }
}

/// Even if the applications share the keys that sign.
async fn tokens_are_worth_nothing_at_another_application(backend: Backend) {
    let folder = Folder::new();
    let Nodes { a, b } = &two(&empty_store(backend).await, &["--mode", "hybrid", "--keys", &folder.keys()]);
    let credentials = json!({ "username": "alice", "password": "correct-horse" });
    let pair = a.browser().post("/api/token", &credentials).await.assert(200).json();
    let (access, refresh) = (pair["access_token"].as_str().unwrap(), json!({ "refresh_token": pair["refresh_token"] }));
    let authorization = format!("Bearer {access}");
    let with_token = [("authorization", &*authorization)];

    b.browser().post("/api/token/refresh", &refresh).await.assert_error(400, "invalid_grant");
    // Verified without the store, and with it.
    for path in ["/api/whoami", "/api/me", "/api/devices"] {
        a.browser().send("GET", path, &with_token, "").await.assert(200);
        b.browser().send("GET", path, &with_token, "").await.assert_error(401, "invalid_token");
    }
    b.browser().post("/api/token/revoke", &json!({ "token": pair["refresh_token"] })).await.assert(200);
    b.browser().send("POST", "/api/devices/revoke-all", &with_token, "").await.assert_error(401, "invalid_token");
    // It was consumed nowhere, and ended by nobody.
    a.browser().send("GET", "/api/me", &with_token, "").await.assert(200);
    a.browser().post("/api/token/refresh", &refresh).await.assert(200);
}

async fn the_same_name_is_the_same_application(backend: Backend) {
    let nodes = Nodes::start(backend, &["--namespace", "left"]).await;
    let alice = nodes.a.logged_in("alice").await;
    assert_eq!(alice.at(&nodes.b).user().await.as_deref(), Some("alice"));
    alice.at(&nodes.b).post("/api/devices/revoke-all", &Value::Null).await.assert(200);
    assert_eq!(alice.copy().user().await, None);
}

/// A client-side session is not in the store, but signed: here with keys that the applications share.
#[tokio::test]
async fn a_signed_session_is_worth_nothing_at_another_application() {
    let folder = Folder::new();
    let keys = folder.keys();
    let demo = |name| Demo::start(&["--mode", "client", "--keys", &keys, "--namespace", name]);
    let (a, b, again) = (demo("a"), demo("b"), demo("a"));
    let alice = a.logged_in("alice").await;
    assert_eq!(alice.copy().at(&b).user().await, None);
    assert_eq!(alice.copy().at(&again).user().await.as_deref(), Some("alice"));
}

/// Cookies know no ports.
#[tokio::test]
async fn two_demos_on_ports_of_one_host_do_not_log_each_other_out() {
    let demo = |name| Demo::start(&["--insecure-cookies", "--namespace", name]);
    let (a, b) = (demo("a"), demo("b"));
    let alice = a.logged_in("alice").await;
    let bob = alice.at(&b);
    assert_eq!(bob.user().await, None);
    bob.login("bob").await.assert(200);
    for _ in 0..2 {
        assert_eq!((alice.user().await.as_deref(), bob.user().await.as_deref()), (Some("alice"), Some("bob")));
    }
    alice.login("carol").await.assert(200);
    assert_eq!(bob.user().await.as_deref(), Some("bob"));
    bob.post("/api/logout", &Value::Null).await.assert(204);
    assert_eq!((alice.user().await.as_deref(), bob.user().await), (Some("carol"), None));
}

/// Key words, and names that mean something else without quotes.
#[tokio::test]
async fn where_the_sessions_are() {
    let (redis, postgres) = (Server::launch(Backend::Redis).await, Server::launch(Backend::Postgres).await);
    let file = Server::launch(Backend::Sqlite).await;
    for (options, name) in [(&[][..], "session-demo"), (&["--namespace", "left"], "left"), (&["--namespace", "7"], "7")]
    {
        for (server, store) in [(&redis, redis.url()), (&postgres, postgres.url()), (&file, file.url())] {
            let demo = Demo::start(&[&["--store", &*store], options].concat());
            demo.logged_in("alice").await;
            match server {
                Server::Redis(redis) => {
                    let keys = redis.command(&["KEYS", &format!("{{{name}:????}}:u:alice")]).await.unwrap();
                    assert_eq!(keys.list().len(), 1, "{name}");
                }
                Server::Postgres(postgres) => {
                    let owners = format!("SELECT convert_from(user_id, 'UTF8') FROM \"{name}\".session");
                    assert_eq!(psql(postgres, &owners), "alice");
                }
                Server::Sqlite(folder) => {
                    let owners = format!("SELECT CAST(user_id AS TEXT) FROM \"session.{name}\"");
                    assert_eq!(query_file(&folder.0.join("sessions.db"), &owners).await.unwrap(), "alice");
                }
            }
        }
    }
}
