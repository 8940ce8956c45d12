//! Access and refresh tokens, with two demos on one store and one key file.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::keys::Folder;
use crate::server::{Backend, Nodes, empty_store, on_both};
use crate::support::{Answer, Demo};

on_both!(
    a_login_on_one_node_is_good_on_the_other,
    of_64_simultaneous_refreshes_one_rotates,
    reuse_ends_the_session_everywhere_and_for_good,
    a_revocation_on_one_node_is_noticed_on_the_other,
    limit_and_devices_are_those_of_all_sessions,
    the_limit_can_reject_tokens_too,
);

/// Two demos that share everything, and can be started again.
struct Cluster {
    folder: Folder,
    store: String,
    options: Vec<&'static str>,
    nodes: Nodes,
}

impl Cluster {
    async fn start(backend: Backend, options: &[&'static str]) -> Self {
        let (folder, store) = (Folder::new(), empty_store(backend).await);
        let nodes = Self::nodes(&folder, &store, options);
        Self { folder, store, options: options.to_vec(), nodes }
    }

    fn nodes(folder: &Folder, store: &str, options: &[&str]) -> Nodes {
        Nodes::on(store, &[&["--mode", "hybrid", "--keys", &folder.keys()], options].concat())
    }

    fn restart(self) -> Self {
        let Self { folder, store, options, nodes } = self;
        for node in [nodes.a, nodes.b] {
            node.signal("TERM");
            assert_eq!(node.wait().code(), Some(0));
        }
        let nodes = Self::nodes(&folder, &store, &options);
        Self { folder, store, options, nodes }
    }
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

async fn try_login(demo: &Demo, user: &str) -> Answer {
    demo.browser().post("/api/token", &json!({ "username": user, "password": "correct-horse" })).await
}

async fn login(demo: &Demo, user: &str) -> Pair {
    Pair::of(&try_login(demo, user).await)
}

async fn refresh(demo: &Demo, token: &str) -> Answer {
    demo.browser().post("/api/token/refresh", &json!({ "refresh_token": token })).await
}

async fn call(demo: &Demo, method: &str, path: &str, access: &str) -> Answer {
    demo.browser().send(method, path, &[("authorization", &format!("Bearer {access}"))], "").await
}

async fn a_login_on_one_node_is_good_on_the_other(backend: Backend) {
    let Nodes { a, b } = &Cluster::start(backend, &[]).await.nodes;
    let first = login(a, "alice").await;
    let jwks = a.browser().get("/.well-known/jwks.json").await;
    assert_eq!(b.browser().get("/.well-known/jwks.json").await.assert(200).text(), jwks.assert(200).text());

    let second = Pair::of(&refresh(b, &first.refresh).await);
    let third = Pair::of(&refresh(a, &second.refresh).await);
    for node in [a, b] {
        for pair in [&first, &second, &third] {
            let me = call(node, "GET", "/api/me", &pair.access).await.assert(200).json();
            let whoami = call(node, "GET", "/api/whoami", &pair.access).await.assert(200).json();
            assert_eq!((&me["user"], &me["session_id"]), (&json!("alice"), &whoami["session_id"]));
            let devices = call(node, "GET", "/api/devices", &pair.access).await.assert(200).json();
            assert_eq!(devices.as_array().unwrap().len(), 1);
            assert_eq!((&devices[0]["kind"], &devices[0]["current"]), (&json!("refresh_token"), &json!(true)));
            assert_eq!(devices[0]["ip"], "127.0.0.1", "where the login came from");
        }
    }
    let wrong = json!({ "username": "alice", "password": "wrong" });
    a.browser().post("/api/token", &wrong).await.assert_error(400, "invalid_grant");
}

async fn of_64_simultaneous_refreshes_one_rotates(backend: Backend) {
    let nodes = &Cluster::start(backend, &[]).await.nodes;
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
    let cluster = Cluster::start(backend, &["--policy", "high-assurance"]).await;
    let first = login(&cluster.nodes.a, "alice").await;
    let second = Pair::of(&refresh(&cluster.nodes.b, &first.refresh).await);
    let newest = Pair::of(&refresh(&cluster.nodes.a, &second.refresh).await);
    // Which tokens were used is in the store, not in a process.
    let cluster = cluster.restart();
    call(&cluster.nodes.b, "GET", "/api/me", &newest.access).await.assert(200);
    refresh(&cluster.nodes.b, &first.refresh).await.assert_error(400, "invalid_grant");
    let assert_over = async |cluster: &Cluster| {
        for node in [&cluster.nodes.a, &cluster.nodes.b] {
            for pair in [&newest, &second, &first] {
                refresh(node, &pair.refresh).await.assert_error(400, "invalid_grant");
            }
            call(node, "GET", "/api/me", &newest.access).await.assert_error(401, "invalid_token");
            call(node, "GET", "/api/devices", &newest.access).await.assert_error(401, "invalid_token");
            call(node, "GET", "/api/whoami", &newest.access).await.assert(200);
        }
    };
    assert_over(&cluster).await;
    let cluster = cluster.restart();
    assert_over(&cluster).await;
    login(&cluster.nodes.a, "alice").await;
}

async fn a_revocation_on_one_node_is_noticed_on_the_other(backend: Backend) {
    let Nodes { a, b } = &Cluster::start(backend, &[]).await.nodes;
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
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
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

async fn limit_and_devices_are_those_of_all_sessions(backend: Backend) {
    let Nodes { a, b } = &Cluster::start(backend, &["--limit", "3"]).await.nodes;
    let oldest = a.logged_in("alice").await;
    let (second, browser) = (login(b, "alice").await, b.logged_in("alice").await);
    let kinds = async |devices: Answer| {
        let devices = devices.assert(200).json();
        let kinds = devices.as_array().unwrap().iter().map(|listed| listed["kind"].as_str().unwrap().to_owned());
        let mut kinds: Vec<String> = kinds.collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(browser.get("/api/devices").await).await, ["cookie", "cookie", "refresh_token"]);
    let newest = login(a, "alice").await;
    let expected = ["cookie", "refresh_token", "refresh_token"];
    assert_eq!(kinds(call(b, "GET", "/api/devices", &newest.access).await).await, expected);
    assert_eq!(oldest.user().await, None, "the oldest session was evicted");
    assert_eq!(browser.user().await.as_deref(), Some("alice"));
    assert!(browser.get("/devices").await.assert(200).text().matches("with a refresh token").count() == 2);

    let id = call(b, "GET", "/api/me", &second.access).await.json()["session_id"].as_str().unwrap().to_owned();
    browser.delete(&format!("/api/devices/{id}")).await.assert(204);
    refresh(a, &second.refresh).await.assert_error(400, "invalid_grant");
    let others = call(a, "POST", "/api/devices/revoke-others", &newest.access).await;
    assert_eq!(others.assert(200).json(), json!({ "revoked": 1 }));
    assert_eq!(browser.user().await, None);
    Pair::of(&refresh(b, &newest.refresh).await);
}

async fn the_limit_can_reject_tokens_too(backend: Backend) {
    let nodes = &Cluster::start(backend, &["--limit", "3", "--on-limit", "reject"]).await.nodes;
    nodes.a.logged_in("alice").await;
    let logins = join_all((0..16).map(|number| try_login(nodes.turn(number), "alice"))).await;
    let mut statuses: Vec<u16> = logins.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 2], vec![409; 14]].concat());
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
