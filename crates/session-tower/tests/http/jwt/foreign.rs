//! `ForeignBearer`, and keys that are fetched. What is read of a token, and what is refused, is tested in session-jwt.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use session_core::{Assurance, ManualClock};
use session_tower::{BearerLayer, Challenge, ForeignBearer, LiveBearer, TokenRequirement};

use super::provider::Provider;
use super::{Service, bearer_routes, get_with};
use crate::common::Answer;

const API: &str = "https://api.example";
const UUID: &str = "08a5019c-17e1-4977-8f42-65a12843ea02";

struct Orders;

impl TokenRequirement for Orders {
    const SCOPES: &'static [&'static str] = &["orders:read", "orders:write"];
}

struct Strong;

impl TokenRequirement for Strong {
    const LEVEL: Option<Assurance> = Some(Assurance::Aal1);
}

struct Recent;

impl TokenRequirement for Recent {
    const MAX_AGE: Option<Duration> = Some(Duration::from_secs(60));
}

fn foreign_routes() -> Router {
    Router::new()
        .route("/who", get(async |bearer: ForeignBearer| bearer.subject.clone()))
        .route("/maybe-who", get(async |bearer: Option<ForeignBearer>| bearer.is_some().to_string()))
        .route("/orders", get(async |bearer: ForeignBearer<Orders>| bearer.scope.clone().unwrap_or_default()))
        .route("/strong", get(async |_: ForeignBearer<Strong>| "strong"))
        .route("/recent", get(async |_: ForeignBearer<Recent>| "recent"))
        .route("/live-foreign", get(async |_: LiveBearer| "live"))
        .merge(bearer_routes())
}

/// The same routes, once for keys that the application has and once for keys that are fetched.
struct Bed {
    clock: ManualClock,
    provider: Provider,
    apps: [Router; 2],
}

impl Bed {
    fn new() -> Self {
        let clock = ManualClock::default();
        let provider = Provider::new(&clock);
        let verifier = Arc::new(provider.verifier(API));
        let layers =
            [BearerLayer::verifier_with_clock(verifier, clock.clone()), BearerLayer::remote(provider.remote(API))];
        let challenge = || Challenge::new().realm("shop").unwrap();
        let apps = layers.map(|layer| foreign_routes().layer(layer.challenge(challenge())));
        Self { clock, provider, apps }
    }

