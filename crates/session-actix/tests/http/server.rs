//! A server with several workers, and clients that speak to it over TCP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, rt};
use session_actix::SessionMiddleware;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything takes here, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Whether a client that has ended its side of a connection has disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfClosed {
    Allowed,
    Disconnected,
}

/// Runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// With four workers. One middleware is made, as an application does, and cloned for each.
    pub(crate) fn start(
        middleware: SessionMiddleware,
        half_closed: HalfClosed,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let (started, server) = mpsc::channel();
        let thread = thread::spawn(move || {
            rt::System::new().block_on(async move {
                let app = move || App::new().wrap(middleware.clone()).configure(routes.clone());
                let server = HttpServer::new(app).workers(4).disable_signals().shutdown_timeout(1);
                let server = server.h1_allow_half_closed(half_closed == HalfClosed::Allowed);
                let server = server.bind("127.0.0.1:0").unwrap();
                let address = server.addrs()[0];
                let running = server.run();
                started.send((address, running.handle())).unwrap();
                running.await.unwrap();
            });
        });
        let (address, handle) = server.recv().unwrap();
        Self { address, handle, thread: Some(thread) }
    }

    /// A connection that is kept, and so stays with its worker.
    pub(crate) async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(self.address).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(crate) struct Connection(TcpStream);

/// What came back.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// The cookie, as a client sends it back.
    pub(crate) fn cookie(&self) -> String {
        self.headers["set-cookie"].split(';').next().unwrap().to_owned()
    }
}

impl Connection {
    pub(crate) async fn write(&mut self, method: &str, path: &str, cookie: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\ncookie: {cookie}\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// The next bytes, until `end` has come; all there is if the connection ends first.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let read = async {
            let mut chunk = [0; 1024];
            while !text.ends_with(end) {
                match self.0.read(&mut chunk).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                }
                text.push_str(std::str::from_utf8(&chunk).unwrap().trim_end_matches('\0'));
                chunk = [0; 1024];
            }
        };
        timeout(SOON, read).await.unwrap_or_else(|_| panic!("no end"));
        text
    }

    /// A request, and its response, whose length must be known.
    pub(crate) async fn call(&mut self, method: &str, path: &str, cookie: &str) -> Received {
        self.write(method, path, cookie).await;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = timeout(SOON, self.0.read_u8()).await.expect("an answer").expect("a head");
            head.push(byte.into());
        }
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        timeout(SOON, self.0.read_exact(&mut body)).await.expect("an answer").expect("a body");
        Received { status, headers, body: String::from_utf8(body).unwrap() }
    }
}
