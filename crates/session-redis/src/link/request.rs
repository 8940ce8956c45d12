//! What is sent in one round trip, and what comes back.

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value};

use crate::script::Script;

/// Writes one key, so that `WAIT` after it waits for everything before it. Without it, the repetition of a write that
/// was applied would write nothing, and since Redis 7.2 `WAIT` then has nothing to wait for.
const FENCE: &str = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '', 'PX', 1000)";

/// What is sent to the server in one round trip. Every request is idempotent.
pub(super) enum Request {
    /// `GET` of a key.
    Get(Vec<u8>),
    /// `MGET` of several keys, on one server.
    GetMany(Vec<Vec<u8>>),
    /// A script, with all keys it uses.
    Script { script: &'static Script, keys: Vec<Vec<u8>>, args: Vec<Vec<u8>> },
}

/// A write that counts only once replicas have it.
pub(super) struct Wait {
    pub(super) replicas: u32,
    pub(super) millis: u64,
}

/// What came back.
pub(super) struct Reply {
    pub(super) value: Value,
    /// Whether as many replicas as asked for have confirmed it in time.
    pub(super) confirmed: bool,
}

/// How a script is named.
#[derive(Clone, Copy)]
enum By {
    Sha1,
    Text,
}

impl Request {
    /// Sends the request. One round trip; a second one if the server does not have the script yet.
    pub(super) async fn send(&self, conn: &mut impl ConnectionLike, wait: Option<&Wait>) -> RedisResult<Reply> {
        match self.send_once(conn, wait, By::Sha1).await {
            // After a restart, a failover or SCRIPT FLUSH. EVAL loads the script on this node.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send_once(conn, wait, By::Text).await
            }
            outcome => outcome,
        }
    }

    async fn send_once(&self, conn: &mut impl ConnectionLike, wait: Option<&Wait>, by: By) -> RedisResult<Reply> {
        let command = self.command(by);
        let Some(wait) = wait else {
            return Ok(Reply { value: command.query_async(conn).await?, confirmed: true });
        };
        let mut pipeline = Pipeline::with_capacity(3);
        pipeline.add_command(command);
        pipeline.cmd("EVAL").arg(FENCE).arg(1).arg(self.fence()).ignore();
        pipeline.cmd("WAIT").arg(wait.replicas).arg(wait.millis);
        let (value, replicas): (Value, u32) = pipeline.query_async(conn).await?;
        Ok(Reply { value, confirmed: replicas >= wait.replicas })
    }

    /// The key of [`FENCE`], `{prefix:shard}:w`: in the slot of this request.
    fn fence(&self) -> Vec<u8> {
        let key = match self {
            Self::Get(key) => Some(key),
            Self::GetMany(keys) | Self::Script { keys, .. } => keys.first(),
        };
        let hash_tag = key.into_iter().flatten().copied().take_while(|byte| *byte != b'}');
        hash_tag.chain(*b"}:w").collect()
    }

    fn command(&self, by: By) -> Cmd {
        let mut command;
        match self {
            Self::Get(key) => {
                command = redis::cmd("GET");
                command.arg(key);
            }
            Self::GetMany(keys) => {
                command = redis::cmd("MGET");
                command.arg(keys);
            }
            Self::Script { script, keys, args } => {
                let (name, body) = match by {
                    By::Sha1 => ("EVALSHA", script.sha1.as_str()),
                    By::Text => ("EVAL", script.text),
                };
                command = redis::cmd(name);
                command.arg(body).arg(keys.len()).arg(keys).arg(args);
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_in_the_slot_of_the_request() {
        for key in ["{shop:0a0a}:s:CgoKCgoKCgoKCgoKCgoKCg", "{shop:0a0a}:u:}alice{", "{shop:0a0a}:u:"] {
            assert_eq!(Request::Get(key.into()).fence(), b"{shop:0a0a}:w");
            assert_eq!(Request::GetMany(vec![key.into()]).fence(), b"{shop:0a0a}:w");
        }
    }
}
