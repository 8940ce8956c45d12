//! A connection that is repaired when it breaks, not when it is needed: [`ReconnectingConnection`].

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{PushInfo, PushKind};
use session_core::StoreError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::driver::{CONNECT_TIMEOUT, Compare, Connection, Reply, Request, Wait};
use super::failure;
use super::open::{Opened, open};
use super::sentinel::{Address, Sentinels};
use crate::config::target::Target;
use crate::config::url::Topology;
use crate::error::{self, Result};

/// How long connecting may take in all: sentinels to ask, nodes of a Cluster to discover.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to connect: the first, and the longest. At most this long after the server, service is back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How often the sentinels are asked whether the primary is still the same.
const WATCH: Duration = Duration::from_secs(1);

/// A connection to the servers, maintained by a background task. A request that is cancelled does not interrupt the
/// repair.
pub(super) struct ReconnectingConnection {
    shared: Arc<Shared>,
    /// A request without a reply for this long fails, and makes the connection suspect.
    response_timeout: Duration,
    task: AbortHandle,
}

/// What is done with a new connection.
#[derive(Clone, Copy)]
pub(super) enum OnConnect {
    /// It is asked whether the server is configured to evict sessions.
    CheckEviction,
    Nothing,
}

struct Shared {
    state: watch::Sender<State>,
    /// The client of a Cluster repairs the connections to its nodes, and retries requests, itself.
    cluster: bool,
    /// Whether another server may be the primary now: there are sentinels or other nodes to ask.
    may_move: bool,
    /// How often a connection to any node was lost: whatever was in flight may have been executed.
    disconnects: AtomicU64,
    /// The number of the connection whose server refused to [compare by a command](Compare::ByCommand).
    compares_not: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// The first attempt to connect, after the start or a disconnect, is under way. Requests wait for it.
    Connecting,
    /// The number tells this connection from its predecessors.
    Ready(u64, Connection),
    /// To be replaced: a request got no reply, and it is not known whether others will. The server may be slow, the
    /// network may drop everything, a node of a Cluster may have been replaced unnoticed. Requests wait for its
    /// replacement for a moment.
    Suspect(u64, Connection),
    /// In use until there is another: the server lacks replicas. It may have been cut off, and replaced as primary.
    Doubted(u64, Connection),
    /// The last attempt failed, for this reason. Requests fail at once.
    Down(Arc<str>),
}

