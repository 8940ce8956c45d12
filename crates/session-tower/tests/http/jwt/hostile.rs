//! Bodies that no honest client sends.

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use super::{Service, assert_refused};

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
        b"grant_type=refresh_token&refresh_token=x",
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
    for token in ["", "x", "a.b.c", "\u{fc}", "\0", &"A".repeat(63), &"A".repeat(65), &"x".repeat(60_000)] {
        assert_refused(&service.refresh(token).await, 400, "invalid_grant");
        let answer = service.revoke(token).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
    }
    assert_eq!(service.site.store.calls(), (0, 0));
}
