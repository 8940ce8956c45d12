//! What is particular to actix-web: connections, methods, bodies, frames.

use std::time::Duration;

use axum::body::Body;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::Demo;

/// Longer than anything takes here, and shorter than what a slow client is granted.
const SOON: Duration = Duration::from_secs(20);

/// All that comes on a connection until its end. `again` is sent until then.
async fn received(demo: &Demo, head: &str, again: &str) -> String {
    let address = demo.base.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = connection.into_split();
    let drip = async {
        while write.write_all(again.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut received = Vec::new();
    let all = async {
        tokio::select! {
            // A reset is an end, too.
            _ = read.read_to_end(&mut received) => {}
            () = drip => {}
        }
    };
    timeout(SOON, all).await.expect("the end of the connection");
    String::from_utf8(received).unwrap()
}

/// The time for a head is that of the first request of a connection: so there is no second one.
#[tokio::test]
async fn a_connection_is_for_one_request() {
    let demo = Demo::start(&[]);
    for method in ["GET", "HEAD"] {
        let head = format!("{method} /api/ping HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        for next in ["", "GET /api/ping HTTP/1.1\r\nHost: x\r\n"] {
            let received =
                received(&demo, &format!("{head}{next}"), if next.is_empty() { "" } else { "A: b\r\n" }).await;
            assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
            assert_eq!(received.matches("HTTP/1.1").count(), 1, "{received}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_followed_by_nothing() {
    let demo = Demo::start(&[]);
    for (path, status) in [("/api/ping", 200), ("/ws", 401), ("/nothing", 404)] {
        for (header, again) in
            [("", "x"), ("Content-Length: 1000\r\n", "x"), ("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n")]
        {
            let head =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{header}\r\n");
            let received = received(&demo, &head, again).await;
            assert!(received.starts_with(&format!("HTTP/1.1 {status} ")), "{header}: {received}");
        }
    }
}

#[tokio::test]
async fn a_large_body_is_refused_whatever_the_method() {
    let demo = Demo::start(&[]);
    for method in ["GET", "DELETE", "OPTIONS"] {
        let answer = demo.browser().send(method, "/api/ping", &[], vec![b'1'; 64 * 1024 + 1]).await;
        answer.assert_error(413, "body_too_large");
    }
}

#[tokio::test]
async fn a_compressed_body_is_no_json() {
    let demo = Demo::start(&[]);
    let gzip = [("content-encoding", "gzip")];
    let compressed = [0x1f_u8, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].as_slice();
    demo.browser().send("POST", "/api/login", &gzip, compressed).await.assert_error(400, "invalid_body");
    demo.browser().send("PUT", "/api/data/a", &gzip, "1").await.assert(204);
}

#[tokio::test]
async fn head_is_answered_like_get_and_other_methods_with_those_that_are() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    for path in ["/", "/api/ping", "/api/me", "/api/data", "/api/devices", "/api/events"] {
        let answer = timeout(SOON, alice.send("HEAD", path, &[], Body::empty())).await.expect("an answer");
        answer.assert(200);
        assert_eq!(answer.text(), "", "{path}");
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/ping", "GET, HEAD"),
        ("GET", "/api/login", "POST"),
        ("POST", "/api/data/a", "PUT, GET, HEAD, DELETE"),
        ("POST", "/ws", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ] {
        let answer = alice.send(method, path, &[], Body::empty()).await;
        answer.assert_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[tokio::test]
async fn every_answer_has_a_code_and_its_type_is_not_guessed() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("/api/nothing", 404, "not_found"),
        ("/ws", 400, "invalid_handshake"),
        ("/api/sensitive/x", 404, "not_found"),
    ] {
        let answer = alice.get(path).await;
        answer.assert_error(status, code);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let large = alice.send("PUT", "/api/data/a", &[], vec![b'1'; 64 * 1024 + 1]).await;
    for answer in [large, alice.get("/").await, alice.get("/api/me").await, demo.browser().get("/ws").await] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
}

/// In as many frames as its sender likes.
#[tokio::test]
async fn a_message_in_several_frames_counts_as_one_and_is_no_longer_than_another() {
    let demo = Demo::start(&[]);
    let alice = demo.logged_in("alice").await;
    let mut request = format!("{}/ws", demo.base.replace("http://", "ws://")).into_client_request().unwrap();
    request.headers_mut().insert("cookie", alice.cookie().unwrap().parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let frame = |code, is_last, length| Message::Frame(Frame::message(vec![b'x'; length], OpCode::Data(code), is_last));
    for (code, is_last) in [(Data::Text, false), (Data::Continue, false), (Data::Continue, true)] {
        socket.send(frame(code, is_last, 1000)).await.unwrap();
    }
    let answer = timeout(SOON, socket.next()).await.expect("an answer").unwrap().unwrap();
    assert_eq!(answer.into_text().unwrap().as_str(), "1");
    for (code, is_last) in [(Data::Text, false), (Data::Continue, true)] {
        socket.send(frame(code, is_last, 3000)).await.unwrap();
    }
    let answer = timeout(SOON, socket.next()).await.expect("the end");
    assert!(!matches!(answer, Some(Ok(Message::Text(_)))), "{answer:?}");
}
