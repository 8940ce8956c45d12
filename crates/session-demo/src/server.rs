//! How connections are served: nobody keeps one open without sending a request.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::BytesMut;
use futures::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use session_tower::RequestInfo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout, timeout_at};
use tower_service::Service as _;

use crate::api::error::ApiError;

/// How long the head of a request may take to arrive, and then its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body.
const MAX_BODY: usize = 64 * 1024;
/// How much of a larger one is read, and thrown away.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;
/// The pause after a connection could not be accepted, because there are too many.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `site` until `shutdown` completes, then lets requests in flight finish, for `grace` at most. Connections that are
/// still open then are dropped: commits are cancellation-safe.
pub async fn serve(listener: TcpListener, site: Router, shutdown: impl Future<Output = ()>, grace: Duration) {
    // Without HTTP/2, for which the builder would wait forever for the first byte. Proxies speak HTTP/1.1 to what is behind.
    let mut server = Builder::new(TokioExecutor::new()).http1_only();
    server.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let (stop, stopped) = watch::channel(());
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut shutdown => break,
        };
        let site = site.clone();
        let service = tower::service_fn(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            let info = RequestInfo::new().client(address.ip()).path(request.uri().path());
            request.extensions_mut().insert(info);
            let mut site = site.clone();
            async move { site.call(request.map(Body::new)).await }
        });
        let (server, watcher, mut stopped) = (server.clone(), graceful.watcher(), stopped.clone());
        tokio::spawn(async move {
            let mut first = [0];
            tokio::select! {
                // Until the first byte the protocol has no timeout.
                byte = timeout(PATIENCE, stream.peek(&mut first)) => if !matches!(byte, Ok(Ok(1))) { return },
                _ = stopped.changed() => return,
            }
            let service = TowerToHyperService::new(service);
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            // It fails if its client goes away or is too slow: nothing that anybody needs to know.
            drop(watcher.watch(connection).await);
        });
    }
    drop((listener, stop));
    let _ = timeout(grace, graceful.shutdown()).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // That client has gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Reads the whole body before anything else is done, so that a large or slow one waits for nothing, and occupies nothing.
pub(crate) async fn read_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match collect(body).await {
        Collected::Whole(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Collected::TooLarge => ApiError::BodyTooLarge.into_response(),
        Collected::TooLargeToRead => closing(ApiError::BodyTooLarge.into_response()),
        Collected::TooSlow => {
            let answer = (StatusCode::REQUEST_TIMEOUT, Json(json!({ "error": "request_timeout" })));
            closing(answer.into_response())
        }
    }
}

enum Collected {
    Whole(Bytes),
    /// It was read to its end all the same: a client that still writes might not read the answer.
    TooLarge,
    /// Not even that. The rest is not read.
    TooLargeToRead,
    TooSlow,
}

async fn collect(body: Body) -> Collected {
    let deadline = sleep(PATIENCE).deadline();
    let (mut collected, mut length) = (BytesMut::new(), 0);
    let mut chunks = body.into_data_stream();
    loop {
        match timeout_at(deadline, chunks.next()).await {
            Ok(None) if length <= MAX_BODY => return Collected::Whole(collected.freeze()),
            Ok(None) => return Collected::TooLarge,
            Ok(Some(Ok(chunk))) => {
                length += chunk.len();
                if length <= MAX_BODY {
                    collected.extend_from_slice(&chunk);
                } else if length <= MAX_DISCARDED {
                    collected = BytesMut::new();
                } else {
                    return Collected::TooLargeToRead;
                }
            }
            // It broke off, or does not come to its end.
            Ok(Some(Err(_))) | Err(_) if length > MAX_BODY => return Collected::TooLargeToRead,
            Ok(Some(Err(_))) | Err(_) => return Collected::TooSlow,
        }
    }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
