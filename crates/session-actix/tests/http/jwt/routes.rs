//! The routes, with refresh tokens in bodies: what they answer, also to clients that are not honest and when stores fail.

use std::sync::Arc;

use actix_web::{App, HttpRequest, web};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use session_actix::{Authenticator, TokenRoutes};
use session_core::{EventKind, Login, Policy, Termination, UserId};
use session_jwt::{
    AccountsError, Attempt, ClientSecret, ClientStatus, Clients, Fields, Pending, Verifier, VerifyingKeys,
};

use super::{Pair, Service, assert_refused, assert_uncached, credentials};
use crate::common::{Behaviour, call, request, send, serve};

#[tokio::test]
async fn a_pair_is_issued_refreshed_and_revoked() {
    let service = Service::standard().await;
    let answer = service.post("/api/token", &credentials("alice")).await;
    assert_uncached(&answer);
    assert_eq!(answer.all("content-type"), ["application/json"]);
    assert_eq!(answer.all("set-cookie"), [""; 0]);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 4);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));
    let first = Pair::of(&answer);
    assert_eq!(service.get("/me", &first.access).await.text(), "alice");

    let answer = service.refresh(&first.refresh).await;
    assert_uncached(&answer);
    let second = Pair::of(&answer);
    assert_ne!(first.refresh, second.refresh);
    let session = service.get("/live", &first.access).await;
    assert_eq!(session.text(), service.get("/live", &second.access).await.text(), "the same session");

    for token in [&second.refresh, &second.refresh, &second.access] {
        let answer = service.revoke(token).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
        assert_uncached(&answer);
    }
    assert_refused(&service.refresh(&second.refresh).await, 400, "invalid_grant");
    let third = service.login().await;
    assert_eq!(service.revoke(&third.access).await.status, 200, "an access token will do");
    assert_refused(&service.refresh(&third.refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn the_published_keys_verify_what_is_issued() {
    let service = Service::standard().await;
    let pair = service.login().await;
    let answer = call(&service.app, "GET", "/.well-known/jwks.json", "").await;
    assert_eq!(answer.all("content-type"), ["application/jwk-set+json"]);
    assert_eq!(answer.all("cache-control"), ["public, max-age=3600"]);
    let keys = VerifyingKeys::from_jwks(answer.text()).unwrap();
    let verifier = Verifier::new(service.tokens.tokens().policy().clone(), keys);
    let claims = verifier.verify(&pair.access, service.site.manager.now()).unwrap();
    assert_eq!(claims.user.as_str(), "alice");
    assert!(!answer.text().contains("\"d\""), "public halves only");
}

#[tokio::test]
async fn wrong_credentials_are_an_invalid_grant() {
    let service = Service::standard().await;
    let wrong = json!({ "username": "alice", "password": "wrong" });
    assert_refused(&service.post("/api/token", &wrong).await, 400, "invalid_grant");
    assert_eq!(service.site.store.calls(), (0, 0));
}

#[tokio::test]
async fn reuse_ends_the_session_although_the_answer_is_an_error() {
    let service = Service::standard().await;
    let first = service.login().await;
    let second = Pair::of(&service.refresh(&first.refresh).await);
    let third = Pair::of(&service.refresh(&second.refresh).await);
    service.site.events.take();
    assert_refused(&service.refresh(&first.refresh).await, 400, "invalid_grant");
    assert_eq!(service.site.events.take(), [EventKind::TokenReuse, EventKind::Terminated(Termination::Reuse)]);
    assert_refused(&service.refresh(&third.refresh).await, 400, "invalid_grant");
    service.get("/live", &third.access).await.assert_rejected(401, "invalid_token");
}

#[tokio::test]
async fn only_post_changes_anything() {
    let service = Service::standard().await;
    for path in ["/api/token", "/api/token/refresh", "/api/token/revoke"] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = call(&service.app, method, path, "").await;
            assert_refused(&answer, 405, "invalid_request");
            assert_eq!(answer.all("allow"), ["POST"]);
        }
    }
}

