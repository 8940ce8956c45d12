//! Several workers with one store, and what goes on after a response.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use actix_web::web::{self, Bytes, Payload, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, rt};
use actix_ws::{CloseCode, CloseReason, Message};
use futures::SinkExt as _;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use session_actix::{Authenticated, Rejection, Session};
use session_core::SessionHandle;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::common::{COUNT, Site, routes};
use crate::server::{HalfClosed, SOON, Server};

/// `/worker` says which thread serves the connection, and who is logged in.
fn site(config: &mut ServiceConfig) {
    let worker = async |user: Option<Authenticated>| {
        let user = user.map_or("nobody".to_owned(), |user| user.user().as_str().to_owned());
        format!("{:?} {user}", thread::current().id())
    };
    // Commits itself, so that it knows the value.
    let next = async |session: Session| {
        session.update(COUNT, |count| *count += 1)?;
        session.commit().await?;
        Ok::<_, Rejection>(format!("{:?} {}", thread::current().id(), session.get(COUNT)?.unwrap_or_default()))
    };
    let panics = async |session: Session| -> &'static str {
        session.logout().unwrap();
        panic!("on purpose");
    };
    config
        .route("/worker", web::get().to(worker))
        .route("/next", web::post().to(next))
        .route("/panic", web::post().to(panics))
        .route("/events", web::get().to(events))
        .route("/socket", web::get().to(socket))
        .configure(routes);
}

