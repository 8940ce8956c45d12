//! The settings of nginx in the documentation, as nginx takes them.

use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use session_kit::{Policy, rustls};
use session_testbed::servers::Nginx;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::{cookie_of, sessions};
use crate::browser::text;
use crate::example::{flash, live};

const SITE: &str = "shop.example.org";

/// The `location` of the documentation, with this server behind it.
fn documented(server: std::net::SocketAddr) -> String {
    let page = include_str!("../../../src/recipes/deployment.rs");
    let from = page.find("//!     location / {").unwrap();
    let to = from + page[from..].find("//! }").unwrap();
    let location: String = page[from..to].lines().map(|line| format!("{}\n", line.trim_start_matches("//!"))).collect();
    assert!(location.contains("http://127.0.0.1:3000"), "{location}");
    location.replace("127.0.0.1:3000", &server.to_string())
}

async fn connect(nginx: &Nginx) -> TlsStream<TcpStream> {
    let pem = std::fs::read(nginx.folder().join("certificate.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(nginx.address()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(SITE.try_into().unwrap(), stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_gets_what_it_needs_through_nginx() {
    let (sessions, _) = sessions(Policy::standard());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = documented(listener.local_addr().unwrap());
    let app = live::app(sessions.clone()).merge(flash::app(sessions.clone()));
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let nginx = Nginx::launch(&[(SITE, &location)]).await.unwrap();

    // A form of a browser that says no more than `Origin`.
    let post = async |origin: &str| {
        let mut stream = connect(&nginx).await;
        let head = format!("POST / HTTP/1.1\r\nhost: {SITE}\r\norigin: {origin}\r\nconnection: close\r\n");
        let body = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 11\r\n\r\npage_size=2";
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        text(&answer)
    };
    assert_eq!(post("https://shop.example.org").await, "HTTP/1.1 303");
    assert_eq!(post("https://evil.example").await, "HTTP/1.1 403");

    // A WebSocket, whose handshake never says more.
    let cookie = cookie_of(&sessions, "alice").await;
    let open = async |origin: &str| {
        let mut request = format!("wss://{SITE}/socket").into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        client_async(request, connect(&nginx).await).await
    };
    assert!(open("https://evil.example").await.is_err());
    let (mut socket, _) = open("https://shop.example.org").await.unwrap();
    socket.send(Message::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "1: hi");
    server.abort();
}
