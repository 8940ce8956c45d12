//! Access and refresh tokens, with two demos on one store and one key file.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::folder::Folder;
use crate::program::HAS_PAGES;
use crate::server::{Nodes, empty_store, on_each};
use crate::support::{Answer, Demo};

on_each!(
    a_login_on_one_node_is_good_on_the_other,
    of_64_simultaneous_refreshes_one_rotates,
    reuse_ends_the_session_everywhere_and_for_good,
    a_revocation_on_one_node_is_noticed_on_the_other,
);

/// Two demos that share everything, with their keys in this folder.
async fn nodes(backend: Backend, folder: &Folder) -> Nodes {
    Nodes::on(&empty_store(backend).await, &["--mode", "hybrid", "--keys", &folder.keys()])
}

#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        let body = answer.assert(200).json();
        assert_eq!((&body["token_type"], answer.header("cache-control")), (&json!("Bearer"), Some("no-store")));
        assert_eq!(answer.header("set-cookie"), None);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

async fn login(demo: &Demo, user: &str) -> Pair {
    let credentials = json!({ "username": user, "password": "correct-horse" });
    Pair::of(&demo.browser().post("/api/token", &credentials).await)
}

async fn refresh(demo: &Demo, token: &str) -> Answer {
    demo.browser().post("/api/token/refresh", &json!({ "refresh_token": token })).await
}

async fn call(demo: &Demo, method: &str, path: &str, access: &str) -> Answer {
    demo.browser().send(method, path, &[("authorization", &format!("Bearer {access}"))], "").await
}

async fn a_login_on_one_node_is_good_on_the_other(backend: Backend) {
    let folder = Folder::new();
    let Nodes { a, b } = &nodes(backend, &folder).await;
    let first = login(a, "alice").await;
    let jwks = a.browser().get("/.well-known/jwks.json").await;
    assert_eq!(b.browser().get("/.well-known/jwks.json").await.assert(200).text(), jwks.assert(200).text());

    let second = Pair::of(&refresh(b, &first.refresh).await);
    let third = Pair::of(&refresh(a, &second.refresh).await);
    for node in [a, b] {
        for pair in [&first, &second, &third] {
            let me = call(node, "GET", "/api/me", &pair.access).await;
            assert_eq!(me.header("cache-control"), Some("private, no-store"));
            let me = me.assert(200).json();
            let whoami = call(node, "GET", "/api/whoami", &pair.access).await.assert(200).json();
            assert_eq!((&me["user"], &me["session_id"]), (&json!("alice"), &whoami["session_id"]));
            let devices = call(node, "GET", "/api/devices", &pair.access).await.assert(200).json();
            assert_eq!(devices.as_array().unwrap().len(), 1);
            assert_eq!((&devices[0]["kind"], &devices[0]["current"]), (&json!("refresh_token"), &json!(true)));
            assert_eq!(devices[0]["ip"], "127.0.0.1", "where the login came from");
        }
    }
    if HAS_PAGES {
        let devices = b.logged_in("alice").await.get("/devices").await;
        assert_eq!(devices.assert(200).text().matches("with a refresh token").count(), 1);
    }
    let wrong = json!({ "username": "alice", "password": "wrong" });
    a.browser().post("/api/token", &wrong).await.assert_error(400, "invalid_grant");
}

async fn of_64_simultaneous_refreshes_one_rotates(backend: Backend) {
    let folder = Folder::new();
    let nodes = nodes(backend, &folder).await;
    let first = login(&nodes.a, "alice").await;
    let answers = join_all((0..64).map(|number| refresh(nodes.turn(number), &first.refresh))).await;
    let successors: BTreeSet<String> = answers.iter().map(|answer| Pair::of(answer).refresh).collect();
    assert_eq!(successors.len(), 1, "all get the same successor");
    let successor = successors.first().unwrap();
    assert_ne!(*successor, first.refresh);
    let next = Pair::of(&refresh(&nodes.b, successor).await);
    let devices = call(&nodes.a, "GET", "/api/devices", &next.access).await.assert(200).json();
    assert_eq!(devices.as_array().unwrap().len(), 1);
}

/// In the policy for high assurance there is no grace window.
async fn reuse_ends_the_session_everywhere_and_for_good(backend: Backend) {
    let (folder, store) = (Folder::new(), empty_store(backend).await);
    let options = ["--mode", "hybrid", "--keys", &folder.keys(), "--policy", "high-assurance"];
    let nodes = Nodes::on(&store, &options);
    let first = login(&nodes.a, "alice").await;
    let second = Pair::of(&refresh(&nodes.b, &first.refresh).await);
    let newest = Pair::of(&refresh(&nodes.a, &second.refresh).await);
    // Which tokens were used is in the store, not in a process.
    let nodes = nodes.restart(&store, &options);
    call(&nodes.b, "GET", "/api/me", &newest.access).await.assert(200);
    refresh(&nodes.b, &first.refresh).await.assert_error(400, "invalid_grant");
    let assert_over = async |nodes: &Nodes| {
        for node in [&nodes.a, &nodes.b] {
            for pair in [&newest, &second, &first] {
                refresh(node, &pair.refresh).await.assert_error(400, "invalid_grant");
            }
            call(node, "GET", "/api/me", &newest.access).await.assert_error(401, "invalid_token");
            call(node, "GET", "/api/devices", &newest.access).await.assert_error(401, "invalid_token");
            call(node, "GET", "/api/whoami", &newest.access).await.assert(200);
        }
    };
    assert_over(&nodes).await;
    let nodes = nodes.restart(&store, &options);
    assert_over(&nodes).await;
    login(&nodes.a, "alice").await;
}

