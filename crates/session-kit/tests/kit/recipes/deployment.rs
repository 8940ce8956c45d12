//! One pool, and the end of a server.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

use super::{Down, PATIENCE, cookie_of, sessions, sessions_with};
use crate::browser::{Browser, text};
use crate::example::{flash, health, live, pool, shutdown};

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

/// Longer than an end takes that waits for nothing. Silence is waited for in full.
const MOMENT: Duration = Duration::from_millis(500);

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
            "{head}\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
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
    let mut server = Server::start(Router::new().route("/slow", slow), sessions).await;
    let mut client = server.request("GET /slow HTTP/1.1", "").await;
    entered.notified().await;
    server.signal.send(()).unwrap();
    // When nothing new is accepted, the shutdown has begun.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(timeout(MOMENT, &mut server.task).await.is_err(), "it does not wait");
    go_on.notify_one();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(text(&answer).ends_with("done"), "{}", text(&answer));
    server.task.await.unwrap().unwrap();
}

/// On a clock that jumps to what is waited for.
#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_streams_forever() {
    let (sessions, _) = sessions(Policy::standard());
    let server = Server::start(live::app(sessions.clone()), sessions.clone()).await;
    let cookie = cookie_of(&sessions, "alice").await;
    let mut client = server.request(&format!("GET /events HTTP/1.1\r\ncookie: {cookie}"), "").await;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(text(&answer), "HTTP/1.1 200");
    server.signal.send(()).unwrap();
    timeout(PATIENCE, server.task).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn health_tells_a_process_from_its_store() {
    let down = Down::default();
    let sessions = sessions_with(down.clone());
    let mut probe = Browser::new(&health::app(sessions.clone()), "kubelet");
    assert_eq!(probe.get("/health/ready").await.0, StatusCode::NO_CONTENT);
    down.0.store(true, Ordering::SeqCst);
    assert_eq!(probe.get("/health/ready").await, (StatusCode::SERVICE_UNAVAILABLE, String::new()));
    let cause = sessions.ping().await.unwrap_err().source().map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("reference: load: unavailable: told to fail"));
    assert_eq!(probe.get("/health/live").await.0, StatusCode::NO_CONTENT);
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
    let client = server.request("POST / HTTP/1.1", "language=de&page_size=20").await;
    slow.asked.notified().await;
    drop(client);
    server.signal.send(()).unwrap();
    let mut task = server.task;
    assert!(timeout(MOMENT, &mut task).await.is_err(), "it does not wait");
    slow.permits.add_permits(1);
    task.await.unwrap().unwrap();
}
