//! What a response carries: cookie, cache and vary headers, on every kind of response.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use futures::stream;
use session_actix::{Rejection, RejectionKind, Session};
use session_core::{Login, UserId};

use crate::common::{COUNT, NOTE, Site, call, masked, single, with_headers};

const STANDARD: &str = "__Host-id=<token>; HttpOnly; SameSite=Lax; Secure; Path=/";

#[tokio::test]
async fn untouched_and_read_only_responses_set_nothing() {
    let site = Site::standard();
    let app = site.app().await;
    let cookie = call(&app, "POST", "/count", "").await.cookie();
    for cookie in ["", &cookie] {
        let plain = call(&app, "GET", "/plain", cookie).await;
        assert_eq!(plain.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["content-type"]);
        let read = call(&app, "GET", "/read", cookie).await;
        assert_eq!(read.all("vary"), ["Cookie"]);
        assert_eq!(read.all("set-cookie"), [""; 0]);
        assert_eq!(read.all("cache-control"), [""; 0]);
    }
    assert_eq!(site.store.calls(), (1, 1), "and cost nothing");
}

#[tokio::test]
async fn every_kind_of_response_that_issues_a_session_is_kept_out_of_caches() {
    type Respond = fn() -> Result<HttpResponse, Rejection>;
    fn public(status: u16) -> HttpResponse {
        let mut response =
            with_headers(&[("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=60")]);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }
    let responses: [(&str, Respond); 6] = [
        ("plain", || Ok(HttpResponse::Ok().finish())),
        ("public", || Ok(public(200))),
        ("rejection", || Err(RejectionKind::WrongUser.into())),
        ("error", || Ok(public(500))),
        ("not modified", || Ok(public(304))),
        ("streaming", || {
            let chunks = ["a", "b"].map(|chunk| Ok::<_, std::io::Error>(chunk.into()));
            Ok(HttpResponse::Ok().insert_header(("cache-control", "public")).streaming(stream::iter(chunks)))
        }),
    ];
    for (name, response) in responses {
        for method in ["GET", "HEAD", "POST"] {
            let site = Site::standard();
            let handler = move |session: Session| {
                session.update(COUNT, |count| *count += 1).unwrap();
                std::future::ready(response())
            };
            let app = site.app_with(single(handler)).await;
            let answer = call(&app, method, "/", "").await;
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
        session.insert(NOTE, &"before".to_owned())?;
        session.login(Login::new(alice))?;
        session.commit().await?;
        session.regenerate()?;
        session.commit().await?;
        session.insert(NOTE, &"after".to_owned())?;
        Ok::<_, Rejection>(with_headers(&[("set-cookie", "theme=dark; Path=/"), ("set-cookie", "lang=en; Path=/")]))
    };
    let app = site.app_with(single(handler)).await;
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
    let theirs = async |_: Session| with_headers(&[("vary", "Accept"), ("vary", "Origin, cookie")]);
    let app = site.app_with(single(theirs)).await;
    for path in ["/read", "/me", "/fresh"] {
        assert_eq!(call(&app, "GET", path, "").await.all("vary"), ["Cookie"], "{path}");
    }
    assert_eq!(call(&app, "GET", "/", "").await.all("vary"), ["Accept", "Origin, cookie"]);
}

#[tokio::test]
async fn our_cookie_is_marked_sensitive() {
    let answer = call(&Site::standard().app().await, "POST", "/count", "").await;
    assert!(answer.headers.get("set-cookie").unwrap().is_sensitive());
    assert!(!format!("{:?}", answer.headers).contains("__Host-id"));
}