async fn a_revocation_on_one_node_is_noticed_on_the_other(backend: Backend) {
    let folder = Folder::new();
    let Nodes { a, b } = &nodes(backend, &folder).await;
    let other = login(b, "alice").await;
    let by_refresh = login(a, "alice").await;
    let by_access = login(a, "alice").await;
    let by_list = login(a, "alice").await;
    for token in [&by_refresh.refresh, &by_access.access] {
        for _ in 0..2 {
            a.browser().post("/api/token/revoke", &json!({ "token": token })).await.assert(200);
        }
    }
    let id = call(b, "GET", "/api/me", &by_list.access).await.json()["session_id"].as_str().unwrap().to_owned();
    call(a, "DELETE", &format!("/api/devices/{id}"), &other.access).await.assert(204);
    let other_id = call(b, "GET", "/api/me", &other.access).await.json()["session_id"].as_str().unwrap().to_owned();
    for pair in [&by_refresh, &by_access, &by_list] {
        refresh(b, &pair.refresh).await.assert_error(400, "invalid_grant");
        for (method, path) in [
            ("GET", "/api/me".to_owned()),
            ("GET", "/api/devices".to_owned()),
            ("DELETE", format!("/api/devices/{other_id}")),
            ("POST", "/api/devices/revoke-others".to_owned()),
            ("POST", "/api/devices/revoke-all".to_owned()),
        ] {
            let answer = call(b, method, &path, &pair.access).await;
            answer.assert_error(401, "invalid_token");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{challenge}");
        }
        let whoami = call(b, "GET", "/api/whoami", &pair.access).await;
        assert_eq!(whoami.assert(200).json()["user"], "alice", "until the token expires");
    }
    Pair::of(&refresh(a, &other.refresh).await);
    // The session of another user is not found.
    let bob = login(a, "bob").await;
    call(b, "DELETE", &format!("/api/devices/{other_id}"), &bob.access).await.assert_error(404, "not_found");
    call(b, "POST", "/api/devices/revoke-all", &other.access).await.assert(200);
    refresh(a, &other.refresh).await.assert_error(400, "invalid_grant");
    Pair::of(&refresh(a, &bob.refresh).await);
}

#[tokio::test]
async fn a_request_with_a_bad_token_is_not_that_of_its_cookie() {
    let demo = Demo::start(&["--mode", "hybrid"]);
    let alice = demo.logged_in("alice").await;
    for path in ["/api/me", "/api/devices"] {
        alice.send("GET", path, &[("authorization", "Bearer bad")], "").await.assert_error(401, "invalid_token");
        alice.get(path).await.assert(200);
    }
    demo.browser().get("/api/me").await.assert(200);
    demo.browser().get("/api/devices").await.assert_error(401, "unauthenticated");
    demo.browser().get("/api/whoami").await.assert_error(401, "unauthenticated");
    assert_eq!(login(&demo, "bob").await.refresh.len(), 64);
}

#[tokio::test]
async fn tokens_are_there_in_this_mode_only() {
    for mode in ["cookie", "client"] {
        let demo = Demo::start(&["--mode", mode]);
        for (method, path) in [("POST", "/api/token"), ("POST", "/api/token/refresh"), ("GET", "/api/whoami")] {
            demo.browser().send(method, path, &[], "").await.assert_error(404, "not_found");
        }
        demo.browser().get("/.well-known/jwks.json").await.assert(404);
        let answer = call(&demo, "GET", "/api/me", "x").await;
        assert_eq!(answer.assert(200).json()["user"], Value::Null, "the header is ignored");
    }
}

/// What other people's clients send: forms at each token route, and the documents that they begin with.
#[tokio::test]
async fn forms_do_what_the_specifications_say() {
    let demo = Demo::start(&["--mode", "hybrid"]);
    let browser = demo.browser();
    let password = "grant_type=password&username=alice&password=correct-horse";
    for (token_at, refresh_at) in [("/api/token", "/api/token/refresh"), ("/api/token/refresh", "/api/token")] {
        let first = Pair::of(&browser.submit(token_at, password).await);
        let form = format!("grant_type=refresh_token&refresh_token={}", first.refresh);
        let second = Pair::of(&browser.submit(refresh_at, &form).await);
        let form = format!("token={}&token_type_hint=access_token", second.access);
        browser.submit("/api/token/revoke", &form).await.assert(200);
        let bad = call(&demo, "GET", "/api/me", &second.access).await;
        bad.assert_error(401, "invalid_token");
        let challenge = bad.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer ") && challenge.contains("invalid_token"), "{challenge}");
        let form = format!("grant_type=refresh_token&refresh_token={}", second.refresh);
        browser.submit(refresh_at, &form).await.assert_error(400, "invalid_grant");
        browser.submit(token_at, "grant_type=device_code").await.assert_error(400, "unsupported_grant_type");
        browser.submit(token_at, "grant_type=password&username=alice").await.assert_error(400, "invalid_request");
    }
    // As the pages and the README say it, with curl's idea of a type.
    let pair = Pair::of(&browser.submit("/api/token", r#"{"username":"alice","password":"correct-horse"}"#).await);
    let body = json!({ "refresh_token": pair.refresh }).to_string();
    let _ = Pair::of(&browser.submit("/api/token/refresh", &body).await);

    let document = browser.get("/.well-known/oauth-authorization-server").await.assert(200).json();
    let keys = document["jwks_uri"].as_str().unwrap();
    assert!(keys.ends_with("/.well-known/jwks.json"), "{keys}");
    let path = keys.splitn(4, '/').nth(3).unwrap();
    let keys = browser.get(&format!("/{path}")).await.assert(200).json();
    assert_eq!(keys["keys"][0]["alg"], "EdDSA");
}
