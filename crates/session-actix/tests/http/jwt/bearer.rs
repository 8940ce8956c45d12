//! `Bearer`, `LiveBearer`, and the `Authorization` header.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, Either, web};
use serde_json::json;
use session_actix::{
    Authenticated, Bearer, BearerAuth, BearerRejection, BearerRejectionKind, Challenge, LiveBearer, TokenRequirement,
};
use session_conformance::ReferenceStore;
use session_core::store::Freshness;
use session_core::{EventKind, Policy, SessionManager, UserId};
use session_jwt::{TokenService, Verifier, VerifyingKeys};

use super::{LIFETIME, Service, bearer_routes, get_with};
use crate::common::{Answer, Behaviour, call, request, send, serve};

const INVALID: &str = r#"Bearer error="invalid_token", error_description="the access token is not valid""#;
const MALFORMED: &str = concat!(
    r#"Bearer error="invalid_request", "#,
    r#"error_description="the Authorization header is repeated or unreadable""#
);

#[track_caller]
fn assert_challenged(answer: &Answer, status: u16, code: &str, challenge: &str) {
    answer.assert_rejected(status, code);
    assert_eq!(answer.all("www-authenticate"), [challenge]);
}

#[tokio::test]
async fn bearer_costs_no_store_call_and_live_bearer_one() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let before = service.site.store.calls();
    assert_eq!(service.get("/me", &pair.access).await.text(), "alice");
    assert_eq!(service.get("/maybe", &pair.access).await.text(), "true");
    assert_eq!(service.site.store.calls(), before);
    service.site.store.take_loads();
    assert_eq!(service.get("/live", &pair.access).await.status, 200);
    assert_eq!(service.site.store.calls(), (before.0 + 1, before.1));
    assert_eq!(service.site.store.take_loads(), [Freshness::Cached], "a copy may answer");
    assert_eq!(service.get("/live-latest", &pair.access).await.status, 200);
    assert_eq!(service.site.store.take_loads(), [Freshness::Latest], "no copy may answer");
    let before = (before.0 + 1, before.1);
    for path in ["/me", "/live", "/maybe"] {
        let _ = service.get(path, "nonsense").await;
    }
    assert_eq!(service.site.store.calls(), (before.0 + 1, before.1), "an invalid token costs none");
}

#[tokio::test]
async fn a_revoked_session_is_noticed_at_once_or_when_the_token_expires() {
    let service = Service::standard().await;
    let pair = service.login().await;
    service.revoke(&pair.refresh).await;
    let invalid = INVALID;
    assert_challenged(&service.get("/live", &pair.access).await, 401, "invalid_token", invalid);
    let leeway = service.tokens.tokens().policy().leeway();
    service.site.clock.advance(LIFETIME + leeway - std::time::Duration::from_secs(1));
    assert_eq!(service.get("/me", &pair.access).await.text(), "alice");
    service.site.clock.advance(std::time::Duration::from_secs(1));
    for path in ["/me", "/live", "/maybe"] {
        assert_challenged(&service.get(path, &pair.access).await, 401, "invalid_token", invalid);
    }
}

#[tokio::test]
async fn using_an_access_token_is_no_activity() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let before = service.site.store.calls().1;
    service.site.clock.advance(LIFETIME / 2);
    assert_eq!(service.get("/live", &pair.access).await.status, 200);
    assert_eq!(service.site.store.calls().1, before, "nothing is written");
}

/// "Log everybody out" includes those who hold an access token: the service knows the policy.
#[tokio::test]
async fn not_before_counts_without_asking_the_store() {
    let service = Service::standard().await;
    let early = service.login().await;
    service.site.clock.advance(Duration::from_secs(1));
    let policy = Policy::standard().to_builder().not_before(service.site.manager.now()).build().unwrap();
    let manager =
        SessionManager::builder(Arc::new(ReferenceStore::new())).policy(policy).clock(service.site.clock.clone());
    let manager = manager.observer(service.site.events.clone()).build();
    let tokens = TokenService::new(manager, Arc::clone(service.tokens.tokens()), service.book.clone()).unwrap();
    let app = serve(App::new().wrap(BearerAuth::new(Arc::new(tokens))).configure(bearer_routes)).await;
    service.site.events.take();
    for path in ["/me", "/maybe", "/live", "/maybe-live"] {
        let answer = get_with(&app, path, &[format!("Bearer {}", early.access).as_bytes()]).await;
        answer.assert_rejected(401, "invalid_token");
        assert_eq!(service.site.events.take(), [EventKind::InvalidAccessToken], "{path}");
    }
    let late = service.login().await;
    assert_eq!(get_with(&app, "/me", &[format!("Bearer {}", late.access).as_bytes()]).await.text(), "alice");
}

