//! A TCP proxy that loses replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub struct Proxy {
    pub port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<AtomicBool>,
}

impl Proxy {
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicBool::new(true));
        let proxy = Self { port, cut: Arc::clone(&cut), open: Arc::clone(&open) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                while !open.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::spawn(serve(client, to, Arc::clone(&cut)));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Cuts a connection in the middle of the next reply that comes through, but lets it be opened first.
    pub fn cut_next_reply(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Whether new connections get through.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }
}

async fn serve(mut client: TcpStream, to: u16, cut: Arc<AtomicBool>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let mut replies = 0;
    let (mut from_client, mut from_server) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(length @ 1..) if server.write_all(&from_client[..length]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(length @ 1..) => {
                    replies += 1;
                    if replies > 2 && cut.swap(false, Ordering::SeqCst) {
                        let _ = client.write_all(&from_server[..length / 2]).await;
                        return;
                    }
                    if client.write_all(&from_server[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
