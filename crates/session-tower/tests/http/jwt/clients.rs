//! Clients: how they name themselves, what their tokens are bound to, and who may ask about tokens.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use session_core::{EventKind, Policy};
use session_jwt::{AccountsError, ClientSecret, ClientStatus, Clients};

use super::{Pair, Service, assert_refused};
use crate::common::{Answer, Behaviour};

#[derive(Debug)]
struct Registered;

#[async_trait]
impl Clients for Registered {
    async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
        Ok(match client {
            "app" | "other" => ClientStatus::Public,
            "gate-way" if secret.is_some_and(|secret| secret.is(b"s+cr%t-")) => ClientStatus::Authenticated,
            "down" => return Err(AccountsError::new("the clients are down")),
            _ => ClientStatus::Unknown,
        })
    }
}

fn registered() -> Service {
    Service::with(Policy::standard(), |routes| routes.clients(Registered))
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

async fn post(service: &Service, path: &str, authorization: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", authorization)];
    let headers = if authorization.is_empty() { &headers[..1] } else { &headers };
    service.post_with(path, headers, body.to_owned()).await
}

const PASSWORD: &str = "grant_type=password&username=alice&password=right";

/// In the header, with and without a secret, in the body, or not at all: without a registry all clients are public.
#[tokio::test]
async fn a_client_may_name_itself() {
    let service = Service::standard();
    for (authorization, body, client) in [
        (basic("shop:"), PASSWORD.to_owned(), "shop"),
        (basic("shop:any secret"), PASSWORD.to_owned(), "shop"),
        (basic("my%2Dshop:"), PASSWORD.to_owned(), "my-shop"),
        (String::new(), format!("{PASSWORD}&client_id=shop"), "shop"),
        (basic("shop:"), format!("{PASSWORD}&client_id=shop"), "shop"),
        (String::new(), PASSWORD.to_owned(), "https://login.example"),
        ("Bearer x".to_owned(), PASSWORD.to_owned(), "https://login.example"),
    ] {
        let pair = Pair::of(&post(&service, "/api/token", &authorization, &body).await);
        let claims = service.tokens.verify(&pair.access).unwrap();
        assert_eq!(claims.client(), Some(client));
    }
    for (authorization, body) in [
        (basic("shop:"), format!("{PASSWORD}&client_id=other")),
        (basic("shop:x"), format!("{PASSWORD}&client_secret=x")),
    ] {
        assert_refused(&post(&service, "/api/token", &authorization, &body).await, 400, "invalid_request");
    }
    for authorization in ["Basic", "Basic !", "Basic c2hvcA=="] {
        let answer = post(&service, "/api/token", authorization, PASSWORD).await;
        assert!(answer.status == 401 || authorization == "Basic", "{authorization}: {answer:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_bound_to_its_client() {
    let service = Service::standard();
    let pair = Pair::of(&post(&service, "/api/token", "", &format!("{PASSWORD}&client_id=shop")).await);
    let refresh = format!("grant_type=refresh_token&refresh_token={}", pair.refresh);
    service.site.events.take();
    for other in ["other", "Shop"] {
        let answer = post(&service, "/api/token", "", &format!("{refresh}&client_id={other}")).await;
        assert_refused(&answer, 400, "invalid_grant");
        assert_eq!(service.site.events.take(), [EventKind::UnknownToken]);
    }
    let next = Pair::of(&post(&service, "/api/token", "", &format!("{refresh}&client_id=shop")).await);
    let claims = service.tokens.verify(&next.access).unwrap();
    assert_eq!(claims.client(), Some("shop"), "the refusals used nothing up, and it is kept");
    // Many clients leave it out.
    let refresh = format!("grant_type=refresh_token&refresh_token={}", next.refresh);
    let _ = Pair::of(&post(&service, "/api/token", "", &refresh).await);
}

#[tokio::test]
async fn registered_clients_must_be_who_they_say() {
    let service = registered();
    for (authorization, body) in [
        (basic("nobody:"), PASSWORD.to_owned()),
        (basic("gate-way:wrong"), PASSWORD.to_owned()),
        (String::new(), format!("{PASSWORD}&client_id=gate-way")),
        (String::new(), format!("{PASSWORD}&client_id=gate-way&client_secret=wrong")),
    ] {
        let answer = post(&service, "/api/token", &authorization, &body).await;
        assert_refused(&answer, 401, "invalid_client");
        assert_eq!(answer.all("www-authenticate"), ["Basic realm=\"token\""]);
    }
    assert_refused(&post(&service, "/api/token", &basic("down:"), PASSWORD).await, 503, "temporarily_unavailable");
    // Percent-encoded, as the specification has it, and raw, as most clients have it.
    for authorization in [basic("gate%2Dway:s%2Bcr%25t%2D"), basic("gate-way:s+cr%t-")] {
        let pair = Pair::of(&post(&service, "/api/token", &authorization, PASSWORD).await);
        let refresh = format!("grant_type=refresh_token&refresh_token={}", pair.refresh);
        let silent = post(&service, "/api/token", "", &refresh).await;
        assert_refused(&silent, 401, "invalid_client");
        let _ = Pair::of(&post(&service, "/api/token", &authorization, &refresh).await);
    }
    let _ = Pair::of(&post(&service, "/api/token", "", PASSWORD).await);
}

#[tokio::test]
async fn only_clients_that_authenticate_may_ask_about_tokens() {
    let service = registered();
    let pair = service.login().await;
    let token = format!("token={}", pair.access);
    for (authorization, body) in [
        (String::new(), token.clone()),
        (basic("app:"), token.clone()),
        (basic("gate-way:"), token.clone()),
        (basic("gate-way:wrong"), token.clone()),
        (format!("Bearer {}", pair.access), token.clone()),
        (String::new(), format!("{token}&client_id=app")),
    ] {
        assert_refused(&post(&service, "/api/token/introspect", &authorization, &body).await, 401, "invalid_client");
    }
    let absent = Service::standard();
    assert_eq!(post(&absent, "/api/token/introspect", &basic("gate-way:s+cr%t-"), &token).await.status, 404);
}

async fn introspect(service: &Service, token: &str) -> Value {
    let answer = post(service, "/api/token/introspect", &basic("gate-way:s+cr%t-"), &format!("token={token}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    super::assert_uncached(&answer);
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn introspection_tells_what_a_token_is_worth_now() {
    let service = registered();
    let pair = service.login().await;
    let of_access = introspect(&service, &pair.access).await;
    for (name, value) in [
        ("active", json!(true)),
        ("token_type", json!("Bearer")),
        ("iss", json!("https://login.example")),
        ("sub", json!("alice")),
        ("aud", json!("https://api.example")),
    ] {
        assert_eq!(of_access[name], value, "{name}");
    }
    // A gateway that is shown a refresh token must not take it for an access token.
    let inactive = json!({ "active": false });
    assert_eq!(introspect(&service, &pair.refresh).await, inactive);
    let hinted = |token: &str| format!("{token}&token_type_hint=refresh_token");
    assert_eq!(introspect(&service, &hinted(&pair.refresh)).await, inactive, "nor tell whose it is to another client");
    let gateway = basic("gate-way:s+cr%t-");
    let pair = Pair::of(&post(&service, "/api/token", &gateway, PASSWORD).await);
    let before = service.site.store.calls();
    let of_refresh = introspect(&service, &hinted(&pair.refresh)).await;
    assert_eq!((&of_refresh["active"], &of_refresh["sub"]), (&json!(true), &json!("alice")));
    assert_eq!(of_refresh["client_id"], "gate-way");
    let after = service.site.store.calls();
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 0), "it is not used up");

    let refresh = format!("grant_type=refresh_token&refresh_token={}", pair.refresh);
    let next = Pair::of(&post(&service, "/api/token", &gateway, &refresh).await);
    assert_eq!(introspect(&service, &hinted(&pair.refresh)).await, inactive, "it was used up");
    assert_eq!(service.site.store.calls().1, after.1 + 1, "and asking about it is no reuse");
    service.revoke(&next.refresh).await;
    for token in [&*next.access, &hinted(&next.refresh), "x", "a.b.c"] {
        assert_eq!(introspect(&service, token).await, inactive);
    }
    service.site.on_read(Behaviour::Fails);
    let answer = post(
        &service,
        "/api/token/introspect",
        &basic("gate-way:s+cr%t-"),
        &format!("token={}", hinted(&next.refresh)),
    )
    .await;
    assert_refused(&answer, 503, "temporarily_unavailable");
}

/// A name that nobody can have is refused before the password is looked at: else it would tell, without a trace, whether that is
/// right.
#[tokio::test]
async fn a_client_without_a_name_learns_nothing_of_passwords() {
    for service in [Service::standard(), registered()] {
        service.site.events.take();
        for name in ["%01", "%C3%BC", &"x".repeat(600)] {
            for password in ["right", "wrong"] {
                let body = format!("grant_type=password&username=alice&password={password}&client_id={name}");
                assert_refused(&post(&service, "/api/token", "", &body).await, 401, "invalid_client");
                assert_eq!(service.site.events.take(), [EventKind::LoginRefused]);
            }
        }
        for secret in ["gate-way:wrong", "nobody:x", "!"] {
            let refused = post(&service, "/api/token/introspect", &basic(secret), "token=x").await;
            let events = service.site.events.take();
            assert_eq!(events.len(), usize::from(refused.status == 401), "{secret}: {events:?}");
        }
    }
}

/// Nobody ends a session with the name of another client (RFC 7009, section 2.1).
#[tokio::test]
async fn a_client_does_not_revoke_the_tokens_of_another() {
    let service = Service::standard();
    let pair = Pair::of(&post(&service, "/api/token", "", &format!("{PASSWORD}&client_id=shop")).await);
    let body = |client: &str| format!("token={}&client_id={client}", pair.refresh);
    assert_refused(&post(&service, "/api/token/revoke", "", &body("other")).await, 400, "invalid_grant");
    assert_eq!(service.get("/live", &pair.access).await.status, 200);
    assert_eq!(post(&service, "/api/token/revoke", "", &body("shop")).await.status, 200);
    assert_eq!(service.get("/live", &pair.access).await.status, 401);
}