/// Unavailable is not invalid.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_no_verdict_about_a_token() {
    for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
        let service = Service::standard().await;
        let pair = service.login().await;
        service.site.on_read(behaviour);
        for answer in [service.refresh(&pair.refresh).await, service.revoke(&pair.refresh).await] {
            assert_refused(&answer, 503, "temporarily_unavailable");
        }
        service.get("/live", &pair.access).await.assert_rejected(503, "session_store_unavailable");
        assert_eq!(service.get("/me", &pair.access).await.text(), "alice", "costs no store call");
        service.site.on_read(Behaviour::Works);

        service.site.on_write(behaviour);
        for answer in [
            service.refresh(&pair.refresh).await,
            service.revoke(&pair.refresh).await,
            service.revoke(&pair.access).await,
            service.post("/api/token", &credentials("alice")).await,
        ] {
            assert_refused(&answer, 503, "temporarily_unavailable");
        }
        assert_eq!(service.get("/live", &pair.access).await.status, 200);
        service.site.on_write(Behaviour::Works);
        let _ = Pair::of(&service.refresh(&pair.refresh).await);
    }
}

#[tokio::test]
async fn accounts_that_are_down_are_no_verdict_either() {
    let service = Service::standard().await;
    let pair = service.login().await;
    *service.book.down.lock().unwrap() = true;
    assert_refused(&service.refresh(&pair.refresh).await, 503, "temporarily_unavailable");
    assert_refused(&service.post("/api/token", &credentials("alice")).await, 503, "temporarily_unavailable");
    *service.book.down.lock().unwrap() = false;
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
}

#[tokio::test]
async fn bodies_that_are_not_understood_are_400_and_cost_nothing() {
    let service = Service::standard().await;
    let nested = format!("{{\"refresh_token\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let bodies: [&[u8]; 14] = [
        b"",
        b"null",
        b"[]",
        b"\"x\"",
        b"{}",
        b"{\"refresh_token\":1,\"token\":1,\"username\":1,\"password\":1}",
        b"{\"refresh_token\":null,\"token\":null,\"username\":null,\"password\":null}",
        b"{\"refresh_token\":[\"x\"],\"token\":{\"x\":1},\"username\":\"alice\",\"password\":[\"right\"]}",
        b"{\"refresh_token\":\"x\",\"refresh_token\":\"y\",\"token\":\"x\",\"token\":\"y\",\"username\":\"a\",\"username\":\"b\",\"password\":\"x\"}",
        b"{\"refresh_token\":\"\xff\",\"token\":\"\xff\",\"username\":\"\xff\",\"password\":\"\xff\"}",
        b"{\"refresh_token\":\"x\"",
        b"grant_type=refresh_token&refresh_token=x&refresh_token=y&token=x&token=y",
        b"\0\0\0\0",
        nested.as_bytes(),
    ];
    for body in bodies {
        for path in ["/api/token", "/api/token/refresh", "/api/token/revoke"] {
            let answer = service.post_with(path, &[], body.to_vec()).await;
            assert_refused(&answer, 400, "invalid_request");
        }
    }
    assert_eq!(service.site.store.calls(), (0, 0));
}

#[tokio::test]
async fn bodies_that_are_too_long_are_not_read() {
    let service = Service::standard().await;
    for path in ["/api/token", "/api/token/refresh", "/api/token/revoke"] {
        let long = format!("{{\"refresh_token\":\"{0}\",\"token\":\"{0}\"}}", "x".repeat(64 * 1024));
        assert_refused(&service.post_with(path, &[], long).await, 413, "invalid_request");
        let longest = format!("{}{{}}", " ".repeat(64 * 1024 - 2));
        assert_refused(&service.post_with(path, &[], longest).await, 400, "invalid_request");
    }
    assert_eq!(service.site.store.calls(), (0, 0));
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// What OAuth's clients send. How it is read is tested in session-jwt.
#[tokio::test]
async fn forms_do_what_json_does() {
    let service = Service::standard().await;
    let form = async |path: &str, body: String| service.post_with(path, &[FORM], body).await;
    let login = form("/api/token", "grant_type=password&username=alice&password=right".to_owned()).await;
    let mut token = Pair::of(&login).refresh;
    for path in ["/api/token", "/api/token/refresh"] {
        let next = form(path, format!("grant_type=refresh_token&refresh_token={token}")).await;
        token = Pair::of(&next).refresh;
    }
    let answer = form("/api/token/revoke", format!("token={token}&token_type_hint=refresh_token")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    assert_refused(&service.refresh(&token).await, 400, "invalid_grant");
}

#[tokio::test]
async fn the_documents_say_where_everything_is() {
    let service = Service::standard().await;
    let get = async |path: &str| call(&service.app, "GET", path, "").await;
    let answer = get("/.well-known/oauth-authorization-server").await;
    assert_eq!((answer.status.as_u16(), answer.all("content-type")), (200, vec!["application/json"]));
    assert_eq!(answer.all("cache-control"), ["public, max-age=3600"]);
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["token_endpoint"], "https://login.example/api/token");
    assert_eq!(document["jwks_uri"], "https://login.example/.well-known/jwks.json");
    let document: Value = serde_json::from_slice(&get("/.well-known/oauth-protected-resource").await.body).unwrap();
    assert_eq!(document["resource"], "https://api.example");
    for path in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"] {
        let head = call(&service.app, "HEAD", path, "").await;
        assert_eq!((head.status.as_u16(), head.all("cache-control")), (200, vec!["public, max-age=3600"]));
        let answer = call(&service.app, "POST", path, "").await;
        assert_eq!((answer.status.as_u16(), answer.all("allow")), (405, vec!["GET, HEAD"]));
    }
}

