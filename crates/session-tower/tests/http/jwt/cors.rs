//! The routes for an application at another origin: a `CorsLayer` outside them, as the documentation of
//! `TokenRoutes::refresh_in_cookie` has it.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request};
use serde_json::json;
use session_core::{CookiePolicy, EventKind, Policy, SameSite};
use session_tower::OriginGuard;
use tower_http::cors::CorsLayer;

use super::{Service, assert_refused, credentials};
use crate::common::{Answer, Behaviour, Site, send};

const APP: &str = "https://app.example";

fn service() -> Service {
    let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
    let guard = OriginGuard::new().trusted_origin(APP).unwrap();
    let mut service =
        Service::with(Policy::standard(), |routes| routes.refresh_in_cookie(cookie).unwrap().origin_guard(guard));
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(APP))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE]);
    service.app = service.app.layer(cors);
    service
}

/// As a browser sends it from a page of `origin`.
async fn call(service: &Service, origin: &str, path: &str, cookie: &str, body: impl Into<Body>) -> Answer {
    let mut headers = vec![("origin", origin), ("sec-fetch-site", "same-site")];
    headers.extend((!cookie.is_empty()).then_some(("cookie", cookie)));
    service.post_with(path, &headers, body).await
}

/// Asserts that a page of the application may read the answer, and that no cache gives it to another one.
#[track_caller]
fn assert_readable(answer: &Answer) {
    assert_eq!(answer.all("access-control-allow-origin"), [APP], "{answer:?}");
    assert_eq!(answer.all("access-control-allow-credentials"), ["true"], "{answer:?}");
    assert_varies(answer);
}

#[track_caller]
fn assert_varies(answer: &Answer) {
    let names = answer.all("vary").join(",");
    assert!(names.split(',').any(|name| name.trim().eq_ignore_ascii_case("origin")), "{answer:?}");
}

#[tokio::test]
async fn a_preflight_is_answered_before_the_routes() {
    let service = service();
    for path in ["/api/token", "/api/token/refresh", "/api/token/revoke", "/me"] {
        for origin in [APP, "https://evil.example"] {
            let request = Request::builder()
                .method("OPTIONS")
                .uri(path)
                .header("host", "api.example")
                .header("origin", origin)
                .header("sec-fetch-site", "same-site")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type");
            let answer = send(&service.app, request.body(Body::empty()).unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{path}");
            // Of another origin too: the browser compares.
            assert_readable(&answer);
            let list = |name: &str| answer.all(name).join(",").to_ascii_lowercase();
            assert_eq!(list("access-control-allow-methods"), "get,post");
            assert_eq!(list("access-control-allow-headers"), "authorization,content-type");
        }
    }
    assert_eq!(service.site.store.calls(), (0, 0));
    assert_eq!(service.site.events.take(), []);
}

#[tokio::test]
async fn a_page_may_read_what_succeeds() {
    let service = service();
    let login = call(&service, APP, "/api/token", "", credentials("alice").to_string()).await;
    assert_eq!(login.status, 200);
    assert_readable(&login);
    assert_eq!(login.all("cache-control"), ["no-store"], "as without CORS");
    let refresh = call(&service, APP, "/api/token/refresh", &login.cookie(), "").await;
    assert_eq!(refresh.status, 200);
    assert_readable(&refresh);
    let revoke = call(&service, APP, "/api/token/revoke", &refresh.cookie(), "").await;
    assert_eq!((revoke.status.as_u16(), revoke.all("set-cookie").len()), (200, 1));
    assert_readable(&revoke);
    for path in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"] {
        let request = Request::builder().uri(path).header("origin", APP).body(Body::empty()).unwrap();
        let answer = send(&service.app, request).await;
        assert_eq!(answer.status, 200);
        assert_readable(&answer);
    }
}

#[tokio::test]
async fn a_page_may_read_what_fails() {
    let service = service();
    let wrong = json!({ "username": "alice", "password": "wrong" }).to_string();
    let too_long = "x".repeat(64 * 1024 + 1);
    for (path, body, status, code) in [
        ("/api/token", wrong, 400, "invalid_grant"),
        ("/api/token", "{".to_owned(), 400, "invalid_request"),
        ("/api/token", r#"{"grant_type":"magic"}"#.to_owned(), 400, "unsupported_grant_type"),
        ("/api/token", too_long, 413, "invalid_request"),
        ("/api/token/refresh", String::new(), 400, "invalid_grant"),
        ("/api/token/revoke", String::new(), 400, "invalid_request"),
    ] {
        let answer = call(&service, APP, path, "", body).await;
        assert_refused(&answer, status, code);
        assert_readable(&answer);
    }
    // Why its access token was not good enough, the page learns from a header.
    let request = Request::builder().uri("/me").header("origin", APP).body(Body::empty()).unwrap();
    let answer = send(&service.app, request).await;
    assert_eq!((answer.status.as_u16(), answer.all("www-authenticate").len()), (401, 1));
    assert_readable(&answer);
    assert_eq!(answer.all("access-control-expose-headers").join(","), "retry-after,www-authenticate");

    let cookie = call(&service, APP, "/api/token", "", credentials("alice").to_string()).await.cookie();
    Site::on_read(&service.site, Behaviour::Fails);
    let answer = call(&service, APP, "/api/token/refresh", &cookie, "").await;
    assert_refused(&answer, 503, "temporarily_unavailable");
    assert_readable(&answer);
}

/// The browser shows no page of another origin this answer: it names [`APP`].
#[tokio::test]
async fn another_origin_is_refused_and_named_nowhere() {
    let service = service();
    let cookie = call(&service, APP, "/api/token", "", credentials("alice").to_string()).await.cookie();
    let before = service.site.store.calls();
    for origin in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
        service.site.events.take();
        let answer = call(&service, origin, "/api/token/refresh", &cookie, "").await;
        assert_refused(&answer, 403, "cross_origin");
        assert_readable(&answer);
        assert!(matches!(service.site.events.take()[..], [EventKind::CrossOrigin(_)]), "{origin}");
    }
    assert_eq!(service.site.store.calls(), before, "nothing is used up");
    let own = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
    let own = service.post_with("/api/token/refresh", &own, "").await;
    assert_eq!(own.status, 200);
    assert_varies(&own);
}
