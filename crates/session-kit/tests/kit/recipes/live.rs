//! What goes on after its response: sockets, streams, jobs.

use std::sync::Arc;

use axum::Router;
use axum::http::{Request, StatusCode};
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use session_kit::Policy;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tower::ServiceExt as _;

use super::{PATIENCE, alice, cookie_of, sessions};
use crate::browser::{Browser, text};
use crate::example::{job, live};

#[tokio::test]
async fn a_socket_ends_with_its_session() {
    let (sessions, _) = sessions(Policy::standard());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, live::app(sessions.clone())).into_future());
    let mut request = format!("ws://{address}/socket").into_client_request().unwrap();
    assert!(connect_async(request.clone()).await.is_err(), "a visitor");
    request.headers_mut().insert("cookie", cookie_of(&sessions, "alice").await.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    for expected in ["1: hi", "2: hi"] {
        socket.send(Message::text("hi")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), expected);
    }
    sessions.revoke_all(&alice()).await.unwrap();
    let end = timeout(PATIENCE, socket.next()).await.expect("it ends");
    let Some(Ok(Message::Close(Some(end)))) = end else { panic!("not closed") };
    assert_eq!((u16::from(end.code), end.reason.as_str()), (4401, "signed out"));
    server.abort();
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_session() {
    let (sessions, _) = sessions(Policy::standard());
    let site: Router = live::app(sessions.clone());
    let request = Request::get("/events").header("cookie", cookie_of(&sessions, "alice").await);
    let answer = site.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let mut next = async || {
        let frame = timeout(PATIENCE, body.frame()).await.expect("it ends");
        frame.map(|frame| text(&frame.unwrap().into_data().unwrap()))
    };
    assert_eq!(next().await.unwrap(), "data: hello\n\n");
    sessions.revoke_all(&alice()).await.unwrap();
    assert_eq!(next().await.unwrap(), "data: signed out\n\n");
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn a_job_writes_its_progress_and_ends_with_its_session() {
    let (sessions, clock) = sessions(Policy::standard());
    let work = Arc::new(Semaphore::new(0));
    let site = job::app(sessions.clone(), Arc::clone(&work));
    let mut browser = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    let idle = Arc::strong_count(&work);
    assert_eq!(browser.send("POST", "/export", "").await.0, StatusCode::ACCEPTED);
    assert_eq!(browser.get("/export").await.1, "0%");
    let seen = sessions.list(&alice()).await.unwrap()[0].last_seen;
    clock.advance(std::time::Duration::from_secs(10 * 60));
    work.add_permits(2);
    let half = async {
        while browser.get("/export").await.1 != "50%" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, half).await.expect("it goes on");
    assert_eq!(sessions.list(&alice()).await.unwrap()[0].last_seen, seen, "neither the job nor the page is activity");

    sessions.revoke_all(&alice()).await.unwrap();
    let ended = async {
        while Arc::strong_count(&work) > idle {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("it ends");
    work.add_permits(2);
    assert_eq!(work.available_permits(), 2, "nobody works any more");
    assert_eq!(browser.get("/export").await.0, StatusCode::UNAUTHORIZED);
}
