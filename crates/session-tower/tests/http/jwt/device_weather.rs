//! Device-bound sessions in bad weather: an honest browser stays logged in, and a thief gets nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::Value;
use session_conformance::ReferenceStore;
use session_core::{CookiePolicy, Login, ManualClock, Policy, Renewal, SessionManager, UserId};
use session_testbed::device::DeviceKey;
use session_tower::{DeviceBinding, Rejection, Session, SessionLayer, device_binding, require_device};
use tokio::sync::Notify;

use super::device::{quoted, send_to};
use crate::common::Answer;

/// A site whose sessions have a new token every 15 minutes, and a route that waits.
struct Shop {
    app: Router,
    clock: ManualClock,
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Shop {
    fn open() -> Self {
        async fn login(State(binding): State<DeviceBinding>, session: Session) -> Result<impl IntoResponse, Rejection> {
            session.login(Login::new(UserId::new("alice")?))?;
            Ok(([binding.offer(&session)?], "welcome"))
        }
        async fn offer(State(binding): State<DeviceBinding>, session: Session) -> Result<impl IntoResponse, Rejection> {
            Ok(([binding.offer(&session)?], "again"))
        }
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(1_767_225_600));
        let renewal = Renewal { timeout: Duration::from_secs(900), grace: Duration::from_secs(60) };
        let policy = Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap();
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(policy).clock(clock.clone());
        let cookie = CookiePolicy::builder("__Host-bound").build().unwrap();
        let binding = DeviceBinding::new("https://shop.example", "/bind", "/renew", cookie).unwrap();
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (notify, wait) = (Arc::clone(&arrived), Arc::clone(&go_on));
        let slow = async move || {
            notify.notify_one();
            wait.notified().await;
        };
        let app = Router::new()
            .route("/account", get(async || "yours"))
            .route("/slow", get(slow))
            .layer(from_fn_with_state(binding.clone(), require_device))
            .route("/login", post(login))
            .route("/logout", post(async |session: Session| session.logout().map_err(Rejection::from)))
            .route("/offer", get(offer))
            .with_state(binding.clone())
            .merge(device_binding(binding))
            .layer(SessionLayer::new(manager.build()));
        Self { app, clock, arrived, go_on }
    }

    /// The cookie of the session, and what is offered.
    async fn login(&self, cookies: &[(&str, &str)]) -> (String, String) {
        let login = send_to(&self.app, "POST", "/login", cookies).await;
        (login.cookie(), offered(&login))
    }

    async fn bind(&self, session: &str, key: &DeviceKey, challenge: &str) -> Answer {
        let signed = key.registration(challenge);
        send_to(&self.app, "POST", "/bind", &[("cookie", session), ("secure-session-response", &signed)]).await
    }

    /// Logged in, bound, and the cookies of both.
    async fn bound(&self, key: &DeviceKey) -> (String, Answer, String) {
        let (session, challenge) = self.login(&[]).await;
        let bound = self.bind(&session, key, &challenge).await;
        let both = format!("{session}; {}", bound.cookie());
        assert_eq!(self.account(&both).await.status, 200);
        self.account(&session).await.assert_rejected(401, "device_binding_required");
        (session, bound, both)
    }

    async fn renew(&self, cookies: &str, id: &str, signed: Option<&str>) -> Answer {
        let mut headers = vec![("cookie", cookies), ("sec-secure-session-id", id)];
        headers.extend(signed.map(|signed| ("secure-session-response", signed)));
        send_to(&self.app, "POST", "/renew", &headers).await
    }

    async fn account(&self, cookies: &str) -> Answer {
        send_to(&self.app, "GET", "/account", &[("cookie", cookies)]).await
    }
}

fn offered(answer: &Answer) -> String {
    quoted(answer.all("secure-session-registration")[0])[1].to_owned()
}

fn id_of(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    format!("\"{}\"", body["session_identifier"].as_str().unwrap())
}

/// What is to be signed next.
fn next(answer: &Answer) -> String {
    quoted(answer.all("secure-session-challenge")[0])[0].to_owned()
}

fn removes_bound_cookie(answer: &Answer) -> bool {
    answer.all("set-cookie").iter().any(|cookie| cookie.starts_with("__Host-bound=;") && cookie.contains("Max-Age=0"))
}

