//! [`Network`]: what is between some nodes and the servers, connection by connection.
//!
//! Unlike [`Proxy`](crate::proxy::Proxy) it knows which connections are those of feeds, stops one direction, resets, and stays in
//! between when servers tell each other's addresses.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::proxy::accept;

/// Which connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those on which servers tell of changes.
    Feeds,
    /// All of them.
    All,
}

/// What happens to what is sent. What is held back arrives when it passes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It arrives.
    Pass,
    /// Nothing arrives.
    HoldAll,
    /// What servers send does not.
    HoldReplies,
    /// What nodes send does not.
    HoldRequests,
    /// The connection is reset, and new ones are.
    Cut,
}

/// One connection through it to each server that a node can know.
#[derive(Debug)]
pub(super) struct Network {
    wires: Vec<Wire>,
}

#[derive(Debug)]
struct Wire {
    server: SocketAddr,
    here: SocketAddr,
    shared: Arc<Shared>,
    /// Aborted when dropped.
    _acceptor: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    /// The ports of the servers, and ours in front of them.
    ports: Arc<Vec<(String, String)>>,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
struct State {
    feeds: Way,
    others: Way,
    /// How often connections of feeds were reset, and others.
    resets: [u64; 2],
}

impl Network {
    /// In front of `servers`. If they tell clients of each other, they are to be found through it as well (`in_between`).
    pub(super) async fn start(servers: &[SocketAddr], in_between: bool) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for server in servers {
            listeners.push((*server, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?));
        }
        let mut ports = Vec::new();
        for (server, listener) in listeners.iter().filter(|_| in_between) {
            ports.push((server.port().to_string(), listener.local_addr()?.port().to_string()));
        }
        let ports = Arc::new(ports);
        let mut wires = Vec::new();
        for (server, listener) in listeners {
            let here = listener.local_addr()?;
            let state = State { feeds: Way::Pass, others: Way::Pass, resets: [0; 2] };
            let shared = Arc::new(Shared { server, ports: Arc::clone(&ports), state: watch::Sender::new(state) });
            let mut acceptor = JoinSet::new();
            let serving = Arc::clone(&shared);
            acceptor.spawn(accept(listener, move |client| Connection::run(client, Arc::clone(&serving))));
            wires.push(Wire { server, here, shared, _acceptor: acceptor });
        }
        Ok(Self { wires })
    }

    /// The URL of a store, through it.
    pub(super) fn url(&self, url: &str) -> String {
        let through = |url: String, wire: &Wire| url.replace(&wire.server.to_string(), &wire.here.to_string());
        self.wires.iter().fold(url.to_owned(), through)
    }

    /// What happens to connections, old and new, to all servers.
    pub(super) fn set(&self, which: Which, way: Way) {
        self.wires.iter().for_each(|wire| wire.set(which, way));
    }

    /// The same, to one server.
    pub(super) fn set_to(&self, server: SocketAddr, way: Way) {
        self.wires.iter().filter(|wire| wire.server == server).for_each(|wire| wire.set(Which::All, way));
    }

    /// Resets connections, once. What was held back is gone.
    pub(super) fn reset(&self, which: Which) {
        for wire in &self.wires {
            wire.shared.state.send_modify(|state| {
                state.resets[0] += 1;
                state.resets[1] += u64::from(which == Which::All);
            });
        }
    }
}

impl Wire {
    fn set(&self, which: Which, way: Way) {
        self.shared.state.send_modify(|state| {
            state.feeds = way;
            if which == Which::All {
                state.others = way;
            }
        });
    }
}

struct Connection {
    shared: Arc<Shared>,
    is_feed: AtomicBool,
    /// When it began.
    resets: [u64; 2],
}

impl Connection {
    async fn run(mut client: TcpStream, shared: Arc<Shared>) {
        let mut state = shared.state.subscribe();
        let resets = state.borrow().resets;
        let this = Self { shared: Arc::clone(&shared), is_feed: AtomicBool::new(false), resets };
        let ended = match TcpStream::connect(shared.server).await {
            Ok(mut server) => {
                let forwarded = tokio::select! {
                    forwarded = this.forward(&mut client, &mut server) => forwarded,
                    _ = state.wait_for(|state| this.is_cut(state)) => Err(ErrorKind::ConnectionReset.into()),
                };
                if forwarded.is_err() {
                    let _ = server.set_zero_linger();
                }
                forwarded
            }
            Err(error) => Err(error),
        };
        if ended.is_err() {
            let _ = client.set_zero_linger();
        }
    }

    async fn forward(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(self.requests(from_client, to_server), self.replies(from_server, to_client))?;
        Ok(())
    }

