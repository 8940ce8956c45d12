//! The guard against cross-site request forgery, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Answer, Site, call, request, routes, send, single};
use axum::Router;
use axum::body::Body;
use http::Request;
use session_core::{CookiePolicy, EventKind, Policy};
use session_tower::{Enforcement, MissingOrigin, OriginError, OriginGuard, SessionLayer};

const OWN: &str = "https://shop.example";
const TRUSTED: &str = "https://pay.example:8443";

/// An application that counts the requests it gets.
fn counted(layer: SessionLayer) -> (Router, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let handler = async move || {
        counter.fetch_add(1, Ordering::SeqCst);
        "reached"
    };
    (single(handler).layer(layer), reached)
}

fn with_headers(method: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/").header("host", "shop.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn truth_table() {
    let origins: [&[&str]; 7] =
        [&[], &[OWN], &[TRUSTED], &["https://evil.example"], &["null"], &[OWN, OWN], &[TRUSTED, TRUSTED]];
    // One row per `Sec-Fetch-Site`, one column per `Origin`; y: an unsafe request may pass.
    let table: [(&[&str], &str); 8] = [
        (&[], "yyynnnn"),
        (&["same-origin"], "yyyyyyy"),
        (&["none"], "yyyyyyy"),
        (&["same-site"], "nnynnnn"),
        (&["cross-site"], "nnynnnn"),
        (&["Same-Origin"], "nnnnnnn"),
        (&[""], "nnnnnnn"),
        (&["same-origin", "same-origin"], "nnnnnnn"),
    ];
    let site = Site::standard();
    let guard = OriginGuard::new().trusted_origin(TRUSTED).unwrap();
    let (app, reached) = counted(site.layer().origin_guard(guard));
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"] {
        for (site_headers, row) in table {
            for (origin, expected) in origins.iter().zip(row.chars()) {
                let mut headers: Vec<_> = site_headers.iter().map(|value| ("sec-fetch-site", *value)).collect();
                headers.extend(origin.iter().map(|value| ("origin", *value)));
                let before = reached.load(Ordering::SeqCst);
                let answer = send(&app, with_headers(method, &headers)).await;
                let passed = reached.load(Ordering::SeqCst) == before + 1;
                let safe = ["GET", "HEAD", "OPTIONS"].contains(&method);
                println!("{method} {headers:?}");
                assert_eq!(passed, safe || expected == 'y');
                assert_eq!(answer.status, if passed { 200 } else { 403 });
                let events = if passed { vec![] } else { vec![EventKind::CrossOrigin] };
                assert_eq!(site.events.take(), events);
            }
        }
    }
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_rejected(403, "cross_origin");
    assert_eq!(answer.all("vary"), ["Sec-Fetch-Site, Origin"]);
}

#[tokio::test]
async fn logins_and_anonymous_sessions_are_covered_and_nothing_is_stored() {
    let site = Site::new(Policy::high_assurance());
    let app = site.app();
    for path in ["/login/mallory", "/count", "/logout", "/plain"] {
        let mut request = request("POST", path, "");
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_refused(&send(&app, request).await);
    }
    assert_eq!(site.store.calls(), (0, 0));
}

#[tokio::test]
async fn a_refused_logout_leaves_the_session() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let mut request = request("POST", "/logout", &cookie);
    request.headers_mut().insert("sec-fetch-site", "same-site".parse().unwrap());
    assert_refused(&send(&app, request).await);
    assert_eq!(call(&app, "GET", "/logout", &cookie).await.status, 405, "a link does not log out");
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
}

/// A bearer token beside the cookie does not switch the guard off.
#[tokio::test]
async fn other_credentials_do_not_bypass_the_guard() {
    let site = Site::standard();
    let cookie = call(&site.app(), "POST", "/login/alice", "").await.cookie();
    let headers = [("authorization", "Bearer abc"), ("cookie", &cookie), ("sec-fetch-site", "cross-site")];
    let (app, _) = counted(site.layer());
    assert_refused(&send(&app, with_headers("POST", &headers)).await);
}

