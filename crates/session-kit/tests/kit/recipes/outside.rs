//! Clients that are no pages of the site: an application at another origin, a mobile client.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use session_kit::Policy;

use super::{Down, alice, sessions, sessions_with};
use crate::browser::{Browser, header_of};
use crate::example::{mobile, spa};

/// A script of a page at this origin.
fn fetch(method: &str, path: &str, origin: &str, site: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path).header("host", "api.example.org");
    request.header("origin", origin).header("sec-fetch-site", site)
}

#[tokio::test]
async fn spa_acts_for_its_user_and_reads_the_answers() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&spa::app(sessions).unwrap(), "browser");
    let app = "https://app.example.org";
    let preflight = fetch("OPTIONS", "/login", app, "same-site");
    let preflight = preflight.header("access-control-request-method", "POST");
    let preflight = preflight.header("access-control-request-headers", "content-type");
    let answer = browser.exchange(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(header_of(&answer, "access-control-allow-origin"), app);
    assert_eq!(header_of(&answer, "access-control-allow-credentials"), "true");

    // It can read that it is not logged in, too.
    let answer = browser.exchange(fetch("GET", "/me", app, "same-site").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header_of(&answer, "access-control-allow-origin"), app);
    let answer =
        browser.exchange(fetch("POST", "/login", app, "same-site").body(Body::from("name=alice")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = browser.exchange(fetch("GET", "/me", app, "same-site").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"alice"[..]));
}

#[tokio::test]
async fn spa_reads_what_the_layer_answers() {
    let down = Down::default();
    down.0.store(true, Ordering::SeqCst);
    let mut browser = Browser::new(&spa::app(sessions_with(down)).unwrap(), "browser");
    let login = fetch("POST", "/login", "https://app.example.org", "same-site").body(Body::from("name=alice"));
    let answer = browser.exchange(login.unwrap()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header_of(&answer, "access-control-allow-origin"), "https://app.example.org");
}

#[tokio::test]
async fn spa_of_others_can_neither_act_nor_read() {
    let (sessions, _) = sessions(Policy::standard());
    let mut browser = Browser::new(&spa::app(sessions.clone()).unwrap(), "browser");
    for (origin, site) in [("https://blog.example.org", "same-site"), ("https://evil.example", "cross-site")] {
        let answer =
            browser.exchange(fetch("POST", "/login", origin, site).body(Body::from("name=alice")).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
        assert_ne!(header_of(&answer, "access-control-allow-origin"), origin);
    }
    assert!(sessions.list(&alice()).await.unwrap().is_empty());
}

#[tokio::test]
async fn mobile_client_logs_in_refreshes_and_is_logged_out() {
    let (sessions, clock) = sessions(Policy::standard());
    let mut client = Browser::new(&mobile::app(sessions.clone()).unwrap(), "phone");
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    let credentials = "grant_type=password&username=alice&password=";
    let answer = client.answer("POST", "/token", &format!("{credentials}wrong")).await;
    assert_eq!((answer.status(), &json(answer.body())["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    let answer = client.answer("POST", "/token", &format!("{credentials}correct-horse")).await;
    assert_eq!((answer.status(), header_of(&answer, "set-cookie")), (StatusCode::OK, ""));
    let first = json(answer.body());
    let bearer = async |method: &str, path: &str, pair: &Value| {
        let token = pair["access_token"].as_str().unwrap();
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        client.clone().exchange(request.body(Body::empty()).unwrap()).await.status()
    };
    assert_eq!(bearer("GET", "/prices", &first).await, StatusCode::OK);
    clock.advance(std::time::Duration::from_secs(10 * 60));
    assert_eq!(bearer("GET", "/prices", &first).await, StatusCode::UNAUTHORIZED, "an access token lives for minutes");
    let refresh = format!("refresh_token={}", first["refresh_token"].as_str().unwrap());
    let answer = client.clone().answer("POST", "/token/refresh", &refresh).await;
    let second = json(answer.body());
    assert_eq!(bearer("POST", "/orders", &second).await, StatusCode::OK);

    // It is in the list of devices, and ends as every session does.
    assert_eq!(sessions.list(&alice()).await.unwrap()[0].device.user_agent(), Some("phone"));
    sessions.revoke_all(&alice()).await.unwrap();
    assert_eq!(bearer("POST", "/orders", &second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(bearer("GET", "/prices", &second).await, StatusCode::OK, "until it expires");
    let refresh = format!("refresh_token={}", second["refresh_token"].as_str().unwrap());
    assert_eq!(client.clone().answer("POST", "/token/refresh", &refresh).await.status(), StatusCode::BAD_REQUEST);
}