impl Drop for ReconnectingConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReconnectingConnection {
    /// Starts to connect, in `runtime`.
    pub(super) fn open(target: Target, response_timeout: Duration, on_connect: OnConnect, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Connecting),
            cluster: matches!(target.topology, Topology::Cluster { .. }),
            may_move: !matches!(target.topology, Topology::Single(_)),
            disconnects: AtomicU64::new(0),
            compares_not: AtomicU64::new(u64::MAX),
        });
        let task = runtime.spawn(keep_connected(Arc::clone(&shared), target, response_timeout, on_connect));
        Self { shared, response_timeout, task: task.abort_handle() }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.shared.cluster
    }

    /// How often a connection was lost so far. A request during which this changes may have been executed twice.
    pub(super) fn disconnects(&self) -> u64 {
        self.shared.disconnects.load(Ordering::SeqCst)
    }

    /// Waits until there is a connection, or the attempt to connect failed.
    pub(super) async fn ready(&self) -> Result<()> {
        self.current().await.map(drop)
    }

    /// Sends a request, and once more if the connection was lost meanwhile: every request is idempotent. A read that
    /// gets no reply is repeated on a new connection, too. While a Cluster moves the slot, again and again.
    ///
    /// The caller sets the overall time limit. Cancellation-safe: a reply without a caller is read and discarded.
    pub(super) async fn send(&self, request: &Request, wait: Option<&Wait>) -> Result<Reply> {
        let begin = Instant::now();
        let (mut repeated, mut in_doubt) = (false, None);
        loop {
            let unsent = |error: StoreError| if repeated { error } else { error.unsent() };
            let (number, mut connection) = self.current().await.map_err(unsent)?;
            // To be refused after a wait for replicas would take as long as two writes.
            let compare = if wait.is_some() { Compare::ByScript } else { self.shared.compare(number) };
            let may_repeat = request.is_read() && !repeated;
            let limit = if may_repeat { self.response_timeout / 2 } else { self.response_timeout };
            let sent = timeout(limit, connection.send(request, compare, wait)).await;
            let error = match sent.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if request.compares_by_command(compare) && failure::is_refused(&error) {
                self.shared.compares_not.store(number, Ordering::Relaxed);
                continue;
            }
            let lost = failure::needs_new_connection(&error);
            if lost {
                self.shared.disconnects.fetch_add(1, Ordering::SeqCst);
            }
            // That one node of a Cluster cannot be reached is no reason to leave the others.
            if lost && !self.shared.cluster {
                self.shared.discard(number);
                if !repeated {
                    (repeated, in_doubt) = (true, Some(error));
                    continue;
                }
            } else if lost || error.is_timeout() {
                self.shared.suspect(number);
                if may_repeat {
                    repeated = true;
                    continue;
                }
            } else if failure::is_moving(&error) && begin.elapsed() < self.response_timeout * 3 / 4 {
                sleep(PAUSES.0 / 2).await;
                continue;
            } else if failure::may_be_deposed(&error) {
                self.doubt(number);
            }
            // What was sent first may have been executed, whatever the answer to its repetition: that the server is full, say.
            let error = in_doubt.filter(|_| !request.is_read()).unwrap_or(error);
            return Err(failure::from_driver(&error));
        }
    }

    /// Has the servers asked who the primary is.
    pub(super) fn doubt_current(&self) {
        let number = match &*self.shared.state.borrow() {
            State::Ready(number, _) => *number,
            State::Suspect(..) | State::Doubted(..) | State::Connecting | State::Down(_) => return,
        };
        self.doubt(number);
    }

    fn doubt(&self, number: u64) {
        if self.shared.may_move {
            self.shared.replace(number, |connection| State::Doubted(number, connection));
        }
    }

    async fn current(&self) -> Result<(u64, Connection)> {
        // Almost always: without a subscription, which costs more than all else here.
        if let State::Ready(number, connection) | State::Doubted(number, connection) = &*self.shared.state.borrow() {
            return Ok((*number, connection.clone()));
        }
        let mut state = self.shared.state.subscribe();
        // The other nodes of a Cluster do not depend on the one that does not answer.
        if !self.shared.cluster && matches!(*state.borrow(), State::Suspect(..)) {
            let replaced = state.wait_for(|state| !matches!(state, State::Suspect(..)));
            let _ = timeout(self.response_timeout / 4, replaced).await;
        }
        if self.task.is_finished() {
            return Err(error::runtime_is_gone());
        }
        let state = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match state.as_deref() {
            Ok(
                State::Ready(number, connection)
                | State::Suspect(number, connection)
                | State::Doubted(number, connection),
            ) => Ok((*number, connection.clone())),
            Ok(State::Down(reason)) => Err(error::not_connected(reason)),
            Ok(State::Connecting) | Err(_) => Err(error::not_connected("the store is shut down")),
        }
    }
}

impl Shared {
    /// How the server of the connection with this number compares, as far as is known: it is asked once.
    fn compare(&self, number: u64) -> Compare {
        let refuses = self.compares_not.load(Ordering::Relaxed) == number;
        if refuses { Compare::ByScript } else { Compare::ByCommand }
    }

    /// Gives up the connection with this number, if it is still in use. Requests in flight on it go on.
    fn discard(&self, number: u64) {
        self.state.send_if_modified(|state| match state {
            State::Ready(current, _) | State::Suspect(current, _) | State::Doubted(current, _)
                if *current == number =>
            {
                *state = State::Connecting;
                true
            }
            State::Ready(..) | State::Suspect(..) | State::Doubted(..) | State::Connecting | State::Down(_) => false,
        });
    }

    /// Has the connection with this number replaced, if it is still in use.
    fn suspect(&self, number: u64) {
        self.replace(number, |connection| State::Suspect(number, connection));
    }

