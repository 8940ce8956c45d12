//! What all servers share: their error, unique names and ports, and waiting.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use session_core::Namespace;

/// A server, or the browser, could not be found, installed, started or queried. The message says which and why, with the
/// end of its log.
#[derive(Debug)]
pub struct ServerError(String);

impl ServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// For `map_err`: what was tried, and the error.
    pub(crate) fn of<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// A unique name: `t_` and 16 hexadecimal digits.
#[must_use]
#[allow(clippy::unwrap_used, reason = "the name is of the accepted form")]
pub fn namespace() -> Namespace {
    Namespace::new(&format!("t_{:016x}", random())).unwrap()
}

/// Different in every call, in every process.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Runs blocking work on a thread of its own, where it does not hold up the tasks of a test.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ServerError::of("the testbed failed")(error)),
    }
}

/// Retries until the attempt succeeds.
pub(super) fn wait_for<T, E: fmt::Display>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, ServerError> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(why) if start.elapsed() > limit => {
                return Err(ServerError::new(format!("{what}: not within {} s: {why}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The ports to choose from, below the ephemeral range of Linux: a client that tries to reach a stopped server could
/// otherwise be given the port of that server as its own, connect to itself, and block it.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port of 127.0.0.1 that is reserved until this value is dropped, even while nothing listens on it.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    /// The reservation, across processes and users: the UDP port of the same number, which servers do not use. It ends
    /// with this process.
    _claim: UdpSocket,
}

impl Port {
    pub(super) fn claim() -> Result<Self, ServerError> {
        let start = random();
        (0..COUNT)
            .find_map(|step| Self::claim_number(FIRST + ((start + u64::from(step)) % u64::from(COUNT)) as u16))
            .ok_or_else(|| ServerError::new("no free port on 127.0.0.1"))
    }

    fn claim_number(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: claim })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}
