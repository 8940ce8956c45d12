//! One connection of the client library; what is sent over it in one round trip, and what comes back.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, ServerErrorKind, ToRedisArgs, Value};
use session_core::store::layout;

use crate::script::{self, Script};

/// How long opening one connection to one server may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of a value is read at first, in bytes. Longer ones have a connection of their own, so that they do not hold
/// up the others.
pub(crate) const SMALL: usize = 64 * 1024;

/// What every `maxmemory-policy` but one does.
pub(crate) const EVICTION: &str = "the maxmemory-policy of Redis lets it evict live sessions, and the index that \
    revocation depends on, when its memory is full; set it to noeviction";

/// The longest value that is sent to be compared.
const COMPARED: usize = 1024;

/// A connection of either kind. Cloning is cheap, and clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn send(
        &mut self,
        request: &Request,
        compare: Compare,
        wait: Option<&Wait>,
    ) -> RedisResult<Reply> {
        match self {
            Self::Node(connection) => request.send(connection, compare, wait).await,
            Self::Cluster(connection) => {
                if let Request::OnServer { slot, .. } = request {
                    request.send(&mut ServerOf { slot: *slot, connection }, compare, wait).await
                } else {
                    request.send(connection, compare, wait).await
                }
            }
        }
    }

    /// Warns if the server is configured to evict live sessions when its memory is full. All keys have a time to live,
    /// so the `volatile-*` policies evict them just as the `allkeys-*` policies do.
    pub(super) async fn warn_about_eviction(&mut self) {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("maxmemory-policy");
        let reply: RedisResult<HashMap<String, String>> = match self {
            Self::Node(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        };
        match reply.map(|mut values| values.remove("maxmemory-policy")) {
            Ok(Some(policy)) if policy == "noeviction" => {}
            Ok(Some(policy)) => {
                tracing::warn!(policy, reason = EVICTION, "the maxmemory-policy of Redis lets it evict live sessions");
            }
            Ok(None) => tracing::debug!("Redis does not show its maxmemory-policy; it should be noeviction"),
            Err(error) => tracing::debug!(%error, "Redis does not show its maxmemory-policy; it should be noeviction"),
        }
    }
}

/// Writes one key, so that `WAIT` after it waits for everything before it. Without it, the repetition of a write that
/// was applied would write nothing, and since Redis 7.2 `WAIT` then has nothing to wait for.
const FENCE: &str = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '', 'PX', 1000)";

/// What is sent to the server in one round trip. Every request is idempotent.
pub(super) enum Request {
    /// The first [`SMALL`] bytes of a value.
    Head(Vec<u8>),
    /// The same of several keys, on one server.
    Heads(Vec<Vec<u8>>),
    /// A whole value.
    Get(Vec<u8>),
    /// Puts `new` in the place of `old`; keeps the time to live. Answers with 1 or the whole old record, or with what was found
    /// instead, or the beginning of it.
    Replace { key: Vec<u8>, old: Old, new: Bytes, channel: Option<Vec<u8>> },
    /// A script, with all keys it uses.
    Script { script: &'static Script, keys: Vec<Vec<u8>>, args: Vec<Vec<u8>> },
    /// A script about the whole primary that has this slot; outside a Cluster, about the server.
    OnServer { slot: u16, script: &'static Script, args: Vec<Vec<u8>> },
    /// Which slots the primaries of a Cluster have.
    Slots,
}

/// A record that is to be replaced.
#[derive(Clone)]
pub(crate) struct Old {
    /// What it begins with, up to its timeouts.
    pub(crate) begins: [u8; layout::ABSOLUTE.end],
    /// All of it, if that is known.
    pub(crate) whole: Option<Bytes>,
}

/// The primary that has a slot of a Cluster.
struct ServerOf<'a> {
    slot: u16,
    connection: &'a mut ClusterConnection,
}

impl ConnectionLike for ServerOf<'_> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let primary = SingleNodeRoutingInfo::SpecificNode(Route::new(self.slot, SlotAddr::Master));
        Box::pin(self.connection.route_command(cmd.clone(), RoutingInfo::SingleNode(primary)))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        // Only writes that wait for replicas are more than one command, and they are about keys.
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        0
    }
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

/// How a server compares what it has with what is to be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// The whole value, by a command that Valkey has from 8.1 on. It costs a fifth of a script.
    ByCommand,
    /// The beginning, by a script.
    ByScript,
}

/// How a script is named.
#[derive(Clone, Copy)]
enum By {
    Sha1,
    Text,
}