    fn replace(&self, number: u64, by: impl FnOnce(Connection) -> State) {
        self.state.send_if_modified(|state| match state {
            State::Ready(current, connection) | State::Doubted(current, connection) if *current == number => {
                *state = by(connection.clone());
                true
            }
            State::Ready(..) | State::Suspect(..) | State::Doubted(..) | State::Connecting | State::Down(_) => false,
        });
    }

    /// Counts disconnects of the connection with this number, and gives it up.
    fn watch(self: &Arc<Self>, number: u64) -> impl redis::aio::AsyncPushSender + use<> {
        let shared = Arc::downgrade(self);
        move |push: PushInfo| {
            if let (PushKind::Disconnection, Some(shared)) = (push.kind, shared.upgrade()) {
                shared.disconnects.fetch_add(1, Ordering::SeqCst);
                if !shared.cluster {
                    shared.discard(number);
                }
            }
            Ok::<_, Infallible>(())
        }
    }
}

async fn keep_connected(shared: Arc<Shared>, target: Target, response_timeout: Duration, on_connect: OnConnect) {
    let (mut pause, mut before) = (PAUSES.0, None);
    for number in 0.. {
        let opened = timeout(OPEN_TIMEOUT, open(&target, response_timeout, shared.watch(number))).await;
        match opened.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(Opened { connection, primary }) => {
                pause = PAUSES.0;
                let since = Instant::now();
                // Before anything is read there.
                if before.is_some() && before != primary {
                    target.moves.fetch_add(1, Ordering::SeqCst);
                }
                before.clone_from(&primary);
                shared.state.send_replace(State::Ready(number, connection.clone()));
                match on_connect {
                    // Beside: if it gets no answer, the connection has to be replaced at once all the same.
                    OnConnect::CheckEviction => drop(tokio::spawn(check_eviction(connection))),
                    OnConnect::Nothing => drop(connection),
                }
                let watcher = Watcher::start(&shared, &target, number, primary);
                let mut state = shared.state.subscribe();
                let _ = state.wait_for(|state| !matches!(state, State::Ready(..))).await;
                let doubted = matches!(&*state.borrow(), State::Doubted(..));
                drop((state, watcher));
                tracing::info!("the connection to Redis was lost, does not respond, or lacks replicas; reconnecting");
                // A server that accepts connections only to close them is not asked in a busy loop.
                let soonest = if doubted { PAUSES.1 } else { PAUSES.0 };
                tokio::time::sleep_until(since + soonest).await;
            }
            Err(reason) => {
                // Once for each outage.
                if pause == PAUSES.0 {
                    tracing::warn!(reason, "cannot connect to Redis");
                } else {
                    tracing::debug!(reason, "still cannot connect to Redis");
                }
                shared.state.send_if_modified(|state| {
                    let is_useless = !matches!(state, State::Doubted(..));
                    if is_useless {
                        *state = State::Down(reason.into());
                    }
                    is_useless
                });
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

async fn check_eviction(mut connection: Connection) {
    let _ = timeout(CONNECT_TIMEOUT, connection.warn_about_eviction()).await;
}

/// Leaves a primary as soon as the sentinels name another, whether or not it answers. Stops when dropped.
struct Watcher(Option<AbortHandle>);

impl Watcher {
    fn start(shared: &Arc<Shared>, target: &Target, number: u64, primary: Option<Address>) -> Self {
        let (Topology::Sentinel { sentinels, service, .. }, Some(primary)) = (&target.topology, primary) else {
            return Self(None);
        };
        let (mut sentinels, shared) = (Sentinels::new(sentinels, service), Arc::downgrade(shared));
        let task = tokio::spawn(async move {
            loop {
                sleep(WATCH).await;
                let verdict = sentinels.ask().await;
                let Some(shared) = shared.upgrade() else { return };
                if verdict.is_ok_and(|verdict| verdict.of_majority && verdict.primary != primary) {
                    tracing::info!("the sentinels name another primary");
                    return shared.discard(number);
                }
            }
        });
        Self(Some(task.abort_handle()))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
