//! Scopes, levels, claims of the application: chosen at login, read again at each refresh, demanded by routes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use session_core::{Assurance, Grant, Login, Policy, Scope, SessionSummary, UserId};
use session_jwt::{AccountClaims, AccountStatus, Accounts, AccountsError, Attempt, TokenPolicy, TokenService};
use session_tower::{
    Authenticator, Bearer, BearerLayer, BearerRejection, Challenge, LiveBearer, TokenRequirement, TokenRoutes,
};

use super::{Pair, Service, get_with};
use crate::common::{Answer, send};

/// Accounts with roles, which change.
#[derive(Clone, Debug, Default)]
struct Staff {
    roles: Arc<Mutex<Vec<&'static str>>>,
    limit: Arc<Mutex<Option<Scope>>>,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    scope: Option<String>,
    #[serde(default)]
    strong: bool,
    #[serde(default)]
    elsewhere: bool,
}

#[async_trait]
impl Authenticator for Staff {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        let scope = credentials.scope.as_deref().map(|scope| Scope::parse(scope).unwrap()).unwrap_or_default();
        let scope = scope.intersection(&Scope::parse("orders:read orders:write").unwrap());
        let grant = Grant::new().with_scope(scope).unwrap();
        let grant = grant.with_audience("https://mail.example").unwrap();
        let grant = if credentials.elsewhere { grant } else { grant.with_audience("https://api.example").unwrap() };
        let login = Login::new(UserId::new(credentials.username).unwrap()).method("pwd").grant(grant);
        Ok(if credentials.strong { login.method("otp").level(Assurance::Aal2) } else { login }.into())
    }
}

#[async_trait]
impl Accounts for Staff {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }

    async fn claims(&self, _: &UserId, _: &Grant) -> Result<AccountClaims, AccountsError> {
        let claims = AccountClaims::new().claim("roles", &*self.roles.lock().unwrap()).map_err(AccountsError::new)?;
        Ok(match &*self.limit.lock().unwrap() {
            Some(limit) => claims.limit_scope(limit.clone()),
            None => claims,
        })
    }
}

struct ReadOrders;

impl TokenRequirement for ReadOrders {
    const SCOPES: &'static [&'static str] = &["orders:read"];
}

struct WriteOrders;

impl TokenRequirement for WriteOrders {
    const SCOPES: &'static [&'static str] = &["orders:read", "orders:write"];
}

struct Recent;

impl TokenRequirement for Recent {
    const LEVEL: Option<Assurance> = Some(Assurance::Aal2);
    const MAX_AGE: Option<Duration> = Some(Duration::from_secs(60));
}

struct Shop {
    service: Service,
    staff: Staff,
    app: Router,
}

fn shop() -> Shop {
    let (service, staff) = (Service::new(Policy::standard()), Staff::default());
    let policy = TokenPolicy::builder("https://login.example", "https://api.example").also_for("https://mail.example");
    let access = session_jwt::AccessTokens::new(policy.build().unwrap(), service.tokens.tokens().ring()).unwrap();
    let tokens = TokenService::new(service.site.manager.clone(), Arc::new(access), staff.clone()).unwrap();
    let tokens = Arc::new(tokens);
    let challenge = Challenge::new().realm("orders").unwrap();
    let challenge = challenge.resource_metadata("https://api.example/.well-known/oauth-protected-resource").unwrap();
    let app = Router::new()
        .route(
            "/orders",
            get(|_: Bearer<ReadOrders>| async { "read" }).post(|_: Bearer<WriteOrders>| async { "written" }),
        )
        .route("/live", get(|_: LiveBearer<WriteOrders>| async { "live" }))
        .route("/maybe", get(|bearer: Option<Bearer<ReadOrders>>| async move { bearer.is_some().to_string() }))
        .route("/recent", get(|_: Bearer<Recent>| async { "recent" }))
        .route("/dynamic", get(dynamic))
        .route(
            "/roles",
            get(|bearer: Bearer| async move { bearer.application::<Value>().unwrap()["roles"].to_string() }),
        )
        .layer(BearerLayer::new(Arc::clone(&tokens)).challenge(challenge))
        .nest("/api", TokenRoutes::new(tokens, staff.clone()).router());
    Shop { service, staff, app }
}

async fn dynamic(bearer: Bearer) -> Result<&'static str, BearerRejection> {
    if bearer.has_scope("admin") { Ok("admin") } else { Err(BearerRejection::insufficient_scope("admin")) }
}

impl Shop {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = http::Request::builder().method("POST").uri(path).header("host", "api.example");
        send(&self.app, request.body(body.to_string().into()).unwrap()).await
    }

    async fn login(&self, body: Value) -> Pair {
        Pair::of(&self.post("/api/token", &body).await)
    }

    async fn get(&self, path: &str, access: &str) -> Answer {
        get_with(&self.app, path, &[format!("Bearer {access}").as_bytes()]).await
    }
}

const METADATA: &str = r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;

