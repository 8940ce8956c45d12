//! [`Port`]: a TCP port that no other test uses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::base::{ServerError, random};

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
