//! The connections of a store: repaired in the background, shared by all operations.

mod cluster;
mod coalescer;
mod connection;
mod driver;
mod failure;
mod follower;
mod open;
mod sentinel;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use redis::{ProtocolVersion, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::coalescer::{LoadCoalescer, bytes};
use self::connection::{OnConnect, ReconnectingConnection};
pub(crate) use self::driver::{EVICTION, Old};
use self::driver::{Reply, Request, SMALL, Wait};
pub(crate) use self::follower::Source;
use crate::config::target::Target;
use crate::config::url::Topology;
use crate::error::{self, Result};
use crate::script::{Answer, Script};
use session_core::store::FollowedFeed;

/// How many slots a Cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// How many large values are under way at once.
const LARGE_AT_ONCE: usize = 2;

/// What [`replace`](Link::replace) came to.
pub(crate) enum Replaced {
    Done,
    /// The record is another, or gone: this is there, or begins like this.
    Found(Vec<u8>),
    /// Nothing was done, and nothing is known.
    Unknown,
}

/// How requests are sent to the servers of a store.
pub(crate) struct Link {
    time_limit: Duration,
    connection: Arc<ReconnectingConnection>,
    loads: Arc<LoadCoalescer>,
    /// For large values, which would hold up the others: opened when the first is met.
    large: OnceLock<ReconnectingConnection>,
    /// They are sent a few at a time, so that some arrive in time rather than all too late.
    large_at_once: Semaphore,
    target: Target,
    /// The runtime that the store was opened in: that of a caller may end at any time.
    runtime: Handle,
    /// For writes that wait for replicas. `WAIT` blocks the connection it is sent on, so these have one of their own.
    replicated: Option<(ReconnectingConnection, NonZeroU32)>,
}

impl Link {
    /// Starts to connect, in `runtime`.
    pub(crate) fn open(target: Target, time_limit: Duration, replicas: Option<NonZeroU32>, runtime: Handle) -> Self {
        let open = |on_connect| {
            ReconnectingConnection::open(target.clone(), response_timeout(time_limit), on_connect, &runtime)
        };
        let replicated = replicas.map(|replicas| (open(OnConnect::Nothing), replicas));
        let connection = Arc::new(open(OnConnect::CheckEviction));
        let loads = LoadCoalescer::new(Arc::clone(&connection), runtime.clone());
        let (large, large_at_once) = (OnceLock::new(), Semaphore::new(LARGE_AT_ONCE));
        Self { time_limit, connection, loads, large, large_at_once, target, runtime, replicated }
    }

    /// Waits until there is a connection, or the first attempt to connect failed.
    pub(crate) async fn ready(&self) -> Result<()> {
        let ready = async {
            if let Some((connection, _)) = &self.replicated {
                connection.ready().await?;
            }
            self.connection.ready().await
        };
        self.in_time(ready).await
    }

