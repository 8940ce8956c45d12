//! Device-bound sessions. What a browser does in which order is tested in `tests/tests/bound.rs`.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::Request;
use serde_json::Value;
use session_core::{CookiePolicy, EventKind, Login, UserId};
use session_testbed::device::DeviceKey;
use session_tower::{DeviceBinding, Rejection, Session, device_binding, require_device};

use crate::common::{Answer, Behaviour, Site, send};

/// A site with a route that wants the device, and one that does not.
async fn bound() -> (Site, Router) {
    async fn login(State(binding): State<DeviceBinding>, session: Session) -> Result<impl IntoResponse, Rejection> {
        session.login(Login::new(UserId::new("alice")?))?;
        Ok(([binding.offer(&session)?], "welcome"))
    }
    async fn logout(session: Session) -> Result<(), Rejection> {
        Ok(session.logout()?)
    }
    let site = Site::standard();
    let cookie = CookiePolicy::builder("__Host-bound").build().unwrap();
    let binding = DeviceBinding::new("https://shop.example", "/bind", "/renew", cookie).unwrap();
    let app = Router::new()
        .route("/account", get(async || "yours"))
        .layer(from_fn_with_state(binding.clone(), require_device))
        .route("/open", get(async |session: Session| session.user().is_some().to_string()))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .with_state(binding.clone())
        .merge(device_binding(binding))
        .layer(site.layer());
    (site, app)
}

pub(super) async fn send_to(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", "shop.example");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(app, request.body(Body::empty()).unwrap()).await
}

/// Refused, and the bound cookie is removed.
fn assert_taken_away(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"error":"device_binding_required"}"#));
    assert!(answer.all("set-cookie")[0].starts_with("__Host-bound=; "), "{answer:?}");
}