fn split(text: &str) -> (String, String) {
    let (worker, rest) = text.split_once(' ').unwrap();
    (worker.to_owned(), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_increments_in_several_workers_none_is_lost() {
    let bed = Site::standard();
    let server = Server::start(bed.middleware(), HalfClosed::Allowed, site);
    let cookie = server.connect().await.call("POST", "/login/alice", "").await.cookie();
    let answers = join_all((0..64).map(async |_| {
        let answer = server.connect().await.call("POST", "/next", &cookie).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        split(&answer.body)
    }));
    let (workers, values): (HashSet<_>, HashSet<_>) = answers.await.into_iter().unzip();
    assert!(workers.len() > 1, "{workers:?}");
    assert_eq!(values, (1..=64).map(|value| value.to_string()).collect());
    // And those that are committed before the response, without a word.
    join_all((0..64).map(async |_| {
        let answer = server.connect().await.call("POST", "/count", &cookie).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }))
    .await;
    assert_eq!(server.connect().await.call("GET", "/read", &cookie).await.body, "128");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_in_one_worker_is_obeyed_by_all() {
    let bed = Site::standard();
    let server = Server::start(bed.middleware(), HalfClosed::Allowed, site);
    let mut connections = join_all((0..8).map(|_| server.connect())).await;
    let cookie = connections[0].call("POST", "/login/alice", "").await.cookie();
    let mut workers = HashSet::new();
    for connection in &mut connections {
        let (worker, user) = split(&connection.call("GET", "/worker", &cookie).await.body);
        assert_eq!(user, "alice");
        workers.insert(worker);
    }
    assert!(workers.len() > 1, "{workers:?}");
    assert_eq!(connections[0].call("POST", "/logout", &cookie).await.status, 204);
    for connection in &mut connections {
        assert_eq!(split(&connection.call("GET", "/worker", &cookie).await.body).1, "nobody");
        assert_eq!(connection.call("GET", "/me", &cookie).await.status, 401);
    }
}

/// The connection ends; the worker does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_its_connection_and_commits_nothing() {
    let bed = Site::standard();
    let server = Server::start(bed.middleware(), HalfClosed::Allowed, site);
    let cookie = server.connect().await.call("POST", "/login/alice", "").await.cookie();
    let writes = bed.store.calls().1;
    for _ in 0..8 {
        let mut connection = server.connect().await;
        connection.write("POST", "/panic", &cookie).await;
        assert_eq!(connection.read_until("\r\n\r\n").await, "");
    }
    assert_eq!(bed.store.calls().1, writes);
    assert_eq!(server.connect().await.call("GET", "/me", &cookie).await.body, "alice");
}

/// Tells what becomes of a handler.
struct Fate(mpsc::UnboundedSender<&'static str>);

impl Drop for Fate {
    fn drop(&mut self) {
        let _ = self.0.send("over");
    }
}

/// actix-web drops the handler of a client that has gone, if it is told to; else it runs to its end, and is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_disconnects_leaves_the_session_as_it_was() {
    for half_closed in [HalfClosed::Disconnected, HalfClosed::Allowed] {
        let bed = Site::standard();
        let (fate, mut fates) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let released = Arc::clone(&release);
        let server = Server::start(bed.middleware(), half_closed, move |config| {
            let (fate, released) = (fate.clone(), Arc::clone(&released));
            let waits = move |session: Session| {
                let (fate, released) = (fate.clone(), Arc::clone(&released));
                async move {
                    session.update(COUNT, |count| *count += 1)?;
                    let _ = fate.send("running");
                    let fate = Fate(fate);
                    released.notified().await;
                    drop(fate);
                    Ok::<_, Rejection>("counted")
                }
            };
            config.route("/waits", web::post().to(waits)).configure(site);
        });
        let mut next = async || timeout(SOON, fates.recv()).await.expect("a fate");
        let cookie = server.connect().await.call("POST", "/login/alice", "").await.cookie();
        let mut connection = server.connect().await;
        connection.write("POST", "/waits", &cookie).await;
        assert_eq!(next().await, Some("running"));
        drop(connection);
        let expected = match half_closed {
            HalfClosed::Disconnected => "0",
            HalfClosed::Allowed => {
                release.notify_one();
                "1"
            }
        };
        assert_eq!(next().await, Some("over"));
        let read = async || server.connect().await.call("GET", "/read", &cookie).await.body;
        // The commit comes after the handler.
        let settled = async {
            while read().await != expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, settled).await.expect("what was expected");
        assert_eq!(read().await, expected, "{half_closed:?}");
    }
}

/// As the documentation shows it.
async fn events(user: Authenticated) -> HttpResponse {
    user.set_passive();
    let session = user.handle();
    let event = |text: &'static str| Ok::<_, Error>(Bytes::from_static(text.as_bytes()));
    let end = async move {
        session.ended().await;
        event("data: signed out\n\n")
    };
    let events = stream::iter([event("data: live\n\n")]).chain(stream::once(end));
    HttpResponse::Ok().content_type("text/event-stream").streaming(events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_its_head_and_ends_with_its_session() {
    let bed = Site::standard();
    let server = Server::start(bed.middleware(), HalfClosed::Allowed, site);
    assert_eq!(server.connect().await.call("GET", "/events", "").await.status, 401);
    let cookie = server.connect().await.call("POST", "/login/alice", "").await.cookie();
    let mut stream = server.connect().await;
    stream.write("GET", "/events", &cookie).await;
    let begin = stream.read_until("data: live\n\n\r\n").await.to_lowercase();
    assert!(begin.contains("cache-control: private, no-store") && begin.contains("vary: cookie"), "{begin}");
    assert_eq!(server.connect().await.call("POST", "/logout", &cookie).await.status, 204);
    let rest = stream.read_until("0\r\n\r\n").await;
    assert!(rest.contains("signed out"), "{rest}");
}

async fn socket(user: Authenticated, request: HttpRequest, body: Payload) -> Result<HttpResponse, Error> {
    let session = user.handle();
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(echo(socket, messages, session));
    Ok(response)
}

async fn echo(mut socket: actix_ws::Session, mut messages: actix_ws::MessageStream, session: SessionHandle) {
    let code = loop {
        let message = tokio::select! {
            () = session.ended() => break CloseCode::Other(4401),
            message = messages.recv() => message,
        };
        let Some(Ok(Message::Text(text))) = message else { break CloseCode::Normal };
        let Ok(current) = session.open().await else { break CloseCode::Error };
        if session.commit(&current).await.is_err() || socket.text(text).await.is_err() {
            break CloseCode::Error;
        }
    };
    let _ = socket.close(Some(CloseReason { code, description: None })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_needs_a_login_and_the_own_origin_and_is_closed_after_the_logout() {
    let bed = Site::standard();
    let server = Server::start(bed.middleware(), HalfClosed::Allowed, site);
    let cookie = server.connect().await.call("POST", "/login/alice", "").await.cookie();
    let open = async |cookie: &str, origin: &str| {
        let mut request = format!("ws://{}/socket", server.address).into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, response)) => Ok((socket, response)),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    };
    let own = format!("http://{}", server.address);
    assert_eq!(open("", &own).await.err(), Some(401));
    assert_eq!(open(&cookie, "https://evil.example").await.err(), Some(403));
    let (mut socket, response) = open(&cookie, &own).await.unwrap();
    assert_eq!(response.headers()["vary"], "Cookie");
    socket.send(tungstenite::Message::text("hello")).await.unwrap();
    let mut next = async || timeout(SOON, socket.next()).await.expect("a message").unwrap().unwrap();
    assert_eq!(next().await.to_text().unwrap(), "hello");
    assert_eq!(server.connect().await.call("POST", "/logout", &cookie).await.status, 204);
    let closed = next().await;
    let tungstenite::Message::Close(Some(frame)) = &closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), 4401);
}
