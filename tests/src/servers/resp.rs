//! Commands that set up Redis servers and query their state.

use std::net::SocketAddr;
use std::time::Duration;

use redis::{Client, RedisResult, Value};

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

impl From<Value> for Reply {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are of RESP3, which is not asked for")]
    fn from(value: Value) -> Self {
        match value {
            Value::SimpleString(text) => Self::Text(text),
            Value::Okay => Self::Text("OK".to_owned()),
            Value::BulkString(bytes) => Self::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Value::Int(number) => Self::Number(number),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            _ => Self::Nothing,
        }
    }
}

/// Sends one command over a connection of its own.
pub(super) fn command(address: SocketAddr, arguments: &[&str]) -> RedisResult<Reply> {
    let client = Client::open(format!("redis://{address}"))?;
    let mut connection = client.get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let mut command = redis::Cmd::new();
    command.arg(arguments);
    command.query::<Value>(&mut connection).map(Reply::from)
}

/// Whether the server answers.
pub(super) fn ping(address: SocketAddr) -> Result<(), String> {
    command(address, &["PING"]).map(drop).map_err(|error| error.to_string())
}