    async fn requests(&self, mut client: ReadHalf<'_>, mut server: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = client.read(&mut buffer).await?;
            if size == 0 {
                return server.shutdown().await;
            }
            let sent = &buffer[..size];
            if [&b"SUBSCRIBE"[..], b"TRACKING", b"LISTEN "].iter().any(|begin| contains(sent, begin)) {
                self.is_feed.store(true, Ordering::SeqCst);
            }
            self.passable(Way::HoldRequests).await?;
            server.write_all(sent).await?;
        }
    }

    async fn replies(&self, mut server: ReadHalf<'_>, mut client: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = server.read(&mut buffer).await?;
            if size == 0 {
                return client.shutdown().await;
            }
            let sent = &mut buffer[..size];
            rewrite(sent, &self.shared.ports);
            self.passable(Way::HoldReplies).await?;
            client.write_all(sent).await?;
        }
    }

    /// Waits while this direction is held back. Fails if the connection is cut.
    async fn passable(&self, direction: Way) -> io::Result<()> {
        let mut state = self.shared.state.subscribe();
        let held = |state: &State| [Way::HoldAll, direction].contains(&self.way(state));
        let is_cut = {
            let state = state.wait_for(|state| self.is_cut(state) || !held(state)).await.map_err(io::Error::other)?;
            self.is_cut(&state)
        };
        if is_cut { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn way(&self, state: &State) -> Way {
        if self.is_feed.load(Ordering::SeqCst) { state.feeds } else { state.others }
    }

    fn is_cut(&self, state: &State) -> bool {
        let kind = usize::from(!self.is_feed.load(Ordering::SeqCst));
        self.way(state) == Way::Cut || state.resets[kind] != self.resets[kind]
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Replaces ports in what a server says of others. All of them have five digits, so that nothing is shifted.
fn rewrite(bytes: &mut [u8], ports: &[(String, String)]) {
    if ports.is_empty() {
        return;
    }
    // Whole numbers: five digits of a longer one are no port.
    for number in bytes.chunk_by_mut(|one, next| one.is_ascii_digit() == next.is_ascii_digit()) {
        if let Some((_, here)) = ports.iter().find(|(port, here)| port.as_bytes() == number && port.len() == here.len())
        {
            number.copy_from_slice(here.as_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Network, Way, Which, rewrite};

    #[test]
    fn only_whole_numbers_are_ports() {
        let ports = [("12345".to_owned(), "40000".to_owned())];
        let mut reply = b"*2\r\n$5\r\n12345\r\n:12345\r\n123456 a12345b 127.0.0.1:12345".to_vec();
        rewrite(&mut reply, &ports);
        assert_eq!(reply, b"*2\r\n$5\r\n40000\r\n:40000\r\n123456 a40000b 127.0.0.1:40000");
    }

    /// A server that sends everything back, what it got so far, and a connection to it through a network.
    async fn echo() -> (Network, Arc<Mutex<Vec<u8>>>, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let network = Network::start(&[listener.local_addr().unwrap()], false).await.unwrap();
        let got = Arc::<Mutex<Vec<u8>>>::default();
        let all = Arc::clone(&got);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut buffer = [0; 100];
                    while let Ok(size @ 1..) = stream.read(&mut buffer).await {
                        all.lock().unwrap().extend(&buffer[..size]);
                        let _ = stream.write_all(&buffer[..size]).await;
                    }
                });
            }
        });
        let stream = TcpStream::connect(network.wires[0].here).await.unwrap();
        (network, got, stream)
    }

    async fn round_trip(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
        stream.write_all(text).await?;
        let mut read = vec![0; text.len()];
        stream.read_exact(&mut read).await?;
        assert_eq!(read, text);
        Ok(())
    }

    #[tokio::test]
    async fn feeds_are_cut_and_others_are_not() {
        let (network, _, mut other) = echo().await;
        let mut feed = TcpStream::connect(network.wires[0].here).await.unwrap();
        round_trip(&mut feed, b"LISTEN shop").await.unwrap();
        round_trip(&mut other, b"hello").await.unwrap();
        network.reset(Which::Feeds);
        assert_eq!(round_trip(&mut feed, b"again").await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        round_trip(&mut other, b"again").await.unwrap();
        network.reset(Which::All);
        assert!(round_trip(&mut other, b"and again").await.is_err());
        network.set(Which::Feeds, Way::Cut);
        let mut feed = TcpStream::connect(network.wires[0].here).await.unwrap();
        assert!(round_trip(&mut feed, b"SUBSCRIBE shop").await.is_err());
    }

    #[tokio::test]
    async fn what_is_held_back_arrives_later() {
        for way in [Way::HoldAll, Way::HoldReplies, Way::HoldRequests] {
            let (network, _, mut stream) = echo().await;
            network.set(Which::All, way);
            stream.write_all(b"held back").await.unwrap();
            let mut read = [0; 9];
            let silent = tokio::time::timeout(std::time::Duration::from_millis(100), stream.read(&mut read)).await;
            assert!(silent.is_err(), "{way:?}");
            network.set(Which::All, Way::Pass);
            stream.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"held back");
        }
    }
}
