//! Answers of the application: a second factor, too many attempts, its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use session_core::{EventKind, Grant, Login, Policy, Scope, UserId};
use session_jwt::{AccountsError, Attempt, Fields, Pending, Refusal, TokenService};
use session_tower::{Authenticator, TokenRoutes};

use super::{Pair, Service, assert_refused};
use crate::common::{Answer, Behaviour, send};

/// Asks for a second factor, and says more than yes and no.
#[derive(Debug)]
struct Strict;

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[async_trait]
impl Authenticator for Strict {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        if credentials.password != "right" {
            return Ok(Refusal::credentials().into());
        }
        Ok(match credentials.username.as_str() {
            "hasty" => Refusal::too_many_attempts(Duration::from_millis(59_001)).member("captcha", "x").into(),
            "locked" => Refusal::new("account_locked").description("Ask.").member("error", "no").forbidden().into(),
            name => {
                let pending = Pending::new(UserId::new(name).unwrap()).state(json!({ "hint": 7 }));
                Attempt::SecondFactor(pending.member("methods", ["otp"]))
            }
        })
    }

    async fn second_factor(&self, pending: Pending, fields: &Fields, _: &Parts) -> Result<Attempt, AccountsError> {
        #[derive(Deserialize)]
        struct Code {
            otp: String,
        }
        assert_eq!(pending.read::<Value>().unwrap()["hint"], 7);
        let user = pending.user().unwrap();
        let grant = Grant::new().with_scope(Scope::parse("a b").unwrap()).unwrap();
        Ok(match fields.read::<Code>() {
            Some(Code { otp }) if otp == "123456" => Login::new(user).method("pwd").method("otp").grant(grant).into(),
            Some(_) => Attempt::SecondFactor(pending),
            None => Refusal::credentials().into(),
        })
    }
}

fn strict() -> (Service, Router) {
    let service = Service::new(Policy::standard());
    let tokens: Arc<TokenService> = Arc::clone(&service.tokens);
    let app = Router::new().nest("/api", TokenRoutes::new(tokens, Strict).router());
    (service, app)
}

async fn post(app: &Router, body: &Value) -> Answer {
    let request = http::Request::builder().method("POST").uri("/api/token").header("host", "api.example");
    send(app, request.body(body.to_string().into()).unwrap()).await
}

async fn begin(app: &Router) -> String {
    let answer = post(app, &json!({ "username": "alice", "password": "right" })).await;
    assert_refused(&answer, 403, "mfa_required");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&body["methods"], &body["expires_in"]), (&json!(["otp"]), &json!(300)));
    body["mfa_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_factor_ends_in_a_login() {
    let (service, app) = strict();
    let ticket = begin(&app).await;
    assert_refused(&service.refresh(&ticket).await, 400, "invalid_grant");
    assert!(service.site.manager.list(&UserId::new("alice").unwrap()).await.unwrap().is_empty(), "no session yet");
    let answer = post(&app, &json!({ "mfa_token": ticket, "otp": "123456" })).await;
    let claims = service.tokens.verify(&Pair::of(&answer).access).unwrap();
    assert_eq!((claims.user.as_str(), claims.methods().collect::<Vec<_>>()), ("alice", vec!["pwd", "otp"]));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["scope"], "a b");
    // Once.
    assert_refused(&post(&app, &json!({ "mfa_token": ticket, "otp": "123456" })).await, 400, "invalid_grant");
}

#[tokio::test]
async fn of_many_at_once_one_gets_in() {
    let (service, app) = strict();
    let ticket = begin(&app).await;
    let body = json!({ "mfa_token": ticket, "otp": "123456" });
    let answers = futures::future::join_all((0..16).map(|_| post(&app, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(service.site.manager.list(&UserId::new("alice").unwrap()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_second_factor_may_be_tried_again_and_not_for_ever() {
    let (service, app) = strict();
    let mut ticket = begin(&app).await;
    for attempt in 1..Pending::MAX_ATTEMPTS {
        service.site.events.take();
        let answer = post(&app, &json!({ "mfa_token": ticket, "otp": "0" })).await;
        assert_refused(&answer, 403, "mfa_required");
        assert_eq!(service.site.events.take(), [EventKind::LoginRefused], "attempt {attempt}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        ticket = body["mfa_token"].as_str().unwrap().to_owned();
    }
    assert_refused(&post(&app, &json!({ "mfa_token": ticket, "otp": "0" })).await, 400, "invalid_grant");
    assert_refused(&post(&app, &json!({ "mfa_token": ticket, "otp": "123456" })).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_continuation_does_not_last_nor_pass_to_another_client() {
    let (service, app) = strict();
    let ticket = begin(&app).await;
    let stolen = json!({ "mfa_token": ticket, "otp": "123456", "client_id": "other" });
    assert_refused(&post(&app, &stolen).await, 400, "invalid_grant");
    let ticket = begin(&app).await;
    service.site.clock.advance(Pending::LIFETIME);
    assert_refused(&post(&app, &json!({ "mfa_token": ticket, "otp": "123456" })).await, 400, "invalid_grant");
    for nonsense in ["x", &"A".repeat(64), &service.login().await.refresh] {
        assert_refused(&post(&app, &json!({ "mfa_token": nonsense, "otp": "123456" })).await, 400, "invalid_grant");
    }
    service.site.on_write(Behaviour::Fails);
    let begun = post(&app, &json!({ "username": "alice", "password": "right" })).await;
    assert_refused(&begun, 503, "temporarily_unavailable");
}

#[tokio::test]
async fn too_many_attempts_are_429() {
    let (service, app) = strict();
    service.site.events.take();
    let answer = post(&app, &json!({ "username": "hasty", "password": "right" })).await;
    assert_refused(&answer, 429, "too_many_attempts");
    assert_eq!(answer.all("retry-after"), ["60"]);
    assert_eq!(service.site.events.take(), [EventKind::LoginRefused]);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["captcha"], "x");
}

#[tokio::test]
async fn the_application_has_codes_of_its_own() {
    let (_service, app) = strict();
    assert_refused(&post(&app, &json!({ "username": "locked", "password": "right" })).await, 403, "account_locked");
    // Who does not know the password learns nothing of the account.
    for name in ["locked", "hasty", "alice", "nobody"] {
        let answer = post(&app, &json!({ "username": name, "password": "wrong" })).await;
        assert_eq!(answer.text(), post(&app, &json!({ "username": "x", "password": "wrong" })).await.text());
        assert_refused(&answer, 400, "invalid_grant");
    }
}
