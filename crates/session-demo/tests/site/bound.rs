//! The option `--bind`.

use serde_json::Value;
use session_testbed::device::DeviceKey;

use crate::backend::Backend;
use crate::program::HAS_PAGES;
use crate::server::{Nodes, on_both};
use crate::support::{Answer, Browser, Demo, assert_refused};

/// The texts in quotation marks.
fn quoted(header: &str) -> Vec<&str> {
    header.split('"').skip(1).step_by(2).collect()
}

/// Answers the offer of a login, as a browser does that binds sessions.
async fn register(browser: &Browser<'_>, login: &Answer, key: &DeviceKey) -> String {
    let offer = login.header("secure-session-registration").expect("an offer");
    assert!(offer.starts_with("(ES256);path=\"/session/bind\";challenge="), "{offer}");
    let signed = key.registration(quoted(offer)[1]);
    let registered = browser.send("POST", "/session/bind", &[("secure-session-response", &signed)], "").await;
    registered.assert(200).json()["session_identifier"].as_str().unwrap().to_owned()
}

async fn state(browser: &Browser<'_>) -> Value {
    browser.get("/api/binding").await.assert(200).json()["state"].clone()
}

#[tokio::test]
async fn nothing_is_offered_unless_it_is_asked_for() {
    let demo = Demo::start(&[]);
    let alice = demo.browser();
    assert_eq!(alice.login("alice").await.assert(200).header("secure-session-registration"), None);
    assert_eq!(state(&alice).await, Value::Null);
    alice.send("POST", "/session/bind", &[], "").await.assert(404);
    assert_refused(&["--bind", "offer", "--mode", "client"], &["--bind is for --mode cookie and --mode hybrid"]).await;
}

on_both!(a_copy_is_refused_on_each_node);

async fn a_copy_is_refused_on_each_node(backend: Backend) {
    let nodes = Nodes::start(backend, &["--bind", "require", "--cache", "5s"]).await;
    let (a, key) = (nodes.a.browser(), DeviceKey::new(1));
    let login = a.login("alice").await;
    assert_eq!(state(&a).await, "unbound");
    // Malware copies the cookie of the session.
    let copy = a.copy();
    let id = register(&a, &login, &key).await;
    let b = a.at(&nodes.b);
    assert_eq!(b.user().await.as_deref(), Some("alice"));
    assert_eq!(state(&a).await, "bound");
    if HAS_PAGES {
        let answer = b.get("/devices").await;
        let devices = answer.assert(200).text();
        assert!(devices.contains("Bound to this device.") && devices.contains("Bound to its device"), "{devices}");
    }
    for node in [&nodes.a, &nodes.b] {
        let copy = copy.at(node);
        copy.get("/api/me").await.assert_error(401, "device_binding_required");
        copy.get("/api/sensitive").await.assert_error(401, "device_binding_required");
        if HAS_PAGES {
            assert!(copy.get("/").await.assert(401).text().contains("Not from this device"));
        }
        // Whose names are those of routes that want nothing.
        for name in ["login", "logout", "ping"] {
            copy.get(&format!("/api/data/{name}")).await.assert_error(401, "device_binding_required");
            copy.post(&format!("/api/counter/{name}"), &Value::Null).await.assert_error(401, "device_binding_required");
        }
        copy.get("/api/ping").await.assert(200);
    }
    assert_eq!(a.get("/api/sensitive").await.assert(200).status, 200);

    // The browser renews the cookie, on the other node.
    let id = format!("\"{id}\"");
    let challenged = b.send("POST", "/session/renew", &[("sec-secure-session-id", &id)], "").await;
    let challenge = challenged.assert(403).header("secure-session-challenge").unwrap().to_owned();
    let signed = key.renewal(quoted(&challenge)[0]);
    let headers = [("sec-secure-session-id", &*id), ("secure-session-response", &*signed)];
    b.send("POST", "/session/renew", &headers, "").await.assert(200);
    assert_eq!(a.user().await.as_deref(), Some("alice"));

    // Logged out, and in again on a browser that binds nothing.
    a.post("/api/logout", &Value::Null).await.assert(204);
    let ended = b.send("POST", "/session/renew", &[("sec-secure-session-id", &id)], "").await;
    assert_eq!(ended.assert(200).json()["continue"], false);
    let other = nodes.b.logged_in("alice").await;
    assert_eq!(other.user().await.as_deref(), Some("alice"));
    if HAS_PAGES {
        assert!(other.get("/devices").await.assert(200).text().contains("Not bound."));
    }
}

/// Whoever has lost the key can log in again, and out.
#[tokio::test]
async fn a_lost_key_locks_nobody_out() {
    let demo = Demo::start(&["--bind", "offer"]);
    let alice = demo.browser();
    let login = alice.login("alice").await;
    let copy = alice.copy();
    register(&alice, &login, &DeviceKey::new(1)).await;
    assert_eq!(state(&alice).await, "bound");
    copy.get("/api/me").await.assert_error(401, "device_binding_required");
    copy.login("alice").await.assert(200);
    assert_eq!(copy.user().await.as_deref(), Some("alice"));
    alice.post("/api/logout", &Value::Null).await.assert(204);
}
