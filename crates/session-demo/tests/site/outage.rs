//! The site while its store fails.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use session_core::{Policy, SessionManager};
use session_demo::sessions::Sessions;
use session_moka::MokaStore;
use session_testbed::{Recorder, RecordingStore};
use tower::ServiceExt as _;

#[tokio::test]
async fn requests_that_need_the_store_answer_503_and_keep_the_cookie() {
    let store = RecordingStore::new(MokaStore::new(), Recorder::default());
    store.hook().set_failing(true);
    let site = session_demo::build_router(&Sessions::Cookie(SessionManager::new(store, Policy::standard())));
    let login = r#"{"username":"alice","password":"correct-horse"}"#;
    let wrong = r#"{"username":"alice","password":"wrong"}"#;
    let unavailable = "{\"error\":\"session_store_unavailable\"}";
    for (method, path, body, status, expected) in [
        ("GET", "/api/me", "", 503, unavailable),
        ("GET", "/api/sensitive", "", 503, unavailable),
        ("GET", "/api/devices", "", 503, unavailable),
        ("PUT", "/api/data/a", "1", 503, unavailable),
        ("POST", "/api/counter/a", "", 503, unavailable),
        ("POST", "/api/logout", "", 503, unavailable),
        ("POST", "/api/login", login, 503, unavailable),
        ("POST", "/api/login", wrong, 401, "{\"error\":\"invalid_credentials\"}"),
        ("GET", "/api/ping", "", 200, "pong"),
        ("GET", "/", "", 503, "You are still signed in"),
        ("GET", "/devices", "", 503, "You are still signed in"),
        ("POST", "/logout", "", 503, "You are still signed in"),
    ] {
        let cookie = format!("__Host-id={}", "A".repeat(64));
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let response = site.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&answer).unwrap().contains(expected), "{path}: {answer:?}");
    }
}