#[tokio::test]
async fn a_cookie_confirms_its_own_key_alone() {
    let (shop, one) = (Shop::open(), DeviceKey::new(1));
    let (session, challenge) = shop.login(&[]).await;
    let both = format!("{session}; {}", shop.bind(&session, &one, &challenge).await.cookie());
    let slow = tokio::spawn({
        let (app, both) = (shop.app.clone(), both.clone());
        async move { send_to(&app, "GET", "/slow", &[("cookie", &both)]).await }
    });
    shop.arrived.notified().await;
    // A page of before the registration offers it once more, and the answer to that registration gets lost.
    let again = offered(&send_to(&shop.app, "GET", "/offer", &[("cookie", &session)]).await);
    assert_eq!(shop.bind(&session, &DeviceKey::new(2), &again).await.status, 200);
    shop.go_on.notify_one();
    assert_eq!(slow.await.unwrap().status, 200);
    assert_eq!(shop.account(&both).await.status, 200);
}

#[tokio::test]
async fn an_offer_leaves_the_key_that_is_there() {
    let (shop, one) = (Shop::open(), DeviceKey::new(1));
    let (session, challenge) = shop.login(&[]).await;
    let first = shop.bind(&session, &one, &challenge).await;
    let again = offered(&send_to(&shop.app, "GET", "/offer", &[("cookie", &session)]).await);
    // It is renewed, which it could not be if the key were gone; the offer is over then.
    let challenged = shop.renew(&session, &id_of(&first), Some(&one.renewal(&next(&first)))).await;
    assert_eq!((challenged.status.as_u16(), next(&challenged)), (403, again.clone()));
    let renewed = shop.renew(&session, &id_of(&first), Some(&one.renewal(&again))).await;
    assert_eq!(renewed.status, 200);
    assert_eq!(shop.bind(&session, &DeviceKey::new(2), &again).await.status, 400);
    assert_eq!(shop.account(&format!("{session}; {}", renewed.cookie())).await.status, 200);
    shop.account(&session).await.assert_rejected(401, "device_binding_required");
}

/// Whoever has the cookie of the session is told what to sign, too.
#[tokio::test]
async fn what_a_renewal_is_to_sign_registers_no_key() {
    let (shop, one, thief) = (Shop::open(), DeviceKey::new(1), DeviceKey::new(2));
    let (session, challenge) = shop.login(&[]).await;
    let first = shop.bind(&session, &one, &challenge).await;
    let told = next(&shop.renew(&session, &id_of(&first), None).await);
    assert_eq!(shop.bind(&session, &thief, &told).await.status, 400);
    assert_eq!(shop.renew(&session, &id_of(&first), Some(&one.renewal(&told))).await.status, 200);
}

#[tokio::test]
async fn a_renewal_confirms_the_key() {
    let (shop, one) = (Shop::open(), DeviceKey::new(1));
    let (session, challenge) = shop.login(&[]).await;
    let first = shop.bind(&session, &one, &challenge).await;
    assert_eq!(shop.account(&session).await.status, 200);
    assert_eq!(shop.renew(&session, &id_of(&first), Some(&one.renewal(&next(&first)))).await.status, 200);
    shop.account(&session).await.assert_rejected(401, "device_binding_required");
}

/// The browser believes in it, and does not renew.
#[tokio::test]
async fn a_bound_cookie_that_is_refused_is_taken_away() {
    // The answer to the registration of a session before comes late, and replaces the cookie of the current one.
    let shop = Shop::open();
    let (before, challenge) = shop.login(&[]).await;
    let late = shop.bind(&before, &DeviceKey::new(1), &challenge).await;
    let (session, challenge) = shop.login(&[("cookie", &before)]).await;
    let bound = shop.bind(&session, &DeviceKey::new(2), &challenge).await;
    assert_eq!(shop.account(&format!("{session}; {}", bound.cookie())).await.status, 200);
    let refused = shop.account(&format!("{session}; {}", late.cookie())).await;
    assert!(refused.status == 401 && removes_bound_cookie(&refused), "{refused:?}");

    // Two renewals ahead of time, whose answers are lost.
    let (shop, key) = (Shop::open(), DeviceKey::new(1));
    let (session, first, both) = shop.bound(&key).await;
    shop.clock.advance(Duration::from_secs(480));
    let mut challenge = next(&first);
    for _ in 0..2 {
        assert_eq!(shop.renew(&both, &id_of(&first), Some(&key.renewal(&challenge))).await.status, 200);
        challenge = next(&shop.renew(&both, &id_of(&first), None).await);
    }
    let refused = shop.account(&both).await;
    assert!(refused.status == 401 && removes_bound_cookie(&refused), "{refused:?}");
    let renewed = shop.renew(&session, &id_of(&first), Some(&key.renewal(&challenge))).await;
    assert_eq!(shop.account(&format!("{session}; {}", renewed.cookie())).await.status, 200);

    // The clock of the browser's machine was set back, and it keeps the cookie for longer.
    shop.clock.advance(Duration::from_secs(631));
    let refused = shop.account(&format!("{session}; {}", renewed.cookie())).await;
    assert!(refused.status == 401 && removes_bound_cookie(&refused), "{refused:?}");
    assert!(!removes_bound_cookie(&shop.account(&session).await), "there is none");
}