    /// The time limit of an operation, which includes the wait for a connection.
    pub(crate) async fn in_time<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.time_limit, operation).await.unwrap_or_else(|_| Err(error::timed_out()))
    }

    /// Whether the servers are a Cluster: one command cannot use keys of two slots.
    pub(crate) fn is_cluster(&self) -> bool {
        self.connection.is_cluster()
    }

    /// Reads a value, alone or together with others; empty if there is none. One round trip; two if it is large.
    pub(crate) async fn load(&self, key: Vec<u8>) -> Result<Vec<u8>> {
        let head = self.loads.load(key.clone()).await?;
        if head.len() < SMALL { Ok(head) } else { bytes(self.send_large(&Request::Get(key)).await?.value) }
    }

    /// Where tasks go on that must not end with the runtime of their caller.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs a script whose effect a failover may undo. One round trip.
    pub(crate) async fn run(&self, script: &'static Script, keys: Vec<Vec<u8>>, args: Vec<Vec<u8>>) -> Result<Answer> {
        self.send(&Request::Script { script, keys, args }).await
    }

    async fn send(&self, request: &Request) -> Result<Answer> {
        let reply =
            if request.is_large() { self.send_large(request).await } else { self.connection.send(request, None).await };
        Ok(Answer::new(reply?.value))
    }

    /// Runs a script about the server that has this slot. One round trip.
    pub(crate) async fn run_on(&self, slot: u16, script: &'static Script, args: Vec<Vec<u8>>) -> Result<Answer> {
        Ok(Answer::new(self.connection.send(&Request::OnServer { slot, script, args }, None).await?.value))
    }

    /// A slot of each server: the lowest of each primary of a Cluster, which takes a round trip; else 0.
    pub(crate) async fn servers(&self) -> Result<BTreeSet<u16>> {
        if !self.is_cluster() {
            return Ok(BTreeSet::from([0]));
        }
        let reply = self.connection.send(&Request::Slots, None).await?;
        lowest_slots(reply.value).ok_or_else(error::unexpected_reply)
    }

    /// Runs a script whose effect replicas must have, if the store waits for replicas. One round trip.
    pub(crate) async fn write(
        &self,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    ) -> Result<Answer> {
        self.send_to_replicas(&Request::Script { script, keys, args }).await
    }

    /// Puts `new` in the place of `old` unless there is something else: then answers with it, or the beginning of it. The
    /// time to live stays. It is told on `channel`. Replicas must have it, if the store waits for them. One round trip, and
    /// another once for each connection.
    pub(crate) async fn replace(
        &self,
        key: Vec<u8>,
        old: Old,
        new: &Bytes,
        channel: Option<Vec<u8>>,
    ) -> Result<Replaced> {
        let whole = old.whole.clone();
        let request = Request::Replace { key, old, new: new.clone(), channel };
        match self.send_to_replicas(&request).await?.0.pop() {
            Some(Value::Int(_)) => Ok(Replaced::Done),
            Some(Value::BulkString(found)) if whole.is_some_and(|whole| found == whole) => Ok(Replaced::Done),
            Some(Value::BulkString(found)) => Ok(Replaced::Found(found)),
            Some(Value::Nil) => Ok(Replaced::Unknown),
            _ => Err(error::unexpected_reply()),
        }
    }

    async fn send_to_replicas(&self, request: &Request) -> Result<Answer> {
        let Some((connection, replicas)) = &self.replicated else { return self.send(request).await };
        // Ends before the operation does, so that the connection is free again when the caller gets its answer.
        let millis = u64::try_from(self.time_limit.as_millis() * 3 / 4).unwrap_or(u64::MAX).max(1);
        let wait = Wait { replicas: replicas.get(), millis };
        let reply = connection.send(request, Some(&wait)).await?;
        let answer = Answer::new(reply.value);
        // A script that asks for another call has written nothing yet.
        if reply.confirmed || matches!(answer.word(), "changed" | "full") {
            return Ok(answer);
        }
        // Others may have replaced it.
        connection.doubt_current();
        self.connection.doubt_current();
        Err(error::unconfirmed())
    }

    /// Where changes are published, if they are.
    pub(crate) fn channel(&self) -> Option<&[u8]> {
        self.target.channel.as_deref()
    }

    /// Whether the protocol is one in which servers tell what they were not asked for.
    pub(crate) fn may_be_told(&self) -> bool {
        match &self.target.topology {
            Topology::Single(info) | Topology::Sentinel { primary: info, .. } => {
                info.redis_settings().protocol() == ProtocolVersion::RESP3
            }
            Topology::Cluster { .. } => true,
        }
    }

    /// Follows what happens on the servers, over connections of its own.
    pub(crate) fn follow(&self, source: Source) -> FollowedFeed {
        let target = self.target.clone();
        FollowedFeed::spawn(&self.runtime, |queue| follower::follow(target, source, queue))
    }

    /// Whether [`write`](Self::write) waits for replicas.
    pub(crate) fn waits_for_replicas(&self) -> bool {
        self.replicated.is_some()
    }

    /// How often a connection was lost that [`write`](Self::write) uses. A write during which this changes may have
    /// been executed twice.
    pub(crate) fn disconnects(&self) -> u64 {
        let usual = self.replicated.as_ref().map_or(&*self.connection, |(connection, _)| connection);
        usual.disconnects() + self.large.get().map_or(0, ReconnectingConnection::disconnects)
    }

    async fn send_large(&self, request: &Request) -> Result<Reply> {
        let Ok(_place) = self.large_at_once.acquire().await else { return Err(error::runtime_is_gone()) };
        let open = || {
            let timeout = response_timeout(self.time_limit);
            ReconnectingConnection::open(self.target.clone(), timeout, OnConnect::Nothing, &self.runtime)
        };
        self.large.get_or_init(open).send(request, None).await
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("operation_timeout", &self.time_limit)
            .field("cluster", &self.is_cluster())
            .field("wait_for_replicas", &self.replicated.as_ref().map_or(0, |(_, replicas)| replicas.get()))
            .finish_non_exhaustive()
    }
}

/// After `WAIT` gave up, and before the operation ends.
fn response_timeout(time_limit: Duration) -> Duration {
    time_limit * 7 / 8
}

/// The lowest slot of each primary in a reply to `CLUSTER SLOTS`, which lists ranges: the first slot, the last, the
/// primary, its replicas; of each server host, port and id.
fn lowest_slots(reply: Value) -> Option<BTreeSet<u16>> {
    let Value::Array(ranges) = reply else { return None };
    let mut lowest: HashMap<String, u16> = HashMap::new();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), _, Value::Array(primary), ..] = &range[..] else { return None };
        let [_, _, id, ..] = &primary[..] else { return None };
        let first = u16::try_from(*first).ok().filter(|slot| *slot < SLOTS)?;
        let lowest = lowest.entry(redis::from_redis_value_ref(id).ok()?).or_insert(first);
        *lowest = first.min(*lowest);
    }
    Some(lowest.into_values().collect())
}
