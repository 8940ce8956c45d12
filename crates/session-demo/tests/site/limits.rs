//! Clients that send too much, or too slowly.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::program::HAS_PAGES;
use crate::support::Demo;

/// The pause is a minute, which no client gets to see.
#[tokio::test]
async fn a_large_body_is_refused_before_any_pause() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    let large = || vec![b'1'; 64 * 1024 + 1];
    for (method, path) in [
        ("PUT", "/api/data/a?delay_ms=60000"),
        ("POST", "/api/counter/a?delay_ms=60000"),
        ("POST", "/api/login"),
        ("POST", if HAS_PAGES { "/count" } else { "/api/logout" }),
    ] {
        let chunked = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(large()))]));
        for body in [Body::from(large()), chunked] {
            let answer = timeout(Duration::from_secs(10), browser.send(method, path, &[], body)).await;
            let answer = answer.expect("no pause");
            answer.assert(413);
            assert_eq!(answer.json()["error"], "body_too_large");
        }
    }
    browser.send("PUT", "/api/data/a", &[], format!("\"{}\"", "x".repeat(2000))).await.assert(204);
}

/// Bodies and heads that never end, all at once, so that it takes no longer than one.
#[tokio::test]
async fn slow_clients_are_cut_off() {
    let demo = Demo::start(&[]);
    let address = demo.base.strip_prefix("http://").unwrap().to_owned();
    let slow = [
        ("", ""),
        ("POST /api/login HTTP/1.1\r\nHost: x\r\n", "A: b\r\n"),
        ("POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "{"),
        ("PUT /api/data/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n1\r\n"),
    ];
    let began = Instant::now();
    let clients = slow.map(|(head, again)| {
        let address = address.clone();
        tokio::spawn(async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(head.as_bytes()).await.unwrap();
            let (mut read, mut write) = connection.into_split();
            let drip = async {
                while write.write_all(again.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                std::future::pending::<()>().await;
            };
            let mut answer = Vec::new();
            tokio::select! {
                // A reset is an end, too.
                _ = read.read_to_end(&mut answer) => {}
                () = drip => {}
            }
        })
    });
    for client in clients {
        timeout(Duration::from_secs(60), client).await.expect("the end of the connection").unwrap();
    }
    assert!(began.elapsed() > Duration::from_secs(20), "an honest client on a slow line was cut off");
}