#[tokio::test]
async fn a_route_demands_a_scope() {
    let shop = shop();
    let reader = shop.login(json!({ "username": "alice", "scope": "orders:read admin" })).await.access;
    assert_eq!(shop.get("/orders", &reader).await.text(), "read");
    assert_eq!(shop.get("/maybe", &reader).await.text(), "true");
    let answer = shop.get("/live", &reader).await;
    answer.assert_rejected(403, "insufficient_scope");
    let expected = format!(
        "Bearer realm=\"orders\", error=\"insufficient_scope\", error_description=\"the access token does not have the \
         scope that is needed\", scope=\"orders:read orders:write\", {METADATA}"
    );
    assert_eq!(answer.all("www-authenticate"), [expected]);
    shop.get("/dynamic", &reader).await.assert_rejected(403, "insufficient_scope");
    let nobody = shop.login(json!({ "username": "alice" })).await.access;
    for path in ["/orders", "/maybe"] {
        shop.get(path, &nobody).await.assert_rejected(403, "insufficient_scope");
    }
    // A part of a name is another one.
    let writer = shop.login(json!({ "username": "alice", "scope": "orders:write" })).await.access;
    shop.get("/orders", &writer).await.assert_rejected(403, "insufficient_scope");
    let answer = get_with(&shop.app, "/orders", &[]).await;
    assert_eq!(answer.all("www-authenticate"), [format!("Bearer realm=\"orders\", scope=\"orders:read\", {METADATA}")]);
}

#[tokio::test]
async fn a_route_demands_a_level_and_how_long_ago() {
    let shop = shop();
    let weak = shop.login(json!({ "username": "alice" })).await;
    let answer = shop.get("/recent", &weak.access).await;
    answer.assert_rejected(401, "insufficient_user_authentication");
    let challenge = answer.all("www-authenticate")[0];
    assert!(challenge.contains("acr_values=\"aal2 aal3\", max_age=\"60\""), "{challenge}");
    // The login that this asks for takes the place of the session.
    let strong = json!({ "username": "alice", "strong": true, "refresh_token": weak.refresh });
    let strong = shop.login(strong).await;
    assert_eq!(shop.get("/recent", &strong.access).await.text(), "recent");
    let alice = UserId::new("alice").unwrap();
    assert_eq!(shop.service.site.manager.list(&alice).await.unwrap().len(), 1);
    shop.service.site.clock.advance(Duration::from_secs(60));
    let refreshed = Pair::of(&shop.post("/api/token/refresh", &json!({ "refresh_token": strong.refresh })).await);
    for access in [strong.access, refreshed.access] {
        shop.get("/recent", &access).await.assert_rejected(401, "insufficient_user_authentication");
    }
}

#[tokio::test]
async fn what_the_application_says_is_read_again_at_each_refresh() {
    let shop = shop();
    *shop.staff.roles.lock().unwrap() = vec!["admin", "editor"];
    let pair = shop.login(json!({ "username": "alice", "scope": "orders:read orders:write" })).await;
    assert_eq!(shop.get("/roles", &pair.access).await.text(), r#"["admin","editor"]"#);
    *shop.staff.roles.lock().unwrap() = vec!["editor"];
    *shop.staff.limit.lock().unwrap() = Some(Scope::parse("orders:read x").unwrap());
    let answer = shop.post("/api/token/refresh", &json!({ "refresh_token": pair.refresh })).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["scope"], "orders:read");
    let next = Pair::of(&answer);
    assert_eq!(shop.get("/roles", &next.access).await.text(), r#"["editor"]"#);
    shop.get("/live", &next.access).await.assert_rejected(403, "insufficient_scope");
    *shop.staff.limit.lock().unwrap() = None;
    let body = json!({ "refresh_token": next.refresh, "scope": "orders:write" });
    let narrowed = Pair::of(&shop.post("/api/token/refresh", &body).await);
    shop.get("/orders", &narrowed.access).await.assert_rejected(403, "insufficient_scope");
    let all = Pair::of(&shop.post("/api/token/refresh", &json!({ "refresh_token": narrowed.refresh })).await);
    assert_eq!(shop.get("/live", &all.access).await.text(), "live", "the grant was not narrowed");
    let body = json!({ "refresh_token": all.refresh, "scope": "orders:read admin" });
    super::assert_refused(&shop.post("/api/token/refresh", &body).await, 400, "invalid_scope");
}

#[tokio::test]
async fn several_audiences_each_verify() {
    let shop = shop();
    let pair = shop.login(json!({ "username": "alice" })).await;
    let (ring, now) = (shop.service.tokens.tokens().ring(), shop.service.site.manager.now());
    for audience in ["https://api.example", "https://mail.example"] {
        let policy = TokenPolicy::new("https://login.example", audience).unwrap();
        let verifier = session_jwt::Verifier::new(policy, session_jwt::VerifyingKeys::from_ring(&ring));
        let claims = verifier.verify(&pair.access, now).unwrap();
        assert_eq!(
            claims.application::<Value>().unwrap()["aud"],
            json!(["https://mail.example", "https://api.example"])
        );
    }
    // Another issuer on the same store does not serve these audiences.
    super::assert_refused(&shop.service.refresh(&pair.refresh).await, 400, "invalid_grant");
    let _ = Pair::of(&shop.post("/api/token/refresh", &json!({ "refresh_token": pair.refresh })).await);
}

/// An access token that is for another service alone is still one of ours: to revoke, and to ask about.
#[tokio::test]
async fn a_token_for_another_service_ends_its_session() {
    let shop = shop();
    let pair = shop.login(json!({ "username": "alice", "elsewhere": true })).await;
    shop.get("/roles", &pair.access).await.assert_rejected(401, "invalid_token");
    assert_eq!(shop.post("/api/token/revoke", &json!({ "token": pair.access })).await.status, 200);
    super::assert_refused(
        &shop.post("/api/token/refresh", &json!({ "refresh_token": pair.refresh })).await,
        400,
        "invalid_grant",
    );
}
