//! Values under keys, counters, and errors.

use serde_json::{Value, json};

use crate::support::Demo;

#[tokio::test]
async fn values_of_any_type_are_kept() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    browser.get("/api/data/a").await.assert_error(404, "not_found");
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!("é\u{0}\""),
        json!([]),
        json!({ "a": [1, { "b": null }], "": "empty" }),
    ];
    for value in &values {
        browser.put("/api/data/a", value).await.assert(204);
        assert_eq!(&browser.get("/api/data/a").await.assert(200).json(), value);
    }
    browser.put("/api/data/b%2Fc%20%C3%A9", &json!(2)).await.assert(204);
    assert_eq!(browser.get("/api/data").await.json(), json!({ "keys": ["a", "b/c é"] }));
    browser.delete("/api/data/a").await.assert(204);
    browser.delete("/api/data/a").await.assert(204);
    browser.get("/api/data/a").await.assert_error(404, "not_found");
    assert_eq!(browser.get("/api/data/b%2Fc%20%C3%A9").await.json(), 2);
}

#[tokio::test]
async fn counters_count() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    for value in 1..=3 {
        assert_eq!(browser.post("/api/counter/n", &Value::Null).await.assert(200).json(), json!({ "value": value }));
    }
    assert_eq!(browser.get("/api/data/n").await.json(), 3);
    browser.put("/api/data/n", &json!("text")).await.assert(204);
    browser.post("/api/counter/n", &Value::Null).await.assert_error(409, "not_a_counter");
    assert_eq!(browser.get("/api/data/n").await.json(), "text");
}

#[tokio::test]
async fn ping_never_asks_for_the_session() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    let answer = alice.get("/api/ping").await;
    answer.assert(200);
    assert_eq!((answer.header("vary"), answer.header("set-cookie")), (None, None));
}

#[tokio::test]
async fn errors_have_codes() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    let long = "k".repeat(129);
    browser.put(&format!("/api/data/{long}"), &json!(1)).await.assert_error(400, "invalid_key");
    browser.get("/api/data/%FF").await.assert_error(400, "invalid_key");
    for query in ["delay_ms=x", "delay_ms=-1", "delay_ms=60001", "delay_ms=1&delay_ms=2"] {
        browser.put(&format!("/api/data/a?{query}"), &json!(1)).await.assert_error(400, "invalid_query");
        browser.post(&format!("/api/counter/a?{query}"), &Value::Null).await.assert_error(400, "invalid_query");
    }
    for (method, path) in [("PUT", "/api/data/a"), ("POST", "/api/login")] {
        for body in ["", "{", "[1,]", "nul", "\u{0}", "{} {}"] {
            browser.send(method, path, &[], body).await.assert_error(400, "invalid_body");
        }
        let deep = "[".repeat(60_000);
        browser.send(method, path, &[], deep).await.assert_error(400, "invalid_body");
        let huge = format!("\"{}\"", "x".repeat(2 * 1024 * 1024));
        browser.send(method, path, &[], huge).await.assert_error(413, "body_too_large");
    }
    for body in [json!({}), json!({ "username": "alice" }), json!([]), json!({ "username": 1, "password": "x" })] {
        browser.post("/api/login", &body).await.assert_error(400, "invalid_body");
    }
    browser.put("/api/data/a", &json!("x".repeat(5000))).await.assert_error(413, "session_too_large");
    browser.get("/api/nothing").await.assert_error(404, "not_found");
    browser.get("/api").await.assert_error(404, "not_found");
    browser.delete("/api/me").await.assert_error(405, "method_not_allowed");
    assert_eq!(browser.cookie(), None, "none of this created a session");
}
