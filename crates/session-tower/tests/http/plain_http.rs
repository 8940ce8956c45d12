//! A `Secure` cookie over plain http: one hint in the log, and none where the browser keeps the cookie.

use axum::Router;
use axum::body::Body;
use http::Request;
use session_core::{CookiePolicy, Policy};
use session_testbed::Log;

use crate::common::{Site, send};

async fn post(app: &Router, path: &str, headers: &[(&str, &str)]) {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    assert_eq!(send(app, request.body(Body::empty()).unwrap()).await.status, 200);
}

/// A login by a form of the page at `origin`, at a server that gets this `Host`.
async fn log_in(app: &Router, origin: &str, host: &str) {
    post(app, "/login/alice", &[("origin", origin), ("host", host)]).await;
}

#[tokio::test]
async fn a_login_that_the_browser_will_lose_is_noticed_once() {
    for (origin, host) in [
        ("http://shop.lan", "shop.lan"),
        ("http://shop.lan", "SHOP.lan:80"),
        ("http://192.168.1.7:3000", "192.168.1.7:3000"),
        ("http://[fd00::7]:3000", "[fd00::7]:3000"),
        ("http://localhost.shop.lan", "localhost.shop.lan"),
        ("http://notlocalhost", "notlocalhost"),
    ] {
        let app = Site::standard().app();
        let (log, _guard) = Log::keep();
        post(&app, "/plain", &[("origin", origin), ("host", host)]).await;
        assert_eq!(log.take(), [] as [String; 0], "{host}: no cookie was set");
        log_in(&app, origin, host).await;
        let lines = log.take();
        let [line] = &*lines else { panic!("{host}: {lines:?}") };
        for part in ["WARN session: ", "is Secure", "plain http", "https", "local_development", host] {
            assert!(line.contains(part), "{part}: {line}");
        }
        log_in(&app, origin, host).await;
        assert_eq!(log.take(), [] as [String; 0], "{host}: once is enough");
    }
}

#[tokio::test]
async fn a_login_that_the_browser_keeps_is_not() {
    let (log, _guard) = Log::keep();
    let app = Site::standard().app();
    for (origin, host) in [
        // With TLS at a proxy, the request comes over plain http.
        ("https://shop.lan", "shop.lan"),
        ("https://shop.lan", "shop.lan:443"),
        // Browsers trust the machine itself.
        ("http://localhost:3000", "localhost:3000"),
        ("http://LOCALHOST.", "localhost."),
        ("http://shop.localhost", "shop.localhost"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://127.9.9.9", "127.9.9.9"),
        ("http://[::1]:3000", "[::1]:3000"),
    ] {
        log_in(&app, origin, host).await;
        assert_eq!(log.take(), [] as [String; 0], "{origin} {host}");
    }
    // A script says nothing, and keeps what it likes.
    post(&app, "/login/alice", &[("host", "shop.lan")]).await;
    // Sent over https only: the page that has the form is at http.
    let from = [("origin", "http://shop.lan"), ("host", "shop.lan"), ("sec-fetch-site", "same-origin")];
    post(&app, "/login/alice", &from).await;
    let cookie = CookiePolicy::local_development("shop").unwrap();
    let app = Site::new(Policy::standard().to_builder().cookie(cookie).build().unwrap()).app();
    log_in(&app, "http://shop.lan", "shop.lan").await;
    assert_eq!(log.take(), [] as [String; 0]);
}
