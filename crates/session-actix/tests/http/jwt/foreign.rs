//! `ForeignBearer`, and keys that are fetched. What is read of a token, and what is refused, is tested in session-jwt.

use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::web::{self, ServiceConfig};
use serde_json::{Value, json};
use session_actix::{BearerAuth, Challenge, ForeignBearer, LiveBearer, TokenRequirement};
use session_core::ManualClock;

use super::provider::Provider;
use super::{Service, bearer_routes, get_with};
use crate::common::{Answer, Served, serve};

const API: &str = "https://api.example";
const UUID: &str = "08a5019c-17e1-4977-8f42-65a12843ea02";

struct Orders;

impl TokenRequirement for Orders {
    const SCOPES: &'static [&'static str] = &["orders:read", "orders:write"];
}

fn foreign_routes(config: &mut ServiceConfig) {
    config
        .route("/who", web::get().to(async |bearer: ForeignBearer| bearer.subject.clone()))
        .route("/maybe-who", web::get().to(async |bearer: Option<ForeignBearer>| bearer.is_some().to_string()))
        .route("/orders", web::get().to(async |_: ForeignBearer<Orders>| "orders"))
        .route("/live-foreign", web::get().to(async |_: LiveBearer| "live"))
        .configure(bearer_routes);
}

/// The same routes, once for keys that the application has and once for keys that are fetched.
struct Bed {
    clock: ManualClock,
    provider: Provider,
    apps: [Served; 2],
}

impl Bed {
    async fn new() -> Self {
        let clock = ManualClock::default();
        let provider = Provider::new(&clock);
        let verifier = Arc::new(provider.verifier(API));
        let fixed = BearerAuth::verifier_with_clock(verifier, clock.clone());
        let remote = BearerAuth::remote(provider.remote(API));
        let challenge = || Challenge::new().realm("shop").unwrap();
        let app = async |auth: BearerAuth| {
            serve(App::new().wrap(auth.challenge(challenge())).configure(foreign_routes)).await
        };
        let apps = [app(fixed).await, app(remote).await];
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
        assert_eq!((fixed.status, &fixed.body), (remote.status, &remote.body), "{path}");
        assert_eq!(fixed.all("www-authenticate"), remote.all("www-authenticate"), "{path}");
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
    let bed = Bed::new().await;
    let token = bed.token(json!({}));
    assert_eq!(bed.get("/who", &token).await.text(), "f3b6c0de");
    assert_eq!(bed.get("/maybe-who", &token).await.text(), "true");
    assert_eq!(bed.get("/orders", &bed.token(json!({ "scp": ["orders:read", "orders:write"] }))).await.status, 200);
    assert_challenged(&bed.get("/orders", &token).await, 403, "insufficient_scope");
    // It has no session here.
    for path in ["/me", "/maybe", "/live", "/live-foreign"] {
        assert_challenged(&bed.get(path, &token).await, 401, "invalid_token");
    }
}

#[tokio::test]
async fn no_token_and_bad_tokens() {
    let bed = Bed::new().await;
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
async fn without_keys_nothing_is_known_of_a_token() {
    let bed = Bed::new().await;
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
async fn an_application_of_our_own_tokens_takes_no_others() {
    let service = Service::standard().await;
    let access = service.login().await.access;
    let app = serve(App::new().wrap(BearerAuth::new(Arc::clone(&service.tokens))).configure(foreign_routes)).await;
    let header = format!("Bearer {access}");
    get_with(&app, "/who", &[header.as_bytes()]).await.assert_rejected(500, "bearer_layer_missing");
    let app = serve(App::new().configure(foreign_routes)).await;
    get_with(&app, "/who", &[header.as_bytes()]).await.assert_rejected(500, "bearer_layer_missing");
}