#[derive(Debug)]
struct Registered;

#[async_trait]
impl Clients for Registered {
    async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
        Ok(match client {
            "gateway" if secret.is_some_and(|secret| secret.is(b"secret")) => ClientStatus::Authenticated,
            _ => ClientStatus::Unknown,
        })
    }
}

/// The headers of the request are seen: here, who the client is.
#[tokio::test]
async fn only_clients_that_authenticate_may_ask_about_tokens() {
    let service = Service::with(Policy::standard(), |routes| routes.clients(Registered)).await;
    let pair = service.login().await;
    let ask = async |headers: &[(&str, &str)]| {
        service.post_with("/api/token/introspect", headers, format!("token={}", pair.access)).await
    };
    let answer = ask(&[FORM, ("authorization", "Basic Z2F0ZXdheTpzZWNyZXQ=")]).await;
    assert_uncached(&answer);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&body["active"], &body["username"]), (&json!(true), &body["username"]));
    assert_refused(&ask(&[FORM]).await, 401, "invalid_client");
    let answer = ask(&[FORM, ("authorization", "Basic Z2F0ZXdheTp3cm9uZw==")]).await;
    assert_refused(&answer, 401, "invalid_client");
    assert_eq!(answer.all("www-authenticate"), ["Basic realm=\"token\""]);
    let without = Service::standard().await;
    assert_eq!(without.post("/api/token/introspect", &json!({})).await.status, 404);
}

/// Asks for a second factor, and looks at the request.
#[derive(Debug)]
struct Strict;

#[derive(Deserialize)]
struct Code {
    username: Option<String>,
    otp: Option<String>,
}

#[async_trait(?Send)]
impl Authenticator for Strict {
    type Credentials = Code;

    async fn authenticate(&self, credentials: Code, request: &HttpRequest) -> Result<Attempt, AccountsError> {
        assert_eq!(request.path(), "/login");
        let user = UserId::new(credentials.username.unwrap()).unwrap();
        Ok(Attempt::SecondFactor(Pending::new(user)))
    }

    async fn second_factor(
        &self,
        pending: Pending,
        fields: &Fields,
        request: &HttpRequest,
    ) -> Result<Attempt, AccountsError> {
        assert_eq!(request.headers().get("user-agent").unwrap(), "Phone/2");
        let is_right = fields.read::<Code>().and_then(|code| code.otp).as_deref() == Some("123456");
        Ok(if is_right { Login::new(pending.user().unwrap()).into() } else { Attempt::SecondFactor(pending) })
    }
}

/// A route alone, at a path of the application's.
#[tokio::test]
async fn a_second_factor_ends_in_a_login() {
    let service = Service::standard().await;
    let routes = TokenRoutes::new(Arc::clone(&service.tokens), Strict);
    let app = serve(App::new().service(web::scope("").service(routes.token("/login")))).await;
    let post = async |body: Value| {
        let request = request("POST", "/login", "").insert_header(("user-agent", "Phone/2"));
        send(&app, request.set_payload(body.to_string())).await
    };
    let answer = post(json!({ "username": "alice" })).await;
    assert_refused(&answer, 403, "mfa_required");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let answer = post(json!({ "mfa_token": body["mfa_token"], "otp": "wrong" })).await;
    assert_refused(&answer, 403, "mfa_required");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let pair = Pair::of(&post(json!({ "mfa_token": body["mfa_token"], "otp": "123456" })).await);
    assert_eq!(service.get("/me", &pair.access).await.text(), "alice");
}
