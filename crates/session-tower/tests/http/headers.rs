//! What a response carries: cookie, cache and vary headers, on every kind of response.

use crate::common::{COUNT, NOTE, Site, call, masked, request, routes, send, single};
use axum::body::Body;
use axum::response::{AppendHeaders, IntoResponse, Response};
use futures::stream;
use http::StatusCode;
use session_core::{Login, UserId};
use session_tower::{Rejection, RejectionKind, Session};

const STANDARD: &str = "__Host-id=<token>; HttpOnly; SameSite=Lax; Secure; Path=/";

#[tokio::test]
async fn untouched_and_read_only_responses_set_nothing() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/count", "").await.cookie();
    for cookie in ["", &cookie] {
        let plain = call(&app, "GET", "/plain", cookie).await;
        assert_eq!(
            plain.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["content-type", "content-length"]
        );
        let read = call(&app, "GET", "/read", cookie).await;
        assert_eq!(read.all("vary"), ["Cookie"]);
        assert_eq!(read.all("set-cookie"), [""; 0]);
        assert_eq!(read.all("cache-control"), [""; 0]);
    }
}

#[tokio::test]
async fn every_kind_of_response_that_issues_a_session_is_kept_out_of_caches() {
    const PUBLIC: [(&str, &str); 2] = [("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=60")];
    type Respond = fn() -> Response;
    let responses: [(&str, Respond); 6] = [
        ("plain", || ().into_response()),
        ("public", || (PUBLIC, "public").into_response()),
        ("rejection", || Rejection::from(RejectionKind::WrongUser).into_response()),
        ("error", || (StatusCode::INTERNAL_SERVER_ERROR, PUBLIC).into_response()),
        ("not modified", || (StatusCode::NOT_MODIFIED, PUBLIC).into_response()),
        ("streaming", || {
            let chunks = stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
            (PUBLIC, Body::from_stream(chunks)).into_response()
        }),
    ];
    for (name, response) in responses {
        for method in ["GET", "HEAD", "POST"] {
            let site = Site::standard();
            let handler = async move |session: Session| {
                session.update(COUNT, |count| *count += 1).unwrap();
                response()
            };
            let answer = call(&single(handler).layer(site.layer()), method, "/", "").await;
            let [cookie] = answer.all("set-cookie")[..] else { panic!("{name} {method}: {answer:?}") };
            assert_eq!(masked(cookie), STANDARD, "{name} {method}");
            assert_eq!(answer.all("cache-control"), ["private, no-store"], "{name} {method}");
            assert_eq!(answer.all("cdn-cache-control"), [""; 0], "{name} {method}");
            assert_eq!(answer.all("vary"), ["Cookie"], "{name} {method}");
            assert_eq!(site.store.calls(), (0, 1), "{name} {method}");
        }
    }
}

#[tokio::test]
async fn one_cookie_of_ours_beside_all_of_the_application() {
    let site = Site::standard();
    let handler = async |session: Session| {
        let alice = UserId::new("alice").unwrap();
        session.insert(NOTE, &"before".to_owned()).unwrap();
        session.login(Login::new(alice)).unwrap();
        session.commit().await.unwrap();
        session.regenerate().unwrap();
        session.commit().await.unwrap();
        session.insert(NOTE, &"after".to_owned()).unwrap();
        AppendHeaders([("set-cookie", "theme=dark; Path=/"), ("set-cookie", "lang=en; Path=/")])
    };
    let app = single(handler).merge(routes()).layer(site.layer());
    let answer = call(&app, "GET", "/", "").await;
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies[..2], ["theme=dark; Path=/", "lang=en; Path=/"]);
    assert_eq!(cookies[2..].iter().map(|cookie| masked(cookie)).collect::<Vec<_>>(), [STANDARD]);
    let ours = cookies[2].split(';').next().unwrap();
    assert_eq!(call(&app, "GET", "/me", ours).await.text(), "alice", "the cookie is that of the last commit");
}

/// Whatever the extractor decides, the response depends on the cookie; what the application says is kept.
#[tokio::test]
async fn every_way_to_consult_a_session_varies_by_cookie() {
    let site = Site::standard();
    let theirs = async |_: Session| AppendHeaders([("vary", "Accept"), ("vary", "Origin, cookie")]);
    let app = single(theirs).merge(routes()).layer(site.layer());
    for path in ["/read", "/me", "/fresh"] {
        assert_eq!(call(&app, "GET", path, "").await.all("vary"), ["Cookie"], "{path}");
    }
    assert_eq!(call(&app, "GET", "/", "").await.all("vary"), ["Accept", "Origin, cookie"]);
}

#[tokio::test]
async fn our_cookie_is_marked_sensitive() {
    let site = Site::standard();
    let answer = send(&site.app(), request("POST", "/count", "")).await;
    assert!(answer.headers["set-cookie"].is_sensitive());
    assert!(!format!("{:?}", answer.headers).contains("__Host-id"));
}
