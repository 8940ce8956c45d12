//! The Lua scripts, and how they are called.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value};

/// A script that the server keeps under the SHA-1 of its text.
pub(crate) struct Script {
    text: &'static str,
    sha1: LazyLock<String>,
}

/// The scripts. `allow-oom`: a session can be ended, and its activity recorded, when the memory of the server is used
/// up.
macro_rules! scripts {
    ($($name:ident = $flags:literal $($file:literal)+;)+) => {$(
        pub(crate) static $name: Script = {
            const TEXT: &str = concat!("#!lua", $flags, "\n", $(include_str!($file)),+);
            Script { text: TEXT, sha1: LazyLock::new(|| redis::Script::new(TEXT).get_hash().to_owned()) }
        };
    )+};
}

scripts! {
    CREATE = "" "lua/alive.lua" "lua/live.lua" "lua/index.lua" "lua/create.lua";
    UPDATE = "" "lua/alive.lua" "lua/index.lua" "lua/settle.lua" "lua/update.lua";
    TOUCH = " flags=allow-oom" "lua/alive.lua" "lua/live.lua" "lua/index.lua" "lua/settle.lua" "lua/touch.lua";
    DELETE = " flags=allow-oom" "lua/delete.lua";
    RETIRE = " flags=allow-oom" "lua/alive.lua" "lua/live.lua" "lua/retire.lua";
    LIST = " flags=no-writes" "lua/members.lua" "lua/list.lua";
    DELETE_BY_USER = " flags=allow-oom" "lua/members.lua" "lua/delete_by_user.lua";
}

/// Writes one key, so that `WAIT` after it waits for everything before it. Without it, the repetition of a write that
/// was applied would write nothing, and since Redis 7.2 `WAIT` then has nothing to wait for.
const FENCE: &str = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '', 'PX', 1000)";

/// What is sent to the server in one round trip.
pub(crate) enum Request {
    /// `GET` of a key.
    Get(Vec<u8>),
    /// `MGET` of several, on one server.
    GetMany(Vec<Vec<u8>>),
    /// A script, with all keys it may use.
    Call { script: &'static Script, keys: Vec<Vec<u8>>, args: Vec<Vec<u8>> },
}

/// A write that counts only once replicas have it.
pub(crate) struct Wait {
    pub(crate) replicas: u32,
    pub(crate) millis: u64,
    pub(crate) fence: Vec<u8>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) value: Value,
    /// Whether as many replicas as asked for have confirmed it in time.
    pub(crate) confirmed: bool,
}

impl Request {
    /// Sends the request. One round trip; a second one if the server does not know the script yet.
    pub(crate) async fn send(&self, conn: &mut impl ConnectionLike, wait: Option<&Wait>) -> RedisResult<Reply> {
        match self.send_once(conn, wait, false).await {
            // To the same node, which knows it from then on: after a restart, a failover, SCRIPT FLUSH.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send_once(conn, wait, true).await
            }
            outcome => outcome,
        }
    }

    async fn send_once(&self, conn: &mut impl ConnectionLike, wait: Option<&Wait>, text: bool) -> RedisResult<Reply> {
        let command = self.command(text);
        let Some(wait) = wait else {
            return Ok(Reply { value: command.query_async(conn).await?, confirmed: true });
        };
        let mut pipeline = Pipeline::with_capacity(3);
        pipeline.add_command(command);
        pipeline.cmd("EVAL").arg(FENCE).arg(1).arg(&wait.fence).ignore();
        pipeline.cmd("WAIT").arg(wait.replicas).arg(wait.millis);
        let (value, replicas): (Value, u32) = pipeline.query_async(conn).await?;
        Ok(Reply { value, confirmed: replicas >= wait.replicas })
    }

    fn command(&self, text: bool) -> Cmd {
        match self {
            Self::Get(key) => {
                let mut command = redis::cmd("GET");
                command.arg(key);
                command
            }
            Self::GetMany(keys) => {
                let mut command = redis::cmd("MGET");
                command.arg(keys);
                command
            }
            Self::Call { script, keys, args } => {
                let mut command = redis::cmd(if text { "EVAL" } else { "EVALSHA" });
                command.arg(if text { script.text } else { script.sha1.as_str() });
                command.arg(keys.len()).arg(keys).arg(args);
                command
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use session_core::store::layout;

    use crate::key;

    const ALIVE: &str = include_str!("lua/alive.lua");
    const LIVE: &str = include_str!("lua/live.lua");
    const INDEX: &str = include_str!("lua/index.lua");
    const SETTLE: &str = include_str!("lua/settle.lua");
    const CREATE: &str = include_str!("lua/create.lua");
    const TOUCH: &str = include_str!("lua/touch.lua");
    const UPDATE: &str = include_str!("lua/update.lua");
    const DELETE: &str = include_str!("lua/delete.lua");

    /// The scripts cannot import core's constants; this fails when core moves a field.
    #[test]
    fn the_scripts_and_core_agree_on_the_layout() {
        assert_eq!(layout::FORMAT, 0);
        assert_eq!(layout::VERSION, 1..13);
        assert_eq!(layout::CREATED_AT, 13..19);
        assert_eq!(layout::LAST_SEEN, 19..25);
        assert_eq!(layout::IDLE, 25..30);
        assert_eq!(layout::ABSOLUTE, 30..35);
        assert_eq!((layout::HEADER, layout::OWNER), (35, 35));
        let slack = format!("SLACK = {} ", key::SLACK.as_millis());
        let sources = [
            (LIVE, "'GETRANGE', key, 0, 34)"),
            (LIVE, "#h < 35"),
            (ALIVE, "'>i6i6I5I5', h, 14)"),
            (INDEX, &slack),
            (SETTLE, "'>i6i6I5I5', h, 14)"),
            (SETTLE, "sub(h, 14, 25)"),
            (CREATE, "sub(stored, 2, 13) == sub(ARGV[1], 2, 13)"),
            (TOUCH, "'SETRANGE', KEYS[1], 19, ARGV[1])"),
            (TOUCH, "sub(stored, 1, 19) .. ARGV[1] .. sub(stored, 26)"),
            (UPDATE, "#stored >= 35"),
            (UPDATE, "sub(stored, 2, 13) == ARGV[3]"),
            (UPDATE, "sub(value, 1, 19) .. sub(stored, 20, 25) .. sub(value, 26)"),
            (DELETE, "'GETRANGE', KEYS[1], 35, 34 + #ARGV[1])"),
        ];
        for (source, expected) in sources {
            assert!(source.contains(expected), "no script has {expected}");
        }
    }
}
