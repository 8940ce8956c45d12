//! Connections on which servers tell what happens: [`follow`].
//!
//! One to the server, or one to each primary of a Cluster, where nobody can publish to all nodes at a bearable price: there, the
//! servers themselves tell which keys are written (`CLIENT TRACKING … BCAST`).
//!
//! A beat claims that nothing has happened elsewhere. The sentinel that leads a failover knows of it seconds before the others,
//! and sends clients to the new primary at once: that most of the others know of none is not enough. In a Cluster, a replica
//! needs the votes of most primaries, and a vote raises the epoch of who gives it: as long as each primary has the epoch of the
//! beginning, none was given. And a slot can only move to a node that its primary knows. A server that does not answer costs
//! speed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, PushInfo, PushKind, Value};
use session_core::store::{FeedEvent, FeedQueue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cluster::{View, agree, discover};
use super::driver::CONNECT_TIMEOUT;
use super::failure::{explain_command, on_channel};
use super::open::{Role, as_user, node};
use super::sentinel::{Sentinels, Testimony, unanimous};
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
    let (source, mut pause, mut known) = (Arc::new(source), PAUSES.0, None);
    loop {
        let connected = timeout(OPEN_TIMEOUT, Followed::connect(&target, &source, &queue)).await;
        let reason = match connected.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(followed) => {
                // What was read until now may have changed unnoticed.
                queue.push(FeedEvent::Lost);
                let (reason, has_vouched) = followed.until_lost(&queue).await;
                if has_vouched {
                    (pause, known) = (PAUSES.0, None);
                }
                reason
            }
            Err(reason) => reason,
        };
        if known.is_none() {
            queue.push(FeedEvent::Lost);
        }
        // Each reason once.
        if known.as_ref() != Some(&reason) {
            tracing::warn!(reason, "cannot follow the changes in Redis");
            known = Some(reason);
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
    /// All sentinels name this one, and have counted as many failovers as in the beginning; nor has the store come from another
    /// one since: what it read there may be outdated.
    Named { sentinels: Sentinels, before: Vec<Testimony>, moves: Arc<AtomicU64>, moved: u64 },
    /// Each of the primaries sees the Cluster as in the beginning. And when they were asked last: what they tell of a moment may
    /// come only after the answer to a question of the same moment.
    Seen { before: Vec<View>, asked: Option<Instant> },
}

/// What is known of the changes until the servers were asked.
enum Answer {
    AllTold,
    /// It may be known later: nothing says that something was missed. Why it is not now.
    NotYet(String),
}

impl Followed {
    async fn connect(target: &Target, source: &Arc<Source>, queue: &Arc<FeedQueue>) -> Result<Self, String> {
        match &target.topology {
            Topology::Single(info) => {
                let closed = Arc::new(Notify::new());
                let info = as_user(target, info).await?;
                let nodes = vec![subscribed(info, Role::Followed, source, queue, &closed).await?];
                Ok(Self { nodes, closed, primaries: Primaries::Fixed })
            }
            Topology::Sentinel { sentinels, service, primary } => {
                let (closed, mut sentinels) = (Arc::new(Notify::new()), Sentinels::new(sentinels, service));
                let (moves, moved) = (Arc::clone(&target.moves), target.moves.load(Ordering::SeqCst));
                let (before, failure) = sentinels.examine().await;
                let (host, port) = failure.map_or_else(|| unanimous(&before), Err)?;
                let info = as_user(target, &at(primary, host, port)).await?;
                let nodes = vec![subscribed(info, Role::Followed, source, queue, &closed).await?];
                Ok(Self { nodes, closed, primaries: Primaries::Named { sentinels, before, moves, moved } })
            }
            Topology::Cluster { nodes: seeds, .. } => {
                let mut failure = "no node of the Cluster can be reached".to_owned();
                for seed in seeds {
                    match Self::connect_to_cluster(&as_user(target, seed).await?, source, queue).await {
                        Ok(followed) => return Ok(followed),
                        // This one may have been left behind by the others.
                        Err(reason) => failure = reason,
                    }
                }
                Err(failure)
            }
        }
    }

    async fn connect_to_cluster(
        seed: &ConnectionInfo,
        source: &Arc<Source>,
        queue: &Arc<FeedQueue>,
    ) -> Result<Self, String> {
        let (mut nodes, closed) = (Vec::new(), Arc::new(Notify::new()));
        let (primaries, infos) = discover(seed).await?;
        for info in infos {
            nodes.push(subscribed(info, Role::ClusterNode, source, queue, &closed).await?);
        }
        // Again, now that nothing they do is missed.
        let before = views(&nodes).await?;
        agree(&before, &primaries)?;
        Ok(Self { nodes, closed, primaries: Primaries::Seen { before, asked: None } })
    }

    /// Asks for beats until something may have been missed. Why, and whether anything was known before.
    async fn until_lost(mut self, queue: &FeedQueue) -> (String, bool) {
        let (mut is_silent, mut has_vouched) = (false, false);
        loop {
            let (asked, beat) = (Instant::now(), queue.beat());
            match self.ask(beat.max(CONNECT_TIMEOUT)).await {
                Ok(Answer::AllTold) => {
                    (is_silent, has_vouched) = (false, true);
                    let proven = match &mut self.primaries {
                        Primaries::Fixed | Primaries::Named { .. } => Some(asked),
                        Primaries::Seen { asked: before, .. } => before.replace(asked),
                    };
                    if let Some(asked) = proven {
                        queue.push(FeedEvent::Beat { asked });
                    }
                }
                Ok(Answer::NotYet(reason)) => {
                    if !std::mem::replace(&mut is_silent, true) {
                        tracing::warn!(reason, "cannot confirm that all changes in Redis were heard");
                    }
                }
                Err(reason) => return (reason, has_vouched),
            }
            tokio::select! {
                () = self.closed.notified() => return ("the connection was closed".to_owned(), has_vouched),
                () = sleep(queue.beat()) => {}
            }
        }
    }

    /// Whether these are still the primaries, and were all the time. What they told before comes before their answers.
    async fn ask(&mut self, limit: Duration) -> Result<Answer, String> {
        let no_answer = |_| Err("no answer in time".to_owned());
        match &mut self.primaries {
            Primaries::Fixed => timeout(limit, roles(&self.nodes)).await.unwrap_or_else(no_answer)?,
            Primaries::Named { sentinels, before, moves, moved } => {
                let (role, (now, failure)) = tokio::join!(timeout(limit, roles(&self.nodes)), sentinels.examine());
                role.unwrap_or_else(no_answer)?;
                if !now.iter().all(|testimony| before.iter().any(|earlier| testimony.upholds(earlier))) {
                    return Err("the sentinels name another primary, or have counted a failover".to_owned());
                }
                if moves.load(Ordering::SeqCst) != *moved {
                    return Err(
                        "the store has come from another primary, and what it read there may be outdated".to_owned()
                    );
                }
                if let Err(reason) = failure.map_or_else(|| unanimous(&now), Err) {
                    return Ok(Answer::NotYet(reason));
                }
            }
            Primaries::Seen { before, .. } => {
                let now =
                    timeout(limit, views(&self.nodes)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
                if let Some(difference) = now.iter().zip(&*before).find_map(|(now, before)| now.differs(before)) {
                    return Err(difference.to_owned());
                }
                if let Some(lost) = now.iter().find_map(|view| view.lost.first()) {
                    return Ok(Answer::NotYet(format!(
                        "{lost} was replaced, and has not come back as a replica: somebody may still read from it; if it is gone \
                         for good, make the others forget it (CLUSTER FORGET)"
                    )));
                }
            }
        }
        Ok(Answer::AllTold)
    }
}

/// Whether these servers are primaries, asked on the connections on which they tell.
async fn roles(nodes: &[(ConnectionInfo, MultiplexedConnection)]) -> Result<(), String> {
    for (info, connection) in nodes {
        let said = redis::cmd("HELLO").query_async(&mut connection.clone()).await;
        let said: HashMap<String, Value> = said.map_err(|error| explain_command(info, "HELLO", &error))?;
        let role = said.get("role").and_then(|role| redis::from_redis_value_ref::<String>(role).ok());
        if matches!(role.as_deref(), Some("slave" | "replica")) {
            return Err(format!("{} has become a replica", info.addr()));
        }
    }
    Ok(())
}

/// What each of these nodes says of its Cluster, in this order, asked on the connections on which they tell.
async fn views(nodes: &[(ConnectionInfo, MultiplexedConnection)]) -> Result<Vec<View>, String> {
    let mut asked = JoinSet::new();
    for (number, (info, connection)) in nodes.iter().enumerate() {
        let (info, mut connection) = (info.clone(), connection.clone());
        asked.spawn(async move { (number, View::ask(&mut connection, &info).await) });
    }
    let mut views = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let (number, view) = answer.map_err(|_| "the tokio runtime is shut down".to_owned())?;
        views.push((number, view?));
    }
    views.sort_unstable_by_key(|(number, _)| *number);
    Ok(views.into_iter().map(|(_, view)| view).collect())
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
    let (begun, commands) = match role {
        Role::Primary | Role::Followed => {
            let channel = source.keys.channel();
            (connection.subscribe(&channel).await, on_channel("SUBSCRIBE", &channel))
        }
        Role::ClusterNode => {
            let mut command = redis::cmd("CLIENT");
            command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(source.keys.prefix());
            (command.query_async(&mut connection).await, "CLIENT TRACKING".to_owned())
        }
    };
    begun.map_err(|error| explain_command(&info, &commands, &error))?;
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