/// How the header is read is tested in session-core.
#[tokio::test]
async fn the_header_in_every_shape() {
    let service = Service::standard().await;
    let access = service.login().await.access;
    let bearer = format!("bEaReR   {access}");
    let at = async |values: &[&[u8]]| get_with(&service.app, "/me", values).await;
    assert_eq!(at(&[bearer.as_bytes()]).await.text(), "alice");
    for other in [&[][..], &[&b"Basic YWxpY2U6cHc="[..]], &[access.as_bytes()]] {
        assert_challenged(&at(other).await, 401, "unauthenticated", "Bearer");
    }
    for malformed in [&[&b"Bearer \xc3\xbc"[..]][..], &[b"Bearer"], &[bearer.as_bytes(), bearer.as_bytes()]] {
        assert_challenged(&at(malformed).await, 400, "invalid_request", MALFORMED);
    }
    let long = format!("Bearer {}", "x".repeat(1 << 20));
    for invalid in ["Bearer a.b.c", &*long, &format!("Bearer {access} {access}"), &format!("Bearer \t{access}")] {
        let answer = at(&[invalid.as_bytes()]).await;
        assert_challenged(&answer, 401, "invalid_token", INVALID);
    }
    for name in ["cookie", "x-authorization", "proxy-authorization"] {
        let request = request("GET", "/me?access_token=x", "").append_header((name, &*bearer));
        let answer = send(&service.app, request).await;
        assert_challenged(&answer, 401, "unauthenticated", "Bearer");
    }
}

#[tokio::test]
async fn without_a_token_the_optional_extractor_gives_none() {
    let service = Service::standard().await;
    for path in ["/maybe", "/maybe-live"] {
        assert_eq!(call(&service.app, "GET", path, "").await.text(), "false");
        service.get(path, "nonsense").await.assert_rejected(401, "invalid_token");
    }
}

/// A token that is not good any more, or cannot be checked, is no missing token.
#[tokio::test]
async fn the_optional_live_extractor_gives_none_for_nothing_else() {
    let service = Service::standard().await;
    let pair = service.login().await;
    assert_eq!(service.get("/maybe-live", &pair.access).await.text(), "true");
    service.site.on_read(Behaviour::Fails);
    service.get("/maybe-live", &pair.access).await.assert_rejected(503, "session_store_unavailable");
    service.site.on_read(Behaviour::Works);
    service.revoke(&pair.refresh).await;
    service.get("/maybe-live", &pair.access).await.assert_rejected(401, "invalid_token");
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let service = Service::standard().await;
    let pair = service.login().await;
    service.get("/me", &pair.refresh).await.assert_rejected(401, "invalid_token");
    super::assert_refused(&service.refresh(&pair.access).await, 400, "invalid_grant");
}

#[tokio::test]
async fn public_keys_are_enough_to_verify_and_not_to_ask() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let jwks = call(&service.app, "GET", "/.well-known/jwks.json", "").await;
    let keys = VerifyingKeys::from_jwks(jwks.text()).unwrap();
    let verifier = Verifier::new(service.tokens.tokens().policy().clone(), keys);
    let auth = BearerAuth::verifier_with_clock(Arc::new(verifier), service.site.clock.clone());
    let app = serve(App::new().wrap(auth).configure(bearer_routes)).await;
    let bearer = format!("Bearer {}", pair.access);
    assert_eq!(get_with(&app, "/me", &[bearer.as_bytes()]).await.text(), "alice");
    get_with(&app, "/live", &[bearer.as_bytes()]).await.assert_rejected(500, "bearer_layer_missing");
    assert!(BearerRejection::from(BearerRejectionKind::LayerMissing).to_string().contains("BearerAuth::new"));
}

#[tokio::test]
async fn an_extractor_without_a_middleware_is_500() {
    let app = serve(App::new().configure(bearer_routes)).await;
    for path in ["/me", "/live"] {
        get_with(&app, path, &[b"Bearer x"]).await.assert_rejected(500, "bearer_layer_missing");
    }
}

#[tokio::test]
async fn debug_output_shows_neither_token_nor_user() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let shows = web::get().to(async |live: LiveBearer| format!("{live:?}"));
    let app = serve(App::new().wrap(BearerAuth::new(Arc::clone(&service.tokens))).route("/", shows)).await;
    let answer = get_with(&app, "/", &[format!("Bearer {}", pair.access).as_bytes()]).await;
    let shown = answer.text();
    assert!(shown.contains("LiveBearer") && !shown.contains("alice") && !shown.contains(&pair.access), "{shown}");
}

