//! Commits that fail, handlers that panic, clients that disconnect, middlewares in the wrong place.

use std::sync::{Arc, Mutex};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorImATeapot;
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes};
use actix_web::{App, Error, HttpResponse, ResponseError};
use futures::{FutureExt as _, stream};
use session_actix::{Rejection, RejectionKind, Session};
use session_core::{Error as SessionError, StepUp, UserId};

use crate::common::{Answer, Behaviour, COUNT, NOTE, Site, call, request, routes, serve, single};

/// The handler's own headers and body are dropped with its response: they would not be true.
#[tokio::test]
async fn a_failed_commit_replaces_the_response() {
    let site = Site::standard();
    let handler = async |session: Session| {
        session.insert(NOTE, &"x".to_owned()).unwrap();
        HttpResponse::Ok().insert_header(("x-order", "accepted")).body("Thank you for your order")
    };
    let app = site.app_with(single(handler)).await;
    site.on_write(Behaviour::Fails);
    let answer = call(&app, "POST", "/", "").await;
    answer.assert_rejected(503, "session_store_unavailable");
    assert_eq!((answer.all("x-order"), answer.all("vary")), (vec![], vec!["Cookie"]));
}

/// An error is a response. What led to it is committed, if its handler did not undo it.
#[tokio::test]
async fn an_error_of_a_handler_is_a_response_and_what_it_did_is_committed() {
    let site = Site::standard();
    let ours = async |session: Session| {
        session.update(COUNT, |count| *count += 1)?;
        Err::<&str, _>(Rejection::from(RejectionKind::WrongUser))
    };
    let theirs = async |session: Session| {
        session.update(COUNT, |count| *count += 1).unwrap();
        Err::<&str, _>(ErrorImATeapot("short and stout"))
    };
    let app = site.app_with(|config| {
        config.route("/ours", web::to(ours)).route("/theirs", web::to(theirs));
    });
    let app = app.await;
    let answer = call(&app, "POST", "/ours", "").await;
    let cookie = answer.cookie();
    assert_eq!((answer.status.as_u16(), answer.text()), (403, "{\"error\":\"wrong_user\"}"));
    let answer = call(&app, "POST", "/theirs", &cookie).await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.all("vary")), (418, "short and stout", vec!["Cookie"]));
    assert_eq!(call(&app, "GET", "/read", &cookie).await.text(), "2");
}

async fn errs(_: ServiceRequest, _: Next<impl MessageBody>) -> Result<ServiceResponse, Error> {
    Err(ErrorImATeapot("short and stout"))
}

/// After its handler.
async fn errs_late(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse, Error> {
    next.call(request).await?;
    Err(ErrorImATeapot("short and stout"))
}

async fn rejects(_: ServiceRequest, _: Next<impl MessageBody>) -> Result<ServiceResponse, Error> {
    Err(Rejection::from(RejectionKind::WrongUser).into())
}

/// An error of a middleware inside is a response that has not been made yet: the server makes it.
#[tokio::test]
async fn an_error_of_a_middleware_inside_is_a_response_too() {
    let site = Site::standard();
    let words = |rejection: Rejection, _: &_| HttpResponse::Forbidden().body(format!("no: {}", rejection.code()));

    let app = serve(App::new().wrap(from_fn(errs)).wrap(site.middleware()).configure(routes)).await;
    let answer = call(&app, "POST", "/count", "").await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.all("vary")), (418, "short and stout", vec![]));

    let app = serve(App::new().wrap(from_fn(errs_late)).wrap(site.middleware()).configure(routes)).await;
    let answer = call(&app, "POST", "/count", "").await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.all("vary")), (418, "short and stout", vec!["Cookie"]));
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    let count = site.app().await;
    assert_eq!(call(&count, "GET", "/read", &answer.cookie()).await.text(), "1", "what the handler did");
    site.on_write(Behaviour::Fails);
    call(&app, "POST", "/count", "").await.assert_rejected(503, "session_store_unavailable");

    let app = App::new().wrap(from_fn(rejects)).wrap(site.middleware().on_rejection(words)).configure(routes);
    let answer = call(&serve(app).await, "GET", "/plain", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (403, "no: wrong_user"));
}

/// An error of the application, whose type middlewares outside know.
#[derive(Debug)]
struct OutOfTea;

impl std::fmt::Display for OutOfTea {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of tea")
    }
}

impl ResponseError for OutOfTea {}

