//! Connections on which servers tell what happens: [`follow`].
//!
//! One to the server, or one to each primary of a Cluster, where nobody can publish to all nodes at a bearable price: there, the
//! servers themselves tell which keys are written (`CLIENT TRACKING … BCAST`).

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{ConnectionInfo, PushInfo, PushKind, Value};
use session_core::store::{FeedEvent, FeedQueue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::driver::CONNECT_TIMEOUT;
use super::failure::explain;
use super::open::{NoPush, Role, as_user, named_by, node};
use super::sentinel::{Address, Sentinels};
use crate::config::target::Target;
use crate::config::url::{Topology, at};
use crate::script::{self, Keys};

/// How long connecting may take in all.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What is followed, and what it means.
pub(crate) struct Source {
    /// Of the channel, and of what is stored.
    pub(crate) keys: Keys,
    /// What a message on the channel says. `None`: it is of a newer release.
    pub(crate) read: fn(&[u8]) -> Option<Vec<FeedEvent>>,
}

impl Keys {
    /// The channel for changes, which only those hear who follow them.
    pub(crate) fn channel(&self) -> Vec<u8> {
        format!("{{{}:changes}}", self.0).into()
    }
}

/// Follows the servers, and connects again when it cannot.
pub(super) async fn follow(target: Target, source: Source, queue: Arc<FeedQueue>) {
    let (source, mut pause) = (Arc::new(source), PAUSES.0);
    loop {
        let connected = timeout(OPEN_TIMEOUT, Followed::connect(&target, &source, &queue)).await;
        match connected.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(followed) => {
                pause = PAUSES.0;
                // What was read until now may have changed unnoticed.
                queue.push(FeedEvent::Lost);
                let reason = followed.until_lost(&queue).await;
                tracing::info!(reason, "the changes in Redis cannot be followed any more; reconnecting");
            }
            // Once for each outage.
            Err(reason) if pause == PAUSES.0 => tracing::warn!(reason, "cannot follow the changes in Redis"),
            Err(reason) => tracing::debug!(reason, "still cannot follow the changes in Redis"),
        }
        if pause == PAUSES.0 {
            queue.push(FeedEvent::Lost);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// The servers that are followed, as long as they are the primaries.
struct Followed {
    nodes: Vec<(ConnectionInfo, MultiplexedConnection)>,
    /// Told when one of the connections is closed.
    closed: Arc<Notify>,
    primaries: Primaries,
}

/// How it is known that others have not become the primaries.
enum Primaries {
    /// There are no others.
    Fixed,
    /// Most of the sentinels say so.
    Named(Sentinels, Address),
    /// All primaries agree on these slots. And when they were asked last: what they tell of a moment may come only after the
    /// answer to a question of the same moment.
    Slots { layout: Layout, asked: Option<Instant> },
}

/// The slots of a Cluster: the first, the last, and the id of their primary.
type Layout = BTreeSet<(u16, u16, String)>;

impl Followed {
    async fn connect(target: &Target, source: &Arc<Source>, queue: &Arc<FeedQueue>) -> Result<Self, String> {
        let closed = Arc::new(Notify::new());
        let mut nodes = Vec::new();
        let primaries = match &target.topology {
            Topology::Single(info) => {
                let info = as_user(target, info).await?;
                nodes.push(subscribed(info, Role::Primary, source, queue, &closed).await?);
                Primaries::Fixed
            }
            Topology::Sentinel { sentinels, service, primary } => {
                let mut sentinels = Sentinels::new(sentinels, service);
                let address = sentinels.ask().await?.primary;
                let (host, port) = address.clone();
                let info = as_user(target, &at(primary, host, port)).await?;
                nodes.push(subscribed(info, Role::Primary, source, queue, &closed).await?);
                Primaries::Named(sentinels, address)
            }
            Topology::Cluster { nodes: seeds, .. } => {
                let (layout, infos) = discover(target, seeds).await?;
                for info in infos {
                    nodes.push(subscribed(info, Role::ClusterNode, source, queue, &closed).await?);
                }
                Primaries::Slots { layout, asked: None }
            }
        };
        Ok(Self { nodes, closed, primaries })
    }

    /// Asks for beats until something may have been missed. Why.
    async fn until_lost(mut self, queue: &FeedQueue) -> String {
        loop {
            let (asked, beat) = (Instant::now(), queue.beat());
            match timeout(beat.max(CONNECT_TIMEOUT), self.ask()).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return reason,
                Err(_) => return "no answer in time".to_owned(),
            }
            let proven = match &mut self.primaries {
                Primaries::Fixed | Primaries::Named(..) => Some(asked),
                Primaries::Slots { asked: before, .. } => before.replace(asked),
            };
            if let Some(asked) = proven {
                queue.push(FeedEvent::Beat { asked });
            }
            tokio::select! {
                () = self.closed.notified() => return "the connection was closed".to_owned(),
                () = sleep(queue.beat()) => {}
            }
        }
    }

    /// Whether these are still the primaries. What they told before comes before their answers.
    async fn ask(&mut self) -> Result<(), String> {
        let mut answers = JoinSet::new();
        for (info, connection) in &self.nodes {
            let (info, mut connection) = (info.clone(), connection.clone());
            let is_cluster = matches!(self.primaries, Primaries::Slots { .. });
            answers.spawn(async move {
                let layout = if is_cluster { Some(slots(&mut connection, &info).await?.0) } else { None };
                // On this connection, so that it is answered behind all that was told.
                let said: HashMap<String, Value> =
                    redis::cmd("HELLO").query_async(&mut connection).await.map_err(|error| explain(&info, &error))?;
                match said.get("role").and_then(|role| redis::from_redis_value::<String>(role.clone()).ok()).as_deref()
                {
                    Some("slave" | "replica") => Err(format!("{} has become a replica", info.addr())),
                    Some(_) | None => Ok(layout),
                }
            });
        }
        if let Primaries::Named(sentinels, address) = &mut self.primaries {
            let verdict = sentinels.ask().await?;
            if !verdict.of_majority {
                return Err("too few sentinels answer to know the primary".to_owned());
            }
            if verdict.primary != *address {
                return Err("the sentinels name another primary".to_owned());
            }
        }
        while let Some(answer) = answers.join_next().await {
            let answer = answer.unwrap_or_else(|_| Err("the tokio runtime is shut down".to_owned()))?;
            match (&self.primaries, answer) {
                (Primaries::Slots { layout, .. }, Some(here)) if here != *layout => {
                    return Err("the slots of the Cluster have moved".to_owned());
                }
                (Primaries::Slots { .. } | Primaries::Fixed | Primaries::Named(..), _) => {}
            }
        }
        Ok(())
    }
}

/// A connection on which the server tells what happens. Needs RESP3.
async fn subscribed(
    info: ConnectionInfo,
    role: Role,
    source: &Arc<Source>,
    queue: &Arc<FeedQueue>,
    closed: &Arc<Notify>,
) -> Result<(ConnectionInfo, MultiplexedConnection), String> {
    let hear = {
        let (source, queue, closed) = (Arc::clone(source), Arc::clone(queue), Arc::clone(closed));
        move |push: PushInfo| {
            hear(&push, &source, &queue, &closed);
            Ok::<_, Infallible>(())
        }
    };
    let mut connection = node(&info, role, Some(hear)).await?;
    let begun = match role {
        Role::Primary => connection.subscribe(source.keys.channel()).await,
        Role::ClusterNode => {
            let mut command = redis::cmd("CLIENT");
            command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(source.keys.prefix());
            command.query_async(&mut connection).await
        }
    };
    begun.map_err(|error| explain(&info, &error))?;
    Ok((info, connection))
}

/// What a server tells without being asked.
fn hear(push: &PushInfo, source: &Source, queue: &FeedQueue, closed: &Notify) {
    let written = |key: &[u8]| Some(FeedEvent::Changed { id: source.keys.id_in(key)?, version: None });
    let events = match (&push.kind, &push.data[..]) {
        (PushKind::Message, [_, Value::BulkString(message)]) => (source.read)(message),
        (PushKind::Invalidate, [Value::Array(keys)]) => {
            Some(keys.iter().filter_map(script::bytes).filter_map(written).collect())
        }
        (PushKind::Disconnection, _) => {
            closed.notify_one();
            None
        }
        (PushKind::Subscribe, _) => return,
        // All keys are gone, or we do not understand.
        _ => None,
    };
    match events {
        Some(events) => events.into_iter().for_each(|event| queue.push(event)),
        None => queue.push(FeedEvent::Lost),
    }
}

/// The slots of a Cluster, and its primaries.
async fn discover(target: &Target, seeds: &[ConnectionInfo]) -> Result<(Layout, Vec<ConnectionInfo>), String> {
    let mut failure = "no node of the Cluster can be reached".to_owned();
    for seed in seeds {
        let seed = as_user(target, seed).await?;
        let found = async {
            let mut connection = node(&seed, Role::ClusterNode, None::<NoPush>).await?;
            let (layout, slots) = slots(&mut connection, &seed).await?;
            let mut infos: Vec<ConnectionInfo> = Vec::new();
            for info in named_by(&slots, &seed) {
                if infos.iter().all(|known| known.addr() != info.addr()) {
                    infos.push(info);
                }
            }
            Ok((layout, infos))
        };
        match found.await {
            Ok(found) => return Ok(found),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// Who has which slots, as one node says.
async fn slots(connection: &mut impl ConnectionLike, info: &ConnectionInfo) -> Result<(Layout, Value), String> {
    let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(connection).await;
    let slots: Value = slots.map_err(|error| explain(info, &error))?;
    let ranges: Vec<(u16, u16, Vec<Value>)> = ranges(&slots).ok_or("the answer to CLUSTER SLOTS was not understood")?;
    let range = |(first, last, primary): (u16, u16, Vec<Value>)| {
        let id = redis::from_redis_value(primary.get(2)?.clone()).ok()?;
        Some((first, last, id))
    };
    let layout = ranges.into_iter().map(range).collect::<Option<_>>();
    Ok((layout.ok_or("the answer to CLUSTER SLOTS was not understood")?, slots))
}

/// The first and the last slot of each range, and host, port and id of its primary.
fn ranges(slots: &Value) -> Option<Vec<(u16, u16, Vec<Value>)>> {
    let Value::Array(ranges) = slots else { return None };
    let range = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &range[..] else { return None };
        Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, primary.clone()))
    };
    ranges.iter().map(range).collect()
}
