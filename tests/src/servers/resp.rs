//! As much of the Redis protocol as it takes to set up servers and query their state.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// An answer of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple or a bulk string, with invalid UTF-8 replaced.
    Text(String),
    /// An integer.
    Number(i64),
    /// An array.
    List(Vec<Self>),
    /// Null.
    Nothing,
}

impl Reply {
    /// The text; empty for another kind of answer.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(_) | Self::List(_) | Self::Nothing => "",
        }
    }

    /// The number, even if it was sent as text.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(number) => Some(*number),
            Self::List(_) | Self::Nothing => None,
        }
    }

    /// The elements of an array; empty for another kind of answer.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            Self::Text(_) | Self::Number(_) | Self::Nothing => &[],
        }
    }
}

/// Sends one command over a connection of its own.
pub(super) fn command(address: SocketAddr, arguments: &[&str]) -> Result<Reply, String> {
    exchange(address, arguments).unwrap_or_else(|error| Err(error.to_string()))
}

/// Whether the server answers.
pub(super) fn ping(address: SocketAddr) -> Result<(), String> {
    match command(address, &["PING"])?.text() {
        "PONG" => Ok(()),
        other => Err(format!("it answers {other:?} to PING")),
    }
}

fn exchange(address: SocketAddr, arguments: &[&str]) -> std::io::Result<Result<Reply, String>> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
    }
    stream.write_all(request.as_bytes())?;
    read(&mut BufReader::new(stream))
}

fn read(stream: &mut impl BufRead) -> std::io::Result<Result<Reply, String>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else {
        return Ok(Err("it closed the connection".to_owned()));
    };
    let size = rest.parse::<i64>();
    Ok(Ok(match (kind, size) {
        ("+", _) => Reply::Text(rest.to_owned()),
        ("-", _) => return Ok(Err(rest.to_owned())),
        (":", Ok(number)) => Reply::Number(number),
        ("$" | "*", Ok(..0)) => Reply::Nothing,
        ("$", Ok(size)) => {
            let mut bytes = Vec::new();
            stream.take(size as u64 + 2).read_to_end(&mut bytes)?;
            bytes.truncate(size as usize);
            Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        ("*", Ok(size)) => {
            let mut items = Vec::new();
            for _ in 0..size {
                match read(stream)? {
                    Ok(item) => items.push(item),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Reply::List(items)
        }
        _ => return Ok(Err(format!("not understood: {line}"))),
    }))
}