/// It is the same error outside, and each response that is made of it is complete. If the commit failed, it is another one.
#[tokio::test]
async fn the_error_of_a_middleware_is_passed_on_as_it_is() {
    let site = Site::standard();
    let runs_out = async |request: ServiceRequest, next: Next<BoxBody>| {
        next.call(request).await?;
        Err::<ServiceResponse, _>(Error::from(OutOfTea))
    };
    let app = serve(App::new().wrap(from_fn(runs_out)).wrap(site.middleware()).configure(routes)).await;
    let error = app.begin(request("POST", "/count", "")).await.unwrap_err();
    assert!(error.as_error::<OutOfTea>().is_some());
    for _ in 0..2 {
        let answer = Answer::of(error.error_response()).await;
        assert_eq!((answer.status.as_u16(), answer.text(), answer.all("vary")), (500, "out of tea", vec!["Cookie"]));
        assert!(answer.cookie().starts_with("__Host-id="));
    }
    site.on_write(Behaviour::Fails);
    let error = app.begin(request("POST", "/count", "")).await.unwrap_err();
    assert!(error.as_error::<OutOfTea>().is_none() && error.as_error::<Rejection>().is_some());
    for _ in 0..2 {
        Answer::of(error.error_response()).await.assert_rejected(503, "session_store_unavailable");
    }
}

/// A change after the head was sent is an error, not a silent loss.
#[tokio::test]
async fn a_streaming_body_cannot_change_the_session() {
    let site = Site::standard();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let outcomes = Arc::clone(&seen);
    let handler = move |session: Session| {
        let outcomes = Arc::clone(&outcomes);
        async move {
            session.insert(NOTE, &"in time".to_owned()).unwrap();
            HttpResponse::Ok().streaming(stream::once(async move {
                outcomes.lock().unwrap().extend([
                    session.insert(NOTE, &"late".to_owned()),
                    session.remove(NOTE),
                    session.update(COUNT, |count| *count += 1),
                    session.clear(),
                    session.logout(),
                    session.regenerate(),
                    session.step_up(StepUp::new(UserId::new("alice").unwrap())),
                ]);
                session.commit().await.unwrap();
                Ok::<_, Error>(Bytes::from(session.get(NOTE).unwrap().unwrap()))
            }))
        }
    };
    let app = site.app_with(single(handler)).await;
    assert_eq!(call(&app, "POST", "/", "").await.text(), "in time");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|outcome| matches!(outcome, Err(SessionError::ResponseSent))), "{seen:?}");
    assert_eq!(site.store.calls(), (0, 1));
}

#[tokio::test]
async fn a_panic_commits_nothing() {
    let site = Site::standard();
    let panics = async |session: Session| {
        session.logout().unwrap();
        if session.user().is_none() {
            panic!("on purpose");
        }
        ""
    };
    let app = site.app_with(single(panics)).await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let writes = site.store.calls().1;
    let answered = std::panic::AssertUnwindSafe(app.begin(request("POST", "/", &cookie))).catch_unwind().await;
    assert!(answered.is_err());
    assert_eq!(site.store.calls().1, writes);
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
}

#[tokio::test]
async fn a_client_that_leaves_leaves_the_session_as_it_was() {
    let site = Site::standard();
    let waits = async |session: Session| {
        session.logout().unwrap();
        std::future::pending::<&str>().await
    };
    let app = site.app_with(single(waits)).await;
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let abandon = |path: &str| {
        let answered = app.begin(request("POST", path, &cookie)).now_or_never();
        assert!(answered.is_none(), "dropped before it was answered");
    };
    // During the handler.
    let writes = site.store.calls().1;
    abandon("/");
    assert_eq!(site.store.calls().1, writes);
    // During the commit.
    site.on_write(Behaviour::Hangs);
    abandon("/logout");
    assert_eq!(site.store.calls().1, writes + 1);
    site.on_write(Behaviour::Works);
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
}

/// Never silently anonymous.
#[tokio::test]
async fn an_extractor_without_a_middleware_is_500() {
    let site = Site::standard();
    let app = serve(App::new().configure(routes)).await;
    for path in ["/read", "/me", "/fresh"] {
        call(&app, "GET", path, "").await.assert_rejected(500, "session_layer_missing");
    }
    let beside = App::new()
        .service(web::scope("/in").wrap(site.middleware()).configure(routes))
        .route("/late", web::get().to(async |_: Session| ""));
    let app = serve(beside).await;
    assert_eq!(call(&app, "GET", "/in/read", "").await.status, StatusCode::OK);
    call(&app, "GET", "/late", "").await.assert_rejected(500, "session_layer_missing");
    assert!(Rejection::from(RejectionKind::LayerMissing).to_string().contains("SessionMiddleware::new"));
}