impl Request {
    /// Sends the request. One round trip; a second one if the server does not have the script yet.
    pub(super) async fn send(
        &self,
        conn: &mut impl ConnectionLike,
        compare: Compare,
        wait: Option<&Wait>,
    ) -> RedisResult<Reply> {
        match self.send_once(conn, compare, wait, By::Sha1).await {
            // After a restart, a failover or SCRIPT FLUSH. EVAL loads the script on this node.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send_once(conn, compare, wait, By::Text).await
            }
            outcome => outcome,
        }
    }

    /// Whether it is sent as a command that older servers do not know.
    pub(super) fn compares_by_command(&self, compare: Compare) -> bool {
        self.compared(compare).is_some()
    }

    /// What a command that older servers do not know compares with what is stored.
    fn compared(&self, compare: Compare) -> Option<&Bytes> {
        // A script tells of it in the same step.
        let Self::Replace { old, new, channel: None, .. } = self else { return None };
        let is_short = |value: &&Bytes| value.len() <= COMPARED;
        old.whole.as_ref().filter(|old| compare == Compare::ByCommand && is_short(old) && is_short(&new))
    }

    /// Whether it writes nothing.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::Head(_) | Self::Heads(_) | Self::Get(_) | Self::Slots => true,
            Self::Script { script, .. } | Self::OnServer { script, .. } => script.is_read(),
            Self::Replace { .. } => false,
        }
    }

    /// Whether what is sent is large.
    pub(super) fn is_large(&self) -> bool {
        match self {
            Self::Script { args, .. } => args.first().is_some_and(|value| value.len() > SMALL),
            Self::Replace { new, .. } => new.len() > SMALL,
            Self::Head(_) | Self::Heads(_) | Self::Get(_) | Self::OnServer { .. } | Self::Slots => false,
        }
    }

    async fn send_once(
        &self,
        conn: &mut impl ConnectionLike,
        compare: Compare,
        wait: Option<&Wait>,
        by: By,
    ) -> RedisResult<Reply> {
        let command = match self {
            Self::Heads(keys) => {
                let mut pipeline = Pipeline::with_capacity(keys.len());
                for key in keys {
                    pipeline.add_command(head(key));
                }
                let values: Vec<Value> = pipeline.ignore_errors().query_async(conn).await?;
                return Ok(Reply { value: Value::Array(values), confirmed: true });
            }
            Self::Head(key) => head(key),
            Self::Get(key) => {
                let mut command = redis::cmd("GET");
                command.arg(key);
                command
            }
            Self::Replace { key, old, new, channel } => {
                if let Some(whole) = self.compared(compare) {
                    let mut command = redis::cmd("SET");
                    command.arg(key).arg(&new[..]).arg("IFEQ").arg(&whole[..]).arg("GET").arg("KEEPTTL");
                    command
                } else {
                    let args: Vec<&[u8]> = [&new[..], &old.begins].into_iter().chain(channel.as_deref()).collect();
                    evaluate(&script::REPLACE, by, &[&key[..]], &args)
                }
            }
            Self::Script { script, keys, args } => evaluate(script, by, keys, args),
            Self::OnServer { script, args, .. } => evaluate(script, by, &[], args),
            Self::Slots => {
                let mut command = redis::cmd("CLUSTER");
                command.arg("SLOTS");
                command
            }
        };
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

    /// The key of [`FENCE`], `{namespace:shard}:w`: in the slot of this request.
    fn fence(&self) -> Vec<u8> {
        let key = match self {
            Self::Head(key) | Self::Get(key) | Self::Replace { key, .. } => Some(key),
            Self::Heads(keys) | Self::Script { keys, .. } => keys.first(),
            Self::OnServer { .. } | Self::Slots => None,
        };
        let hash_tag = key.into_iter().flatten().copied().take_while(|byte| *byte != b'}');
        hash_tag.chain(*b"}:w").collect()
    }
}

fn evaluate<T: ToRedisArgs>(script: &Script, by: By, keys: &[T], args: &[T]) -> Cmd {
    let (name, body) = match by {
        By::Sha1 => ("EVALSHA", script.sha1.as_str()),
        By::Text => ("EVAL", script.text),
    };
    let mut command = redis::cmd(name);
    command.arg(body).arg(keys.len()).arg(keys).arg(args);
    command
}

fn head(key: &[u8]) -> Cmd {
    let mut command = redis::cmd("GETRANGE");
    command.arg(key).arg(0).arg(SMALL - 1);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_in_the_slot_of_the_request() {
        for key in ["{shop:0a0a}:s:CgoKCgoKCgoKCgoKCgoKCg", "{shop:0a0a}:u:}alice{", "{shop:0a0a}:u:"] {
            assert_eq!(Request::Get(key.into()).fence(), b"{shop:0a0a}:w");
            assert_eq!(Request::Heads(vec![key.into()]).fence(), b"{shop:0a0a}:w");
        }
    }
}
