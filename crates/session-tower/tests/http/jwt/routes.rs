//! The routes, with refresh tokens in bodies: what they answer, also to clients that are not honest and when stores fail.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use session_core::{EventKind, LimitPolicy, Policy, Termination};
use session_jwt::{Verifier, VerifyingKeys};

use super::{Pair, Service, assert_refused, assert_uncached, credentials};
use crate::common::{Behaviour, call};

#[tokio::test]
async fn a_pair_is_issued_refreshed_and_revoked() {
    let service = Service::standard();
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
    let service = Service::standard();
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
async fn each_step_costs_what_it_says() {
    let service = Service::standard();
    let cost = async |before: (usize, usize)| {
        let (reads, writes) = service.site.store.calls();
        (reads - before.0, writes - before.1)
    };
    let before = service.site.store.calls();
    let pair = service.login().await;
    assert_eq!(cost(before).await, (0, 1), "login");
    let before = service.site.store.calls();
    let next = Pair::of(&service.refresh(&pair.refresh).await);
    assert_eq!(cost(before).await, (1, 1), "refresh");
    let before = service.site.store.calls();
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
    assert_eq!(cost(before).await, (1, 1), "a repetition, which is counted");
    let before = service.site.store.calls();
    assert_eq!(service.revoke(&next.refresh).await.status, 200);
    assert_eq!(cost(before).await, (1, 1), "revoke");
}

#[tokio::test]
async fn wrong_credentials_are_an_invalid_grant() {
    let service = Service::standard();
    let wrong = json!({ "username": "alice", "password": "wrong" });
    assert_refused(&service.post("/api/token", &wrong).await, 400, "invalid_grant");
    assert_eq!(service.site.store.calls(), (0, 0));
}

#[tokio::test]
async fn unknown_expired_and_revoked_look_the_same() {
    let service = Service::standard();
    let (expired, revoked) = (service.login().await, service.login().await);
    service.revoke(&revoked.refresh).await;
    service.site.clock.advance(Duration::from_secs(30 * 60));
    for token in [&*expired.refresh, &revoked.refresh, &"A".repeat(64), "x"] {
        assert_refused(&service.refresh(token).await, 400, "invalid_grant");
    }
}

#[tokio::test]
async fn reuse_ends_the_session_although_the_answer_is_an_error() {
    let service = Service::standard();
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
async fn a_disabled_account_gets_nothing_and_loses_its_session() {
    let service = Service::standard();
    let pair = service.login().await;
    service.book.disabled.lock().unwrap().insert("alice".to_owned());
    assert_refused(&service.refresh(&pair.refresh).await, 400, "invalid_grant");
    service.book.disabled.lock().unwrap().clear();
    assert_refused(&service.refresh(&pair.refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn the_limit_is_a_conflict() {
    let policy = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let service = Service::new(policy);
    let pair = service.login().await;
    assert_refused(&service.post("/api/token", &credentials("alice")).await, 409, "session_limit_reached");
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
}

/// Tokens end with whole seconds: the last fraction of a session is not worth one.
#[tokio::test]
async fn a_session_that_ends_now_is_an_invalid_grant() {
    let hour = Duration::from_secs(60 * 60);
    let policy = Policy::standard().to_builder().idle_timeout(hour).absolute_timeout(hour).build().unwrap();
    let service = Service::new(policy);
    service.site.clock.advance(Duration::from_millis(500));
    let pair = service.login().await;
    service.site.clock.advance(hour - Duration::from_millis(200));
    assert_refused(&service.refresh(&pair.refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn only_post_changes_anything() {
    let service = Service::standard();
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
        let service = Service::standard();
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
    let service = Service::standard();
    let pair = service.login().await;
    *service.book.down.lock().unwrap() = true;
    assert_refused(&service.refresh(&pair.refresh).await, 503, "temporarily_unavailable");
    assert_refused(&service.post("/api/token", &credentials("alice")).await, 503, "temporarily_unavailable");
    *service.book.down.lock().unwrap() = false;
    let _ = Pair::of(&service.refresh(&pair.refresh).await);
}

#[tokio::test]
async fn bodies_that_are_not_understood_are_400_and_cost_nothing() {
    let service = Service::standard();
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
    let service = Service::standard();
    for path in ["/api/token", "/api/token/refresh", "/api/token/revoke"] {
        let long = format!("{{\"refresh_token\":\"{0}\",\"token\":\"{0}\"}}", "x".repeat(64 * 1024));
        assert_refused(&service.post_with(path, &[], long).await, 413, "invalid_request");
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1024])));
        let answer = service.post_with(path, &[], Body::from_stream(endless)).await;
        assert_refused(&answer, 413, "invalid_request");
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("the client left"))]);
        let answer = service.post_with(path, &[], Body::from_stream(broken)).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    assert_eq!(service.site.store.calls(), (0, 0));
}

/// What looks like a token and is none is answered as RFC 6749 and RFC 7009 want it, at no cost.
#[tokio::test]
async fn texts_that_are_no_tokens_cost_nothing() {
    let service = Service::standard();
    assert_refused(&service.refresh("").await, 400, "invalid_request");
    assert_refused(&service.revoke("").await, 400, "invalid_request");
    for token in ["x", "a.b.c", "\u{fc}", "\0", &"A".repeat(63), &"A".repeat(65), &"x".repeat(60_000)] {
        assert_refused(&service.refresh(token).await, 400, "invalid_grant");
        let answer = service.revoke(token).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    }
    assert_eq!(service.site.store.calls(), (0, 0));
}