/// The texts in quotation marks.
pub(super) fn quoted(header: &str) -> Vec<&str> {
    header.split('"').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn a_browser_registers_and_renews_and_a_copy_is_refused() {
    let (site, app) = bound().await;
    let key = DeviceKey::new(1);
    let login = send_to(&app, "POST", "/login", &[]).await;
    let (session, offer) = (login.cookie(), login.all("secure-session-registration")[0].to_owned());
    assert!(offer.starts_with("(ES256);path=\"/bind\";challenge=\""), "{offer}");
    let guarded = async |cookies: &str| send_to(&app, "GET", "/account", &[("cookie", cookies)]).await;
    assert_eq!(guarded(&session).await.status, 200, "not bound yet");

    let signed = key.registration(quoted(&offer)[1]);
    let registered =
        send_to(&app, "POST", "/bind", &[("cookie", &session), ("secure-session-response", &signed)]).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    assert_eq!(registered.all("cache-control"), ["no-store"]);
    let instructions: Value = serde_json::from_slice(&registered.body).unwrap();
    assert_eq!(instructions["refresh_url"], "/renew");
    assert_eq!(instructions["scope"]["origin"], "https://shop.example");
    assert_eq!(instructions["credentials"][0]["name"], "__Host-bound");
    let attributes = instructions["credentials"][0]["attributes"].as_str().unwrap();
    assert!(!attributes.contains("Max-Age") && attributes.contains("HttpOnly") && attributes.contains("Path=/"));
    assert!(registered.all("set-cookie")[0].ends_with("Max-Age=600"), "{registered:?}");
    let bound = registered.cookie();

    // The answer may have got lost: until a request has the cookie, none need have it.
    assert_eq!(guarded(&session).await.status, 200);
    assert_eq!(guarded(&format!("{session}; {bound}")).await.status, 200);
    guarded(&session).await.assert_rejected(401, "device_binding_required");
    assert_taken_away(&guarded(&format!("{session}; __Host-bound=made-up")).await);
    assert!(site.events.take().contains(&EventKind::DeviceNotProved));
    assert_eq!(send_to(&app, "GET", "/open", &[("cookie", &session)]).await.status, 200, "where no guard is");

    // A copy of both is good as long as the bound one lives.
    site.clock.advance(Duration::from_secs(630));
    assert_taken_away(&guarded(&format!("{session}; {bound}")).await);
    let id = format!("\"{}\"", instructions["session_identifier"].as_str().unwrap());
    let renew = async |signed: Option<&str>| {
        let mut headers = vec![("cookie", session.as_str()), ("sec-secure-session-id", id.as_str())];
        headers.extend(signed.map(|signed| ("secure-session-response", signed)));
        send_to(&app, "POST", "/renew", &headers).await
    };
    let challenged = renew(None).await;
    let challenge = challenged.all("secure-session-challenge")[0].to_owned();
    assert_eq!((challenged.status.as_u16(), quoted(&challenge)[1]), (403, id.trim_matches('"')));
    assert_eq!(renew(Some(&DeviceKey::new(2).renewal(quoted(&challenge)[0]))).await.status, 403, "another key");
    assert_eq!(renew(Some(&signed)).await.status, 403, "a registration that was captured");
    assert_eq!(renew(Some(&key.renewal("an older one"))).await.status, 403);
    let renewed = renew(Some(&key.renewal(quoted(&challenge)[0]))).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let fresh = renewed.cookie();
    assert_eq!(guarded(&format!("{session}; {fresh}")).await.status, 200);
    // Requests that are under way have the one before, as long as that lives.
    site.clock.advance(Duration::from_secs(300));
    let next = renew(Some(&key.renewal(quoted(renewed.all("secure-session-challenge")[0])[0]))).await;
    assert_eq!(next.status, 200, "{next:?}");
    for cookie in [&fresh, &next.cookie()] {
        assert_eq!(guarded(&format!("{session}; {cookie}")).await.status, 200);
    }
    assert_taken_away(&guarded(&format!("{session}; {bound}")).await);
    assert_eq!(renew(Some(&key.renewal(quoted(&challenge)[0]))).await.status, 403, "a renewal that was captured");
    let again = [("cookie", session.as_str()), ("secure-session-response", signed.as_str())];
    assert_eq!(send_to(&app, "POST", "/bind", &again).await.status, 400, "registered once");

    // Logged out, the browser is told so.
    send_to(&app, "POST", "/logout", &[("cookie", &session)]).await;
    let ended = renew(None).await;
    let body: Value = serde_json::from_slice(&ended.body).unwrap();
    assert_eq!((ended.status.as_u16(), &body["continue"]), (200, &Value::Bool(false)));
}

#[tokio::test]
async fn a_store_that_fails_ends_nothing_in_the_browser() {
    let (site, app) = bound().await;
    let login = send_to(&app, "POST", "/login", &[]).await;
    let (session, offer) = (login.cookie(), login.all("secure-session-registration")[0].to_owned());
    let signed = DeviceKey::new(1).registration(quoted(&offer)[1]);
    let headers = [("cookie", session.as_str()), ("secure-session-response", signed.as_str())];
    site.on_write(Behaviour::Fails);
    assert_eq!(send_to(&app, "POST", "/bind", &headers).await.status, 503);
    site.on_write(Behaviour::Works);
    assert_eq!(send_to(&app, "POST", "/bind", &headers).await.status, 200);
    site.on_read(Behaviour::Fails);
    let renew = [("cookie", session.as_str()), ("sec-secure-session-id", "\"a\"")];
    assert_eq!(send_to(&app, "POST", "/renew", &renew).await.status, 503);
    assert_eq!(send_to(&app, "GET", "/account", &[("cookie", &session)]).await.status, 503);
}

/// What is no request of a browser changes nothing.
#[tokio::test]
async fn malformed_requests_are_refused() {
    let (_, app) = bound().await;
    let login = send_to(&app, "POST", "/login", &[]).await;
    let (session, offer) = (login.cookie(), login.all("secure-session-registration")[0].to_owned());
    let (key, challenge) = (DeviceKey::new(1), quoted(&offer)[1]);
    let good = key.registration(challenge);
    let other = key.registration("another");
    let renewal = key.renewal(challenge);
    let bare = good.trim_matches('"');
    for signed in ["", "\"\"", "\"a.b.c\"", &other, &renewal, &good[..good.len() - 1], &format!("{good}, {good}")] {
        let headers = [("cookie", session.as_str()), ("secure-session-response", signed)];
        assert_eq!(send_to(&app, "POST", "/bind", &headers).await.status, 400, "{signed}");
    }
    let twice =
        [("cookie", session.as_str()), ("secure-session-response", &*good), ("secure-session-response", &*good)];
    assert_eq!(send_to(&app, "POST", "/bind", &twice).await.status, 400);
    assert_eq!(send_to(&app, "POST", "/bind", &[("cookie", &session)]).await.status, 400);
    assert_eq!(send_to(&app, "POST", "/bind", &[("secure-session-response", &*good)]).await.status, 401, "nobody");
    for id in ["", "a b", "a;b", "\"", "\"a\\\"b\""] {
        let headers = [("cookie", session.as_str()), ("sec-secure-session-id", id)];
        assert_eq!(send_to(&app, "POST", "/renew", &headers).await.status, 400, "{id}");
    }
    // As Chromium writes it.
    let headers = [("cookie", session.as_str()), ("secure-session-response", bare)];
    assert_eq!(send_to(&app, "POST", "/bind", &headers).await.status, 200, "nothing was used up");
}