#[tokio::test]
async fn the_own_origin_is_the_host_the_request_was_sent_to() {
    let site = Site::standard();
    let (app, _) = counted(site.layer());
    let status = async |uri: &str, hosts: &[&str], origin: &str| {
        let mut request = Request::builder().method("POST").uri(uri).header("origin", origin);
        for host in hosts {
            request = request.header("host", *host);
        }
        send(&app, request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    assert_eq!(status("/", &["shop.example"], "https://shop.example").await, 200);
    assert_eq!(status("/", &["shop.example"], "http://shop.example").await, 200, "a proxy may end https");
    assert_eq!(status("/", &["shop.example:8443"], "https://shop.example:8443").await, 200);
    assert_eq!(status("/", &["[::1]:3000"], "http://[::1]:3000").await, 200);
    assert_eq!(status("/", &["shop.example:8443"], "https://shop.example").await, 403, "another port");
    assert_eq!(status("/", &["shop.example"], "https://www.shop.example").await, 403, "another subdomain");
    assert_eq!(status("/", &["shop.example"], "https://shop.example.evil.example").await, 403);
    assert_eq!(status("/", &["shop.example"], "https://evil.example/shop.example").await, 403);
    assert_eq!(status("/", &["shop.example"], "https://user@shop.example").await, 403);
    assert_eq!(status("/", &["shop.example"], "https://shop.example/").await, 403, "not an origin");
    assert_eq!(status("/", &["shop.example"], "shop.example").await, 403, "not an origin");
    assert_eq!(status("/", &["shop.example"], "chrome-extension://shop.example").await, 403);
    assert_eq!(status("/", &[""], "https://").await, 403);
    assert_eq!(status("/", &[], "https://shop.example").await, 403, "no host to compare with");
    assert_eq!(status("/", &["shop.example", "evil.example"], "https://shop.example").await, 403, "two hosts");
    // The target of the request decides over `Host`, as in HTTP/2.
    assert_eq!(status("https://shop.example/", &["evil.example"], "https://shop.example").await, 200);
    assert_eq!(status("https://shop.example/", &["evil.example"], "https://evil.example").await, 403);
}

#[tokio::test]
async fn websocket_handshakes_that_carry_a_session_are_covered() {
    let site = Site::standard();
    let cookie = call(&site.app(), "POST", "/login/alice", "").await.cookie();
    let (app, _) = counted(site.layer());
    let status = async |cookie: &str, upgrade: &str, origin: &str| {
        let headers = [("connection", "upgrade"), ("upgrade", upgrade), ("cookie", cookie), ("origin", origin)];
        send(&app, with_headers("GET", &headers)).await.status.as_u16()
    };
    assert_eq!(status(&cookie, "websocket", OWN).await, 200);
    assert_eq!(status(&cookie, "websocket", "https://evil.example").await, 403);
    assert_eq!(status(&cookie, "h2c, WebSocket", "https://evil.example").await, 403);
    assert_eq!(status("__Host-id=anything", "websocket", "https://evil.example").await, 403);
    assert_eq!(status("theme=dark", "websocket", "https://evil.example").await, 200, "no session to abuse");
    assert_eq!(status(&cookie, "h2c", "https://evil.example").await, 200, "an ordinary GET");
}

#[tokio::test]
async fn strict_refuses_requests_that_say_nothing() {
    let site = Site::standard();
    let (app, _) = counted(site.layer().origin_guard(OriginGuard::new().missing_origin(MissingOrigin::Refuse)));
    assert_refused(&send(&app, with_headers("POST", &[])).await);
    assert_eq!(send(&app, with_headers("GET", &[])).await.status, 200);
    assert_eq!(send(&app, with_headers("POST", &[("origin", OWN)])).await.status, 200);
    assert_eq!(send(&app, with_headers("POST", &[("sec-fetch-site", "same-origin")])).await.status, 200);
}

#[tokio::test]
async fn report_only_reports_and_lets_pass() {
    let site = Site::standard();
    let (app, reached) = counted(site.layer().origin_guard(OriginGuard::new().enforcement(Enforcement::ReportOnly)));
    assert_eq!(send(&app, with_headers("POST", &[("sec-fetch-site", "cross-site")])).await.status, 200);
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    assert_eq!(site.events.take(), [EventKind::CrossOrigin]);
}

#[tokio::test]
async fn off_is_off() {
    let site = Site::standard();
    let (app, reached) = counted(site.layer().origin_guard(OriginGuard::new().enforcement(Enforcement::Off)));
    assert_eq!(send(&app, with_headers("POST", &[("sec-fetch-site", "cross-site")])).await.status, 200);
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    assert_eq!(site.events.take(), []);
}

/// `SameSite` is never the only defence.
#[tokio::test]
async fn the_guard_does_not_rely_on_the_cookie_policy() {
    for cookie in [CookiePolicy::strict(), CookiePolicy::local_development()] {
        let site = Site::new(Policy::standard().to_builder().cookie(cookie).build().unwrap());
        let (app, _) = counted(site.layer());
        assert_refused(&send(&app, with_headers("POST", &[("sec-fetch-site", "same-site")])).await);
    }
}

#[test]
fn a_trusted_origin_that_no_browser_sends_is_refused_at_once() {
    for bad in
        ["https://shop.example/", "https://Shop.example", "https://shop.example:443", "null", "*", "shop.example"]
    {
        assert_eq!(OriginGuard::new().trusted_origin(bad).err(), Some(OriginError), "{bad}");
    }
    assert!(OriginGuard::new().trusted_origin("https://shop.example:8443").is_ok());
    assert!(OriginError.to_string().contains("https://host"));
}

#[tokio::test]
async fn responses_that_pass_do_not_vary_by_the_guard() {
    let site = Site::standard();
    let app = routes().layer(site.layer());
    assert_eq!(call(&app, "POST", "/plain", "").await.all("vary"), [""; 0]);
}
