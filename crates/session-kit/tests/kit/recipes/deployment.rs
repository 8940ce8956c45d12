//! One pool, and the end of a server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use session_conformance::{Intercept, StoreCall};
use session_kit::store::postgres::recommended_pool_options;
use session_kit::{Policy, StoreError};
use session_testbed::servers::Postgres;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::timeout;

use super::{cookie_of, sessions, sessions_with};
use crate::browser::{Browser, text};
use crate::example::{flash, pool, shutdown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_pool_serves_the_application_and_its_sessions() {
    let server = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let shared = recommended_pool_options().max_connections(3).connect(&server.url()).await.unwrap();
    let (sessions, site) = pool::open(shared.clone()).await.unwrap();
    let mut browser = Browser::with_cookie(&site, cookie_of(&sessions, "alice").await);
    assert_eq!(browser.send("POST", "/orders", "").await, (StatusCode::OK, "1 orders".to_owned()));
    assert_eq!(browser.send("POST", "/orders", "").await, (StatusCode::OK, "2 orders".to_owned()));
    // A second node may start beside it.
    let _another = pool::open(shared.clone()).await.unwrap();
    // It is the same pool: with it, the sessions are gone.
    shared.close().await;
    assert_eq!(browser.send("POST", "/orders", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

/// A server that ends at `signal`.
struct Server {
    address: std::net::SocketAddr,
    signal: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(app: Router, sessions: session_kit::SessionManager) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (signal, signalled) = oneshot::channel();
        let task = tokio::spawn(shutdown::serve(listener, app, sessions, async { signalled.await.unwrap() }));
        Self { address, signal, task }
    }

    async fn request(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test]
async fn shutdown_answers_the_requests_under_way() {
    let (sessions, _) = sessions(Policy::standard());
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        get(async move || {
            entered.notify_one();
            go_on.notified().await;
            "done"
        })
    };
    let server = Server::start(Router::new().route("/slow", slow), sessions).await;
    let mut client = server.request("GET /slow", "").await;
    entered.notified().await;
    server.signal.send(()).unwrap();
    // When nothing new is accepted, the shutdown has begun.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(text(&answer).ends_with("done"), "{}", text(&answer));
    server.task.await.unwrap().unwrap();
}

/// Writes wait for a permit.
#[derive(Clone, Debug)]
struct Slow {
    asked: Arc<Notify>,
    permits: Arc<Semaphore>,
}

impl Intercept for Slow {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call.operation == "create" {
            self.asked.notify_one();
            self.permits.acquire().await.unwrap().forget();
        }
        execute.await
    }
}

#[tokio::test]
async fn shutdown_waits_for_commits_whose_clients_went_away() {
    let slow = Slow { asked: Arc::new(Notify::new()), permits: Arc::new(Semaphore::new(0)) };
    let sessions = sessions_with(slow.clone());
    let server = Server::start(flash::app(sessions.clone()), sessions.clone()).await;
    let client = server.request("POST /", "language=de&page_size=20").await;
    slow.asked.notified().await;
    drop(client);
    server.signal.send(()).unwrap();
    let mut task = server.task;
    // It would be over by now.
    assert!(timeout(Duration::from_millis(500), &mut task).await.is_err(), "it does not wait");
    slow.permits.add_permits(1);
    task.await.unwrap().unwrap();
}
