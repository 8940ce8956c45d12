//! The list of devices, and revoking.

use serde_json::{Value, json};

use crate::support::{Browser, Demo};

async fn list(browser: &Browser<'_>) -> Vec<Value> {
    browser.get("/api/devices").await.assert(200).json().as_array().unwrap().clone()
}

#[tokio::test]
async fn devices_are_listed() {
    let demo = Demo::start(&[]);
    let phone = demo.browser();
    let credentials = json!({ "username": "alice", "password": "correct-horse" }).to_string();
    phone.send("POST", "/api/login", &[("user-agent", "Phone/2")], credentials).await.assert(200);
    let desk = demo.logged_in("alice").await;
    demo.logged_in("bob").await;

    let devices = list(&phone).await;
    assert_eq!(devices.len(), 2);
    let phone_id = phone.session_id().await;
    for device in &devices {
        let is_phone = device["id"] == phone_id;
        assert_eq!(device["current"], is_phone);
        assert_eq!(device["user_agent"], if is_phone { json!("Phone/2") } else { Value::Null });
        assert_eq!(device["ip"], "127.0.0.1");
        assert!(device["created_at"].is_i64() && device["last_seen"].is_i64());
        assert_eq!(device.as_object().unwrap().len(), 7);
    }
    assert_eq!(list(&desk).await.len(), 2);
}

#[tokio::test]
async fn one_device_is_revoked() {
    let demo = Demo::start(&[]);
    let (phone, desk) = (demo.logged_in("alice").await, demo.logged_in("alice").await);
    let bob = demo.logged_in("bob").await;
    let phone_id = phone.session_id().await;

    let unknown = "A".repeat(22);
    for id in [&*phone_id, &*unknown, "nonsense", "%FF"] {
        bob.delete(&format!("/api/devices/{id}")).await.assert_error(404, "not_found");
    }
    assert_eq!(phone.user().await.as_deref(), Some("alice"), "another user's session is not found");

    desk.delete(&format!("/api/devices/{phone_id}")).await.assert(204);
    assert_eq!(phone.user().await, None);
    assert_eq!(desk.user().await.as_deref(), Some("alice"));
    desk.delete(&format!("/api/devices/{phone_id}")).await.assert_error(404, "not_found");
}

#[tokio::test]
async fn revoking_the_current_device_logs_out() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    let copy = alice.copy();
    alice.delete(&format!("/api/devices/{}", alice.session_id().await)).await.assert(204);
    assert_eq!(alice.cookie(), None, "the cookie is removed");
    assert_eq!(copy.user().await, None);
}

#[tokio::test]
async fn all_others_or_all_are_revoked() {
    let demo = Demo::start(&[]);
    let (a, b, c) = (demo.logged_in("alice").await, demo.logged_in("alice").await, demo.logged_in("alice").await);
    let bob = demo.logged_in("bob").await;
    assert_eq!(a.post("/api/devices/revoke-others", &Value::Null).await.assert(200).json(), json!({ "revoked": 2 }));
    assert_eq!((a.user().await.as_deref(), b.user().await, c.user().await), (Some("alice"), None, None));

    let d = demo.logged_in("alice").await;
    let copy = a.copy();
    assert_eq!(a.post("/api/devices/revoke-all", &Value::Null).await.assert(200).json(), json!({ "revoked": 2 }));
    assert_eq!((a.cookie(), copy.user().await, d.user().await), (None, None, None));
    assert_eq!(bob.user().await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn devices_need_a_login() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    browser.put("/api/data/x", &json!(1)).await.assert(204);
    browser.get("/api/devices").await.assert_error(401, "unauthenticated");
    browser.delete("/api/devices/x").await.assert_error(401, "unauthenticated");
    for path in ["/api/devices/revoke-others", "/api/devices/revoke-all"] {
        browser.post(path, &Value::Null).await.assert_error(401, "unauthenticated");
    }
}