/// Browsers do not renew for what another site began: loaded again, the page is its own doing.
#[tokio::test]
async fn a_page_that_another_site_leads_to_is_loaded_again() {
    let (shop, key) = (Shop::open(), DeviceKey::new(1));
    let (session, ..) = shop.bound(&key).await;
    for (method, mode, site, reloads) in [
        ("GET", "navigate", "cross-site", true),
        ("GET", "navigate", "same-site", true),
        ("GET", "navigate", "same-origin", false),
        ("GET", "navigate", "none", false),
        ("GET", "cors", "cross-site", false),
        ("HEAD", "navigate", "cross-site", false),
    ] {
        let headers = [("cookie", &*session), ("sec-fetch-mode", mode), ("sec-fetch-site", site)];
        let refused = send_to(&shop.app, method, "/account", &headers).await;
        let expected: &[&str] = if reloads { &["0"] } else { &[] };
        assert_eq!((refused.status.as_u16(), &*refused.all("refresh")), (401, expected), "{method} {mode} {site}");
    }
}

/// It keeps the cookie of the session back, too, where that is not its own.
#[tokio::test]
async fn a_browser_that_keeps_the_cookie_back_is_not_told_to_end() {
    let (shop, key) = (Shop::open(), DeviceKey::new(1));
    let (session, first, _) = shop.bound(&key).await;
    let (id, bare) =
        (id_of(&first), async |id: &str| send_to(&shop.app, "POST", "/renew", &[("sec-secure-session-id", id)]).await);
    assert_eq!(bare(&id).await.status, 503);
    assert_eq!(send_to(&shop.app, "POST", "/logout", &[("cookie", &session)]).await.status, 200);
    for id in [&id, "\"no-id\""] {
        let ended = bare(id).await;
        let body: Value = serde_json::from_slice(&ended.body).unwrap();
        assert_eq!((ended.status.as_u16(), &body["continue"]), (200, &Value::Bool(false)), "{id}");
    }
}

#[tokio::test]
async fn a_refused_copy_is_given_no_token() {
    let (shop, key) = (Shop::open(), DeviceKey::new(1));
    let (session, first, _) = shop.bound(&key).await;
    shop.clock.advance(Duration::from_secs(901));
    let renewed = shop.renew(&session, &id_of(&first), Some(&key.renewal(&next(&first)))).await;
    let owner = shop.account(&format!("{session}; {}", renewed.cookie())).await;
    assert_eq!((owner.status.as_u16(), owner.all("set-cookie").len()), (200, 1), "a new token");
    // Within the grace of the old one.
    let refused = shop.account(&session).await;
    assert_eq!((refused.status.as_u16(), refused.all("set-cookie").len()), (401, 0), "{refused:?}");
    let challenged = shop.renew(&session, &id_of(&first), None).await;
    assert_eq!((challenged.status.as_u16(), challenged.all("set-cookie").len()), (403, 0), "{challenged:?}");
}

/// 409 would end the session in the browser.
#[tokio::test]
async fn a_renewal_that_crosses_a_new_token_is_to_be_tried_again() {
    let (shop, key) = (Shop::open(), DeviceKey::new(1));
    let (session, first, _) = shop.bound(&key).await;
    shop.clock.advance(Duration::from_secs(890));
    let renewed = shop.renew(&session, &id_of(&first), Some(&key.renewal(&next(&first)))).await;
    shop.clock.advance(Duration::from_secs(11));
    let owner = shop.account(&format!("{session}; {}", renewed.cookie())).await;
    assert_eq!(shop.account(&format!("{}; {}", owner.cookie(), renewed.cookie())).await.status, 200);
    shop.clock.advance(Duration::from_millis(5));
    let signed = key.renewal(&next(&renewed));
    assert_eq!(shop.renew(&session, &id_of(&first), Some(&signed)).await.status, 503);
    assert_eq!(shop.bind(&session, &key, &next(&renewed)).await.status, 503);
}
