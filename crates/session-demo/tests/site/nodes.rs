//! Two demos on one store, as behind a load balancer.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::server::{Nodes, Server, on_each};
use crate::support::{Browser, Demo};

on_each!(
    no_increment_is_lost_and_no_value_is_returned_twice,
    a_logout_stays_a_logout,
    the_limit_holds_under_simultaneous_logins,
    an_expired_session_is_gone_everywhere,
    sessions_survive_a_restart,
);

async fn no_increment_is_lost_and_no_value_is_returned_twice(backend: Backend) {
    let nodes = Nodes::start(backend, &[]).await;
    let alice = nodes.a.logged_in("alice").await;
    let counts = join_all((0..64).map(|number| {
        let tab = alice.copy().at(nodes.turn(number));
        async move { tab.post("/api/counter/n?delay_ms=5", &Value::Null).await.assert(200).json()["value"].as_u64() }
    }));
    let values: BTreeSet<_> = counts.await.into_iter().flatten().collect();
    assert_eq!(values, (1..=64).collect());
    for node in [&nodes.a, &nodes.b] {
        assert_eq!(alice.at(node).get("/api/data/n").await.json(), 64);
    }
}

async fn a_logout_stays_a_logout(backend: Backend) {
    let nodes = Nodes::start(backend, &["--limit", "100"]).await;
    let trials = join_all((0..20).map(async |number| {
        let alice = nodes.turn(number).logged_in("alice").await;
        let (slow, copy) = (alice.copy().at(nodes.turn(number + 1)), alice.copy());
        let late = slow.send("PUT", "/api/data/late?delay_ms=1500", &[], "\"resurrected\"");
        let logout = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            alice.post("/api/logout", &Value::Null).await.assert(204);
        };
        let (late, ()) = tokio::join!(late, logout);
        late.assert_error(401, "session_gone");
        assert_eq!(late.header("set-cookie"), None);
        for node in [&nodes.a, &nodes.b] {
            assert_eq!(copy.at(node).user().await, None);
            copy.at(node).get("/api/data/late").await.assert_error(404, "not_found");
        }
    }));
    assert_eq!(trials.await.len(), 20);
}

async fn the_limit_holds_under_simultaneous_logins(backend: Backend) {
    for (on_limit, refused) in [("evict-oldest", 0), ("evict-least-recent", 0), ("reject", 13)] {
        let nodes = Nodes::start(backend, &["--limit", "3", "--on-limit", on_limit]).await;
        let browsers: Vec<Browser<'_>> = (0..16).map(|number| nodes.turn(number).browser()).collect();
        let mut logins = join_all(browsers.iter().map(async |browser| browser.login("alice").await)).await;
        logins.retain(|login| login.status != 200);
        assert_eq!(logins.len(), refused, "{on_limit}");
        for login in logins {
            login.assert_error(409, "session_limit_reached");
        }
        // As the other node sees them.
        let users = (1..).zip(&browsers).map(async |(number, browser)| browser.at(nodes.turn(number)).user().await);
        assert_eq!(join_all(users).await.iter().flatten().count(), 3, "{on_limit}");
    }
}

async fn an_expired_session_is_gone_everywhere(backend: Backend) {
    let server = Server::launch(backend).await;
    let nodes = Nodes::on(&server.url(), &["--idle", "2s"]);
    let alice = nodes.a.logged_in("alice").await;
    let anonymous = nodes.b.browser();
    anonymous.put("/api/data/a", &json!(1)).await.assert(204);
    assert_eq!(alice.at(&nodes.b).user().await.as_deref(), Some("alice"));
    assert_eq!(server.records().await, 2);
    // The demo runs on the clock of the system.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for node in [&nodes.a, &nodes.b] {
        assert_eq!(alice.copy().at(node).user().await, None);
        anonymous.copy().at(node).get("/api/data/a").await.assert_error(404, "not_found");
    }
    // Redis removes the records itself, a minute later; session-redis tests that.
    if backend != Backend::Redis {
        let swept = async {
            while server.records().await > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), swept).await.expect("the demo deletes expired rows");
    }
}

async fn sessions_survive_a_restart(backend: Backend) {
    let store = crate::server::empty_store(backend).await;
    let Nodes { a, b } = Nodes::on(&store, &[]);
    let (alice, anonymous) = (a.logged_in("alice").await.at(&b), a.browser().at(&b));
    anonymous.at(&a).put("/api/data/cart", &json!(["tea"])).await.assert(204);
    a.stop();
    let a = Demo::start(&["--store", &store]);
    for node in [&a, &b] {
        assert_eq!(alice.at(node).user().await.as_deref(), Some("alice"));
        assert_eq!(anonymous.at(node).get("/api/data/cart").await.assert(200).json(), json!(["tea"]));
    }
}
