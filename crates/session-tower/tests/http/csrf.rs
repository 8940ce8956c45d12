//! The guard against cross-site request forgery, seen from outside. Its rules are tested in session-core.

use crate::common::{Answer, Site, call, request, routes, send};
use axum::Router;
use http::Request;
use http::request::Builder;
use session_core::{EventKind, OriginRefusal, Policy};
use session_tower::{Enforcement, MissingOrigin, OriginGuard};

#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.assert_rejected(403, "cross_origin");
    assert_eq!(answer.all("vary"), ["Sec-Fetch-Site, Origin"]);
}

/// `SameSite=Strict` changes nothing: the guard does not rely on it.
#[tokio::test]
async fn logins_and_anonymous_sessions_are_covered_and_nothing_is_stored() {
    let site = Site::new(Policy::high_assurance());
    let app = site.app();
    for path in ["/login/mallory", "/count", "/logout", "/plain"] {
        let mut request = request("POST", path, "");
        request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_refused(&send(&app, request).await);
        assert_eq!(site.events.take(), [EventKind::CrossOrigin(OriginRefusal::OtherSite)]);
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

async fn status(app: &Router, request: Builder, headers: &[(&str, &str)]) -> u16 {
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(app, request.body(axum::body::Body::empty()).unwrap()).await.status.as_u16()
}

/// The guard sees the method, the target and every header; credentials beside the cookie do not switch it off.
#[tokio::test]
async fn the_guard_sees_the_whole_head() {
    let (app, own, evil) = (Site::standard().app(), "https://shop.example", "https://evil.example");
    let get = || Request::get("/plain");
    let post = || Request::post("/plain");
    let websocket = [("cookie", "__Host-id=x"), ("upgrade", "h2c"), ("upgrade", "websocket"), ("origin", evil)];
    for (request, headers, expected) in [
        (get(), &[("sec-fetch-site", "cross-site")][..], 200),
        (post(), &[("sec-fetch-site", "cross-site")], 403),
        (post(), &[("sec-fetch-site", "cross-site"), ("authorization", "Bearer x"), ("cookie", "__Host-id=x")], 403),
        (post(), &[("sec-fetch-site", "none"), ("origin", evil)], 200),
        (post(), &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")], 403),
        (post(), &[("host", "shop.example"), ("origin", own)], 200),
        (post(), &[("host", "shop.example"), ("host", "shop.example"), ("origin", own)], 403),
        (Request::post("https://shop.example/plain"), &[("host", "evil.example"), ("origin", own)], 200),
        (Request::post("https://shop.example/plain"), &[("host", "evil.example"), ("origin", evil)], 403),
        (get(), &websocket, 403),
        (get(), &websocket[1..], 200),
    ] {
        assert_eq!(status(&app, request, headers).await, expected, "{headers:?}");
    }
    assert_eq!(call(&app, "POST", "/plain", "").await.all("vary"), [""; 0], "a response that passes does not vary");
}

#[tokio::test]
async fn a_guard_of_the_application_takes_the_place_of_the_default() {
    let trusted = OriginGuard::new().trusted_origin("https://pay.example:8443").unwrap();
    let strict = OriginGuard::new().missing_origin(MissingOrigin::Refuse);
    let report_only = OriginGuard::new().enforcement(Enforcement::ReportOnly);
    let from_trusted = [("origin", "https://pay.example:8443")];
    for (guard, headers, expected, events) in [
        (OriginGuard::new(), &from_trusted[..], 403, &[EventKind::CrossOrigin(OriginRefusal::OtherHost)][..]),
        (trusted, &from_trusted, 200, &[]),
        (OriginGuard::new(), &[], 200, &[]),
        (strict, &[], 403, &[EventKind::CrossOrigin(OriginRefusal::Missing)]),
        (report_only, &from_trusted, 200, &[EventKind::CrossOrigin(OriginRefusal::OtherHost)]),
    ] {
        let site = Site::standard();
        let app = routes().layer(site.layer().origin_guard(guard.clone()));
        assert_eq!(status(&app, Request::post("/plain"), headers).await, expected, "{guard:?}");
        assert_eq!(site.events.take(), events, "{guard:?}");
    }
}