/// What an `Either` tries next is for requests without a token.
#[tokio::test]
async fn a_token_that_is_not_good_is_no_missing_token() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let either = async |found: Either<LiveBearer, Authenticated>| match found {
        Either::Left(_) => "token",
        Either::Right(_) => "cookie",
    };
    let reason = async |found: Result<Bearer, BearerRejection>| {
        found.map_or_else(|rejection| format!("{:?}", rejection.kind()), |_| "found".to_owned())
    };
    let app = App::new()
        .wrap(service.site.middleware())
        .wrap(BearerAuth::new(Arc::clone(&service.tokens)))
        .route("/either", web::get().to(either))
        .route("/reason", web::get().to(reason))
        .configure(crate::common::routes);
    let app = serve(app).await;
    let cookie = call(&app, "POST", "/login/bob", "").await.cookie();
    let both = |path: &str, authorization: &str| {
        request("GET", path, &cookie).append_header(("authorization", authorization.to_owned()))
    };
    let (good, bad) = (format!("Bearer {}", pair.access), "Bearer nonsense");
    assert_eq!(call(&app, "GET", "/either", &cookie).await.text(), "cookie");
    assert_eq!(send(&app, both("/either", &good)).await.text(), "token");
    send(&app, both("/either", bad)).await.assert_rejected(401, "invalid_token");
    service.site.on_read(Behaviour::Fails);
    send(&app, both("/either", &good)).await.assert_rejected(503, "session_store_unavailable");
    assert_eq!(call(&app, "GET", "/reason", "").await.text(), "Missing");
    assert_eq!(send(&app, both("/reason", &good)).await.text(), "found");
    send(&app, both("/reason", bad)).await.assert_rejected(401, "invalid_token");
}

struct Payments;

impl TokenRequirement for Payments {
    const SCOPES: &'static [&'static str] = &["payments:write"];
}

/// What a token must have is tested in session-jwt; here, that the extractors ask for it, and say what is missing.
#[tokio::test]
async fn a_requirement_is_asked_for_and_named() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let challenge = Challenge::new().realm("shop").unwrap();
    let app = App::new()
        .wrap(BearerAuth::new(Arc::clone(&service.tokens)).challenge(challenge))
        .route("/pay", web::get().to(async |_: Bearer<Payments>| "paid"))
        .route("/pay-live", web::get().to(async |_: LiveBearer<Payments>| "paid"))
        .route("/maybe-pay", web::get().to(async |_: Option<Bearer<Payments>>| "paid"))
        .route("/late", web::get().to(async |_: Bearer| Err::<&str, _>(BearerRejection::insufficient_scope("x y"))));
    let app = serve(app).await;
    let bearer = format!("Bearer {}", pair.access);
    for path in ["/pay", "/pay-live", "/maybe-pay"] {
        let answer = get_with(&app, path, &[bearer.as_bytes()]).await;
        answer.assert_rejected(403, "insufficient_scope");
        let challenge = answer.all("www-authenticate")[0];
        assert!(challenge.contains("realm=\"shop\"") && challenge.contains("scope=\"payments:write\""), "{challenge}");
    }
    let answer = get_with(&app, "/late", &[bearer.as_bytes()]).await;
    answer.assert_rejected(403, "insufficient_scope");
    assert!(answer.all("www-authenticate")[0].contains("scope=\"x y\""));
}

/// Nothing is refused in silence.
#[tokio::test]
async fn each_refusal_is_an_event() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let events = || service.site.events.take();
    events();
    let wrong = json!({ "username": "alice", "password": "wrong" });
    assert_eq!(service.post("/api/token", &wrong).await.status, 400);
    assert_eq!(events(), [EventKind::LoginRefused]);
    assert_eq!(service.refresh("x").await.status, 400);
    assert_eq!(events(), [EventKind::MalformedToken]);
    let forged = format!("{}A", pair.access);
    for token in [&*forged, "eyJhbGciOiJub25lIn0.e30.AAAA", "x"] {
        for path in ["/me", "/live"] {
            assert_eq!(service.get(path, token).await.status, 401);
            assert_eq!(events(), [EventKind::InvalidAccessToken], "{path} {token}");
        }
    }
    assert_eq!(service.get("/live", &pair.access).await.status, 200);
    service.site.manager.revoke_all(&UserId::new("alice").unwrap()).await.unwrap();
    events();
    assert_eq!(service.get("/me", &pair.access).await.status, 200, "it does not ask the store");
    assert_eq!(events(), []);
    assert_eq!(service.get("/live", &pair.access).await.status, 401);
    assert_eq!(events(), [EventKind::InvalidAccessToken]);
    service.site.clock.advance(Duration::from_secs(306));
    assert_eq!(service.get("/me", &pair.access).await.status, 401);
    assert_eq!(events(), [EventKind::InvalidAccessToken]);
}
