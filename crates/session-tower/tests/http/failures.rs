//! Commits that fail, handlers that panic, clients that disconnect, layers in the wrong place.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use crate::common::{Answer, Behaviour, COUNT, NOTE, Site, call, request, routes, single};
use axum::Router;
use axum::body::Body;
use axum_core::extract::FromRequestParts;
use bytes::Bytes;
use futures::{FutureExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use session_core::{Error, EventKind, StepUp, UserId};
use session_tower::{Rejection, RejectionKind, Session};
use tower::{Layer, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

/// The handler's own headers and body are dropped with its response: they would not be true.
#[tokio::test]
async fn a_failed_commit_replaces_the_response() {
    let site = Site::standard();
    let handler = async |session: Session| {
        session.insert(NOTE, &"x".to_owned()).unwrap();
        ([("x-order", "accepted"), ("etag", "\"1\"")], "Thank you for your order")
    };
    site.on_write(Behaviour::Fails);
    let answer = call(&single(handler).layer(site.layer()), "POST", "/", "").await;
    answer.assert_rejected(503, "session_store_unavailable");
    assert_eq!((answer.all("x-order"), answer.all("etag")), (vec![], vec![]));
    assert_eq!(answer.all("vary"), ["Cookie"]);
}

/// A change after the head was sent is an error, not a silent loss.
#[tokio::test]
async fn a_streaming_body_cannot_change_the_session() {
    let site = Site::standard();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let seen = Arc::clone(&seen);
        async move |session: Session| {
            session.insert(NOTE, &"in time".to_owned()).unwrap();
            Body::from_stream(stream::once(async move {
                let outcomes = [
                    session.insert(NOTE, &"late".to_owned()),
                    session.remove(NOTE),
                    session.update(COUNT, |count| *count += 1),
                    session.clear(),
                    session.logout(),
                    session.regenerate(),
                    session.step_up(StepUp::new(UserId::new("alice").unwrap())),
                ];
                seen.lock().unwrap().extend(outcomes);
                session.commit().await.unwrap();
                Ok::<_, Infallible>(session.get(NOTE).unwrap().unwrap())
            }))
        }
    };
    let app = single(handler).merge(routes()).layer(site.layer());
    let answer = call(&app, "POST", "/", "").await;
    assert_eq!(answer.text(), "in time");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|outcome| matches!(outcome, Err(Error::ResponseSent))), "{seen:?}");
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
    };
    let app = single(panics).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let calls = site.store.calls();
    let request = request("POST", "/", &cookie);
    let outcome = tokio::spawn(app.clone().oneshot(request)).await;
    assert!(outcome.unwrap_err().is_panic());
    assert_eq!(site.store.calls().1, calls.1);
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
}

/// Inside, the panic is a response like any other. Outside, it never was one.
#[tokio::test]
async fn a_panic_that_becomes_a_response_inside_the_layer_is_a_response_like_any_other() {
    let panics = async |session: Session| {
        session.logout().unwrap();
        if session.user().is_none() {
            panic!("on purpose");
        }
    };
    let catch = CatchPanicLayer::new;
    for (is_inside, user) in [(true, StatusCode::UNAUTHORIZED), (false, StatusCode::OK)] {
        let site = Site::standard();
        let app = single(panics).merge(routes());
        let app =
            if is_inside { app.layer(catch()).layer(site.layer()) } else { app.layer(site.layer()).layer(catch()) };
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        let answer = call(&app, "POST", "/", &cookie).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.all("set-cookie").len(), usize::from(is_inside));
        assert_eq!(call(&app, "GET", "/me", &cookie).await.status, user, "inside: {is_inside}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_leaves_the_session_as_it_was() {
    let site = Site::standard();
    let waits = async |session: Session| {
        session.logout().unwrap();
        std::future::pending::<()>().await;
    };
    let app = single(waits).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let abandon = |path: &str| {
        let answered = app.clone().oneshot(request("POST", path, &cookie)).now_or_never();
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
async fn an_extractor_without_a_layer_is_500() {
    let site = Site::standard();
    for path in ["/read", "/me", "/fresh"] {
        call(&routes(), "GET", path, "").await.assert_rejected(500, "session_layer_missing");
    }
    let beside = routes().layer(site.layer()).route("/late", axum::routing::get(async |_: Session| ()));
    call(&beside, "GET", "/late", "").await.assert_rejected(500, "session_layer_missing");
    assert!(Rejection::from(RejectionKind::LayerMissing).to_string().contains("SessionLayer::new"));
}

#[tokio::test]
async fn nested_layers_with_one_cookie_name_are_500() {
    let site = Site::standard();
    let nested = Router::new().nest("/shop", site.app()).layer(site.layer());
    for path in ["/shop/plain", "/shop/me"] {
        call(&nested, "GET", path, "").await.assert_rejected(500, "session_layer_nested");
    }
    let twice = Site::standard().app().layer(site.layer());
    call(&twice, "GET", "/plain", "").await.assert_rejected(500, "session_layer_nested");
    assert_eq!(site.store.calls(), (0, 0));

    let side_by_side = Router::new().nest("/a", site.app()).nest("/b", site.app());
    let cookie = call(&side_by_side, "POST", "/a/login/alice", "").await.cookie();
    assert_eq!(call(&side_by_side, "GET", "/b/me", &cookie).await.text(), "alice");
}

/// Without axum: any service, any body; and an error of the service is passed on, with nothing committed.
#[tokio::test]
async fn any_tower_service_will_do() {
    let site = Site::standard();
    let handler = async |request: Request<()>| {
        let (mut parts, ()) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, &()).await.unwrap();
        session.update(COUNT, |count| *count += 1).unwrap();
        if parts.uri.path() == "/error" {
            return Err("no response");
        }
        Ok(Response::new(Full::new(Bytes::from_static(b"counted"))))
    };
    let service = site.layer().layer(service_fn(handler));
    let send = |path: &str| service.clone().oneshot(Request::builder().uri(path).body(()).unwrap());
    assert_eq!(send("/error").await.unwrap_err(), "no response");
    assert_eq!(site.store.calls(), (0, 0));
    let answer = Answer::of(send("/").await.unwrap()).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "counted"));
    assert!(answer.cookie().starts_with("__Host-id="));
    site.on_write(Behaviour::Fails);
    Answer::of(send("/").await.unwrap()).await.assert_rejected(503, "session_store_unavailable");
    assert!(site.events.take().iter().any(|event| matches!(event, EventKind::StoreFailed { .. })));
}
