//! A WebSocket and a stream of events, which go on after their response.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::backend::Backend;
use crate::server::{Nodes, on_each};
use crate::support::{Browser, Demo};

on_each!(a_socket_ends_with_its_session);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket with the cookie of the browser and these headers; the status if it is refused.
async fn open(demo: &Demo, browser: &Browser<'_>, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let url = format!("{}/ws", demo.base.replace("http://", "ws://"));
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    if let Some(cookie) = browser.cookie() {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn ask(socket: &mut Socket) -> String {
    socket.send(Message::text("hello")).await.unwrap();
    let answer = timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
    let Message::Text(text) = &answer else { panic!("{answer:?}") };
    text.to_string()
}

/// The code with which the socket is closed.
async fn closed(mut socket: Socket) -> u16 {
    let closed = timeout(Duration::from_secs(5), socket.next()).await.expect("the end of the socket");
    let closed = closed.unwrap().unwrap();
    let Message::Close(Some(frame)) = &closed else { panic!("{closed:?}") };
    frame.code.into()
}

#[tokio::test]
async fn a_socket_needs_a_login_and_the_own_origin() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    assert_eq!(open(&demo, &demo.browser(), &[]).await.err(), Some(401));
    for origin in ["https://evil.example", "null", "http://127.0.0.1"] {
        assert_eq!(open(&demo, &alice, &[("origin", origin)]).await.err(), Some(403), "{origin}");
    }
    for (host, origin) in [
        ("shop.example:443", "https://shop.example"),
        ("SHOP.example:80", "http://shop.example"),
        ("shop.example:8443", "https://shop.example:8443"),
    ] {
        assert!(open(&demo, &alice, &[("host", host), ("origin", origin)]).await.is_ok(), "{host} {origin}");
    }
    assert_eq!(alice.get("/ws").await.status, 400, "no handshake");
}

#[tokio::test]
async fn messages_count_and_are_activity() {
    let demo = Demo::start(&["--idle", "4s"]);
    let alice = demo.logged_in("alice").await;
    let (mut one, mut two) = (open(&demo, &alice, &[]).await.unwrap(), open(&demo, &alice, &[]).await.unwrap());
    for count in 1..=4 {
        assert_eq!(ask(if count % 2 == 0 { &mut one } else { &mut two }).await, count.to_string());
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    assert_eq!(alice.get("/api/data/ws").await.json(), json!(4));
    assert_eq!(alice.user().await.as_deref(), Some("alice"), "six seconds later");
}

/// Wherever the session ends, each socket of each node learns of it.
async fn a_socket_ends_with_its_session(backend: Backend) {
    let nodes = Nodes::start(backend, &[]).await;
    for end in ["logout", "elsewhere", "revoke-all", "login"] {
        let alice = nodes.a.logged_in("alice").await;
        let mut sockets = [open(&nodes.a, &alice, &[]).await.unwrap(), open(&nodes.b, &alice, &[]).await.unwrap()];
        for socket in &mut sockets {
            ask(socket).await;
        }
        match end {
            "logout" => alice.post("/api/logout", &json!({})).await,
            "elsewhere" => alice.at(&nodes.b).post("/api/logout", &json!({})).await,
            "revoke-all" => alice.post("/api/devices/revoke-all", &json!({})).await,
            _ => alice.login("bob").await,
        };
        for socket in sockets {
            assert_eq!(closed(socket).await, 4401, "{end}");
        }
    }
}

#[tokio::test]
async fn a_stream_says_when_the_session_ends() {
    let demo = Demo::start(&[]);
    demo.browser().get("/api/events").await.assert(401);
    let alice = demo.logged_in("alice").await;
    let request = Request::get(format!("{}/api/events", demo.base)).header("cookie", alice.cookie().unwrap());
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "private, no-store");
    let mut body = response.into_body();
    let mut next = async || -> Option<Bytes> {
        let frame = timeout(Duration::from_secs(5), body.frame()).await.expect("an event");
        frame.map(|frame| frame.unwrap().into_data().unwrap())
    };
    assert_eq!(next().await.unwrap(), "event: session\ndata: live\n\n");
    alice.post("/api/logout", &json!({})).await.assert(204);
    assert_eq!(next().await.unwrap(), "event: session\ndata: ended\n\n");
    assert_eq!(next().await, None);
}
