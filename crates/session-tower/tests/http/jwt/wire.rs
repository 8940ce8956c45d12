//! What OAuth's clients send: forms, grant types, hints; and what they read.

use std::time::Duration;

use serde_json::{Value, json};
use session_core::{EventKind, Termination};

use super::{LIFETIME, Pair, Service, assert_refused};
use crate::common::{Answer, call};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn form(service: &Service, path: &str, body: &str) -> Answer {
    service.post_with(path, &[FORM], body.to_owned()).await
}

async fn log_in(service: &Service) -> Pair {
    Pair::of(&form(service, "/api/token", "grant_type=password&username=alice&password=right").await)
}

#[tokio::test]
async fn forms_do_what_json_does() {
    let service = Service::standard();
    let first = log_in(&service).await;
    let mut token = first.refresh;
    for path in ["/api/token", "/api/token/refresh"] {
        let next = form(&service, path, &format!("grant_type=refresh_token&refresh_token={token}")).await;
        token = Pair::of(&next).refresh;
    }
    let next = Pair::of(&form(&service, "/api/token/refresh", &format!("refresh_token={token}")).await);
    let answer =
        form(&service, "/api/token/revoke", &format!("token={}&token_type_hint=refresh_token", next.refresh)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    assert_eq!(service.get("/live", &next.access).await.status, 401);
    // At the other route too, and as JSON.
    let body = json!({ "grant_type": "password", "username": "alice", "password": "right" });
    let pair = Pair::of(&service.post("/api/token/refresh", &body).await);
    let body = json!({ "grant_type": "refresh_token", "refresh_token": pair.refresh });
    let _ = Pair::of(&service.post("/api/token", &body).await);
}

/// Parameters of the media type and its case do not matter; nor does what nobody knows, or has no value.
#[tokio::test]
async fn what_clients_add_is_ignored() {
    let service = Service::standard();
    let body = "username=alice&password=right&grant_type=password&scope=&client_id=&audience=x&foo=1&foo=2";
    for media_type in [
        "application/x-www-form-urlencoded;charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded ; charset=utf-8",
        "text/plain",
        "",
    ] {
        let answer = service.post_with("/api/token", &[("content-type", media_type)], body).await;
        let _ = Pair::of(&answer);
    }
    let _ = Pair::of(&service.post_with("/api/token", &[], body).await);
    let json = r#" {"username":"alice","password":"right","scope":null,"client_id":"","foo":[1]}"#;
    for media_type in ["application/json; charset=utf-8", "text/plain"] {
        let _ = Pair::of(&service.post_with("/api/token", &[("content-type", media_type)], json).await);
    }
}

/// `curl -d` says that everything is a form.
#[tokio::test]
async fn an_object_is_json_whatever_its_type_says() {
    let service = Service::standard();
    let body = r#"{"username":"alice","password":"right"}"#;
    let pair = Pair::of(&form(&service, "/api/token", body).await);
    let body = json!({ "refresh_token": pair.refresh }).to_string();
    let pair = Pair::of(&form(&service, "/api/token/refresh", &body).await);
    let body = json!({ "token": pair.access }).to_string();
    assert_eq!(form(&service, "/api/token/revoke", &body).await.status, 200);
    assert_eq!(service.get("/live", &pair.access).await.status, 401);
}

#[tokio::test]
async fn values_of_a_form_are_decoded() {
    let service = Service::standard();
    let answer = form(&service, "/api/token", "grant%5Ftype=password&username=j%C3%BCrgen+m&password=%72ight").await;
    let pair = Pair::of(&answer);
    assert_eq!(service.get("/me", &pair.access).await.text(), "j\u{fc}rgen m");
}

#[tokio::test]
async fn errors_are_those_of_the_specification() {
    let service = Service::standard();
    let refresh = log_in(&service).await.refresh;
    for path in ["/api/token", "/api/token/refresh"] {
        for (body, code) in [
            ("grant_type=authorization_code&code=x".to_owned(), "unsupported_grant_type"),
            ("grant_type=client_credentials".to_owned(), "unsupported_grant_type"),
            ("grant_type=Password&username=alice&password=right".to_owned(), "unsupported_grant_type"),
            ("grant_type=password&username=alice&password=wrong".to_owned(), "invalid_grant"),
            ("grant_type=password&username=alice".to_owned(), "invalid_request"),
            ("grant_type=password&username=alice&password=right&scope=a%22b".to_owned(), "invalid_scope"),
            ("grant_type=password&username=alice&username=bob&password=right".to_owned(), "invalid_request"),
            ("grant_type=password&grant_type=password&username=alice&password=right".to_owned(), "invalid_request"),
            ("grant_type=refresh_token".to_owned(), "invalid_request"),
            ("grant_type=refresh_token&refresh_token=".to_owned(), "invalid_request"),
            ("grant_type=refresh_token&refresh_token=x".to_owned(), "invalid_grant"),
            (format!("grant_type=refresh_token&refresh_token={refresh}&refresh_token={refresh}"), "invalid_request"),
            (format!("grant_type=refresh_token&refresh_token={refresh}&scope=%22"), "invalid_scope"),
            ("%ff=%ff".to_owned(), "invalid_request"),
        ] {
            let answer = form(&service, path, &body).await;
            assert_refused(&answer, 400, code);
        }
    }
    assert_refused(&form(&service, "/api/token", "username=alice&password=right").await, 400, "invalid_request");
    assert_refused(&form(&service, "/api/token/revoke", "token_type_hint=access_token").await, 400, "invalid_request");
    assert_refused(&form(&service, "/api/token/revoke", "").await, 400, "invalid_request");
    // The application has no scopes: what the client would like is not refused at the login, nor at a refresh.
    let body = format!("grant_type=refresh_token&refresh_token={refresh}&scope=more");
    let next = form(&service, "/api/token", &body).await;
    assert!(!next.text().contains("\"scope\""));
    let _ = Pair::of(&next);
}

/// A logout with the access token at hand, which may have expired while the page was open.
#[tokio::test]
async fn an_expired_access_token_ends_its_session() {
    let service = Service::standard();
    for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=nonsense"] {
        let pair = log_in(&service).await;
        service.site.clock.advance(LIFETIME + Duration::from_secs(10));
        service.get("/me", &pair.access).await.assert_rejected(401, "invalid_token");
        service.site.events.take();
        let answer = form(&service, "/api/token/revoke", &format!("token={}{hint}", pair.access)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
        assert_eq!(service.site.events.take(), [EventKind::Terminated(Termination::Revoked)]);
        assert_refused(&service.refresh(&pair.refresh).await, 400, "invalid_grant");
    }
}

#[tokio::test]
async fn a_forged_access_token_ends_nothing() {
    let service = Service::standard();
    let pair = log_in(&service).await;
    let (signed, signature) = pair.access.rsplit_once('.').unwrap();
    let other = log_in(&service).await.access;
    let others = other.rsplit_once('.').unwrap().1;
    for token in
        [format!("{signed}.{others}"), format!("{signed}."), signed.to_owned(), format!("x{signed}.{signature}")]
    {
        let answer = form(&service, "/api/token/revoke", &format!("token={token}")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    }
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
}

#[tokio::test]
async fn the_documents_say_where_everything_is() {
    let service = Service::standard();
    let answer = call(&service.app, "GET", "/.well-known/oauth-authorization-server", "").await;
    assert_eq!((answer.status.as_u16(), answer.all("content-type")), (200, vec!["application/json"]));
    assert_eq!(answer.all("cache-control"), ["public, max-age=3600"]);
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        document,
        json!({
            "issuer": "https://login.example",
            "token_endpoint": "https://login.example/api/token",
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint": "https://login.example/api/token/revoke",
            "revocation_endpoint_auth_methods_supported": ["none"],
            "jwks_uri": "https://login.example/.well-known/jwks.json",
            "grant_types_supported": ["password", "refresh_token"],
            "response_types_supported": [],
        })
    );
    let answer = call(&service.app, "GET", "/.well-known/oauth-protected-resource", "").await;
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&document["resource"], &document["authorization_servers"][0]),
        (&json!("https://api.example"), &json!("https://login.example"))
    );
}
