//! [`Proxy`]: a TCP proxy that misbehaves on demand, and counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a [`Proxy`] does with all its connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards.
    Pass,
    /// Delays every request by this much.
    Delay(Duration),
    /// Closes all connections, and new ones as soon as they are accepted.
    Cut,
    /// Forwards this many bytes of the reply to a request, and closes the connection instead of sending the next one.
    /// With 0, the request takes effect and its reply is lost.
    CutReply(usize),
    /// Forwards this many bytes of the reply to a request. Then the connection stays open and silent.
    Truncate(usize),
    /// Accepts connections and forwards nothing. Another mode forwards what was held back.
    BlackHole,
    /// Closes the direction to the client for good: it reads the end of the stream; its requests still take effect.
    HalfClose,
}

/// A TCP proxy in front of a server, in the runtime that started it. Dropping it closes its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Aborted when dropped.
    _acceptor: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: watch::Sender<State>,
    connections: AtomicU64,
    round_trips: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// The mode after one reply was cut.
    then: Option<Mode>,
    /// How often all connections were cut. A connection that has seen a lower number must close.
    cuts: u64,
}

impl Proxy {
    /// Starts a proxy in front of the server at `upstream`, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            state: watch::Sender::new(State { mode: Mode::Pass, then: None, cuts: 0 }),
            connections: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
        });
        let mut acceptor = JoinSet::new();
        let serving = Arc::clone(&shared);
        acceptor.spawn(accept(listener, move |client| {
            serving.connections.fetch_add(1, Ordering::SeqCst);
            Connection::run(client, Arc::clone(&serving))
        }));
        Ok(Self { address, shared, _acceptor: acceptor })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the mode. [`Mode::Cut`] closes all connections even if another mode follows at once.
    pub fn set(&self, mode: Mode) {
        self.shared.state.send_modify(|state| {
            state.mode = mode;
            state.then = None;
            state.cuts += u64::from(mode == Mode::Cut);
        });
    }

    /// Cuts the next reply that is longer than `bytes`, as [`Mode::CutReply`] does. Then sets mode `then`, before the
    /// client notices: it applies to its next connection.
    pub fn cut_one_reply(&self, bytes: usize, then: Mode) {
        self.shared.state.send_modify(|state| {
            state.mode = Mode::CutReply(bytes);
            state.then = Some(then);
        });
    }

    /// Waits until the reply was cut that [`cut_one_reply`](Self::cut_one_reply) waits for: what it is a reply to may be seen
    /// at the server before.
    ///
    /// # Panics
    /// If there is none for a minute.
    pub async fn reply_cut(&self) {
        let mut state = self.shared.state.subscribe();
        let cut = state.wait_for(|state| state.then.is_none());
        assert!(tokio::time::timeout(Duration::from_secs(60), cut).await.is_ok(), "there was no reply to cut");
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many round trips have started so far, each with the first bytes of a client or its first bytes after a reply.
    /// Pipelined requests count as one, as on the wire.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::SeqCst)
    }
}

/// Serves each connection in a task of its own. They end with this one.
pub(crate) async fn accept<F>(listener: TcpListener, mut serve: impl FnMut(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    // Aborts them all when this task is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error concerns this connection only.
                if let Ok((client, _)) = accepted {
                    connections.spawn(serve(client));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: which side sent last, and how much.
struct Connection {
    shared: Arc<Shared>,
    /// Whether the next bytes of the client start a new request.
    replied: AtomicBool,
    /// How many bytes the server has sent in reply to the last request.
    reply: AtomicUsize,
    /// Whether a reply was truncated.
    silent: AtomicBool,
}

impl Connection {
    async fn run(client: TcpStream, shared: Arc<Shared>) {
        let mut state = shared.state.subscribe();
        let cuts = state.borrow().cuts;
        let this = Self {
            shared: Arc::clone(&shared),
            replied: AtomicBool::new(true),
            reply: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
        };
        tokio::select! {
            // An error of either side closes both.
            _ = this.forward(client) => {}
            _ = state.wait_for(|state| state.mode == Mode::Cut || state.cuts != cuts) => {}
        }
    }

    async fn forward(&self, client: TcpStream) -> io::Result<()> {
        self.passable().await?;
        let server = TcpStream::connect(self.shared.upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(self.requests(from_client, to_server), self.replies(from_server, to_client))?;
        Ok(())
    }

    /// Waits while nothing is forwarded. Fails if all connections are cut.
    async fn passable(&self) -> io::Result<Mode> {
        let mut state = self.shared.state.subscribe();
        let mode = state.wait_for(|state| state.mode != Mode::BlackHole).await.map_err(io::Error::other)?.mode;
        // Also where this task was under way when the mode was set: nothing passes after a cut.
        if mode == Mode::Cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(mode) }
    }

    async fn requests(&self, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = client.read(&mut buffer).await?;
            if size == 0 {
                return server.shutdown().await;
            }
            if self.replied.swap(false, Ordering::SeqCst) {
                self.reply.store(0, Ordering::SeqCst);
                self.shared.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            if let Mode::Delay(time) = self.passable().await? {
                tokio::time::sleep(time).await;
            }
            if !self.silent.load(Ordering::SeqCst) {
                server.write_all(&buffer[..size]).await?;
            }
        }
    }

    async fn replies(&self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) -> io::Result<()> {
        let mut state = self.shared.state.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = tokio::select! {
                size = server.read(&mut buffer) => Some(size?),
                half_close = state.wait_for(|state| state.mode == Mode::HalfClose) => half_close.is_err().then_some(0),
            };
            let Some(size) = size else {
                client.shutdown().await?;
                // Discards the remaining replies.
                return tokio::io::copy(&mut server, &mut tokio::io::sink()).await.map(drop);
            };
            if size == 0 {
                return client.shutdown().await;
            }
            let before = self.reply.fetch_add(size, Ordering::SeqCst);
            // Before the reply is forwarded: the client may send its next request at once.
            self.replied.store(true, Ordering::SeqCst);
            let mode = self.passable().await?;
            if self.silent.load(Ordering::SeqCst) {
                continue;
            }
            let allowed = match mode {
                Mode::CutReply(limit) | Mode::Truncate(limit) => limit.saturating_sub(before).min(size),
                Mode::Pass | Mode::Delay(_) | Mode::Cut | Mode::BlackHole | Mode::HalfClose => size,
            };
            client.write_all(&buffer[..allowed]).await?;
            if allowed < size {
                if !matches!(mode, Mode::Truncate(_)) {
                    self.shared.state.send_modify(|state| state.mode = state.then.take().unwrap_or(state.mode));
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                self.silent.store(true, Ordering::SeqCst);
            }
        }
    }
}