    fn token(&self, claims: Value) -> String {
        let mut all = json!({
            "sub": "f3b6c0de", "sid": UUID, "azp": "web", "typ": "Bearer",
            "realm_access": { "roles": ["admin"] },
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.provider.sign("JWT", API, all)
    }

    /// The one answer of both.
    async fn get(&self, path: &str, token: &str) -> Answer {
        let header = format!("Bearer {token}");
        let [fixed, remote] = &self.apps;
        let fixed = get_with(fixed, path, &[header.as_bytes()]).await;
        let remote = get_with(remote, path, &[header.as_bytes()]).await;
        assert_eq!(fixed, remote, "{path}");
        fixed
    }
}

#[track_caller]
fn assert_challenged(answer: &Answer, status: u16, code: &str) {
    answer.assert_rejected(status, code);
    let [challenge] = answer.all("www-authenticate")[..] else { panic!("{answer:?}") };
    assert!(challenge.starts_with(r#"Bearer realm="shop""#), "{challenge}");
    assert!(code == "unauthenticated" || challenge.contains(&format!(r#"error="{code}""#)), "{challenge}");
}

#[tokio::test]
async fn a_token_of_other_software_lets_its_subject_in() {
    let bed = Bed::new();
    let token = bed.token(json!({}));
    assert_eq!(bed.get("/who", &token).await.text(), "f3b6c0de");
    assert_eq!(bed.get("/maybe-who", &token).await.text(), "true");
    // It has no session here.
    for path in ["/me", "/maybe", "/live", "/live-foreign"] {
        assert_challenged(&bed.get(path, &token).await, 401, "invalid_token");
    }
}

#[tokio::test]
async fn no_token_and_bad_tokens() {
    let bed = Bed::new();
    for app in &bed.apps {
        assert_challenged(&get_with(app, "/who", &[]).await, 401, "unauthenticated");
        assert_eq!(get_with(app, "/maybe-who", &[]).await.text(), "false");
        assert_challenged(&get_with(app, "/who", &[b"Bearer"]).await, 400, "invalid_request");
    }
    let good = bed.token(json!({}));
    for bad in [
        "not.a.token",
        &good[..good.len() - 4],
        &bed.token(json!({ "aud": ["account"] })),
        &bed.token(json!({ "iss": "https://id.example/realms/other" })),
        &bed.token(json!({ "exp": bed.provider.now() + 3600 })),
        &bed.token(json!({ "sub": 1 })),
        &bed.token(json!({ "scope": 1 })),
        &bed.provider.sign("logout+jwt", API, json!({ "sub": "f3b6c0de" })),
        &bed.provider.sign(
            "JWT",
            API,
            json!({ "sub": "a", "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
        ),
    ] {
        for path in ["/who", "/maybe-who", "/orders"] {
            assert_challenged(&bed.get(path, bad).await, 401, "invalid_token");
        }
    }
    bed.clock.advance(Duration::from_millis(124_999));
    assert_eq!(bed.get("/who", &good).await.status, 200);
    bed.clock.advance(Duration::from_millis(1));
    assert_challenged(&bed.get("/who", &good).await, 401, "invalid_token");
}

#[tokio::test]
async fn scopes_in_each_shape_open_what_they_are_for() {
    let bed = Bed::new();
    for good in [
        json!({ "scope": "orders:write openid orders:read" }),
        json!({ "scp": "orders:read orders:write" }),
        json!({ "scp": ["orders:read", "orders:write"] }),
        json!({ "scope": ["orders:read", "orders:write", "x"] }),
    ] {
        assert_eq!(bed.get("/orders", &bed.token(good)).await.status, 200);
    }
    for short in [
        json!({}),
        json!({ "scope": "orders:read" }),
        json!({ "scope": "orders:read orders:writeall" }),
        json!({ "scope": "ORDERS:READ ORDERS:WRITE" }),
        json!({ "scope": "orders:read,orders:write" }),
        json!({ "scope": "", "scp": ["orders:read", "orders:write"] }),
        json!({ "permissions": ["orders:read", "orders:write"] }),
    ] {
        let answer = bed.get("/orders", &bed.token(short)).await;
        assert_challenged(&answer, 403, "insufficient_scope");
        assert!(answer.all("www-authenticate")[0].contains(r#"scope="orders:read orders:write""#));
    }
}

/// `acr` is not compared with our levels, even if it looks like one.
#[tokio::test]
async fn levels_are_never_met_and_an_age_only_by_what_the_issuer_says() {
    let bed = Bed::new();
    for acr in ["1", "aal3", "urn:mace:incommon:iap:silver"] {
        let answer = bed.get("/strong", &bed.token(json!({ "acr": acr, "auth_time": bed.provider.now() }))).await;
        assert_challenged(&answer, 401, "insufficient_user_authentication");
    }
    let at = |ago: i64| bed.token(json!({ "auth_time": bed.provider.now() - ago }));
    assert_eq!(bed.get("/recent", &at(59)).await.status, 200);
    for token in [at(60), at(3600), bed.token(json!({})), bed.token(json!({ "auth_time": null }))] {
        assert_challenged(&bed.get("/recent", &token).await, 401, "insufficient_user_authentication");
    }
    assert_challenged(&bed.get("/recent", &at(-3600)).await, 401, "invalid_token");
}

#[tokio::test]
async fn without_keys_nothing_is_known_of_a_token() {
    let bed = Bed::new();
    bed.provider.is_down(true);
    let (app, header) = (&bed.apps[1], format!("Bearer {}", bed.token(json!({}))));
    for path in ["/who", "/maybe-who", "/orders", "/me", "/maybe", "/live"] {
        for header in [header.as_bytes(), b"Bearer not.a.token"] {
            let answer = get_with(app, path, &[header]).await;
            answer.assert_rejected(503, "issuer_keys_unavailable");
            assert_eq!(answer.all("www-authenticate"), [""; 0], "another token would not help");
        }
    }
    // Without a token there is nothing to ask the issuer.
    assert_challenged(&get_with(app, "/who", &[]).await, 401, "unauthenticated");
    bed.provider.is_down(false);
    bed.clock.advance(Duration::from_secs(60));
    assert_eq!(get_with(app, "/who", &[header.as_bytes()]).await.text(), "f3b6c0de");
    // What was fetched serves on.
    bed.provider.is_down(true);
    assert_eq!(get_with(app, "/who", &[header.as_bytes()]).await.text(), "f3b6c0de");
}

/// Which tokens a route takes is a decision of the application: one that forgot it fails for everybody.
#[tokio::test]
async fn a_layer_of_our_own_tokens_takes_no_others() {
    let service = Service::standard();
    let access = service.login().await.access;
    let app = foreign_routes().layer(BearerLayer::new(Arc::clone(&service.tokens)));
    let header = format!("Bearer {access}");
    get_with(&app, "/who", &[header.as_bytes()]).await.assert_rejected(500, "bearer_layer_missing");
    get_with(&foreign_routes(), "/who", &[header.as_bytes()]).await.assert_rejected(500, "bearer_layer_missing");
}
