//! A connection that is repaired when it breaks, not when it is needed: [`ReconnectingConnection`].

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{ErrorKind, PushInfo, PushKind, RedisError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::driver::{CONNECT_TIMEOUT, Connection, Reply, Request, Wait};
use crate::config::url::Topology;
use crate::error::{self, Result};

/// How long connecting may take in all: sentinels to ask, nodes of a Cluster to discover.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to connect: the first, and the longest. At most this long after the server, service is back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A connection to the servers, maintained by a background task. A request that is cancelled does not interrupt the
/// repair.
pub(super) struct ReconnectingConnection {
    shared: Arc<Shared>,
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
    /// How often a connection to any node was lost: whatever was in flight may have been executed.
    disconnects: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// The first attempt to connect, after the start or a disconnect, is under way. Requests wait for it.
    Connecting,
    /// The number tells this connection from its predecessors.
    Ready(u64, Connection),
    /// In use until it is replaced: a request got no reply, and it is not known whether others will. The server may be
    /// slow, the network may drop everything, a node of a Cluster may have been replaced unnoticed.
    Suspect(u64, Connection),
    /// The last attempt failed, for this reason. Requests fail at once.
    Down(Arc<str>),
}

impl Drop for ReconnectingConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReconnectingConnection {
    /// Starts to connect. Must be called inside a tokio runtime. A request without a reply for `response_timeout`
    /// fails, and makes the connection suspect.
    pub(super) fn open(topology: Topology, response_timeout: Duration, on_connect: OnConnect) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Connecting),
            cluster: matches!(topology, Topology::Cluster(_)),
            disconnects: AtomicU64::new(0),
        });
        let task = tokio::spawn(keep_connected(Arc::clone(&shared), topology, response_timeout, on_connect));
        Self { shared, task: task.abort_handle() }
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

    /// Sends a request, and once more if the connection was lost meanwhile: every request is idempotent.
    ///
    /// The caller sets the overall time limit. Cancellation-safe: a reply without a caller is read and discarded.
    pub(super) async fn send(&self, request: &Request, wait: Option<&Wait>) -> Result<Reply> {
        let mut repeated = false;
        loop {
            let (number, mut connection) = self.current().await?;
            let error = match connection.send(request, wait).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let lost = error::needs_new_connection(&error);
            if lost {
                self.shared.disconnects.fetch_add(1, Ordering::SeqCst);
            }
            // That one node of a Cluster cannot be reached is no reason to leave the others.
            if lost && !self.shared.cluster {
                self.shared.discard(number);
                if !repeated {
                    repeated = true;
                    continue;
                }
            } else if lost || error.is_timeout() {
                self.shared.suspect(number);
            }
            return Err(error::from_driver(&error));
        }
    }

    async fn current(&self) -> Result<(u64, Connection)> {
        // Almost always: without a subscription, which costs more than all else here.
        if let State::Ready(number, connection) = &*self.shared.state.borrow() {
            return Ok((*number, connection.clone()));
        }
        let mut state = self.shared.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match state.as_deref() {
            Ok(State::Ready(number, connection) | State::Suspect(number, connection)) => {
                Ok((*number, connection.clone()))
            }
            Ok(State::Down(reason)) => Err(error::not_connected(reason)),
            Ok(State::Connecting) | Err(_) => Err(error::not_connected("the store is shut down")),
        }
    }
}

impl Shared {
    /// Gives up the connection with this number, if it is still in use. Requests in flight on it go on.
    fn discard(&self, number: u64) {
        self.state.send_if_modified(|state| match state {
            State::Ready(current, _) | State::Suspect(current, _) if *current == number => {
                *state = State::Connecting;
                true
            }
            State::Ready(..) | State::Suspect(..) | State::Connecting | State::Down(_) => false,
        });
    }

    /// Has the connection with this number replaced, if it is still in use.
    fn suspect(&self, number: u64) {
        self.state.send_if_modified(|state| match state {
            State::Ready(current, connection) if *current == number => {
                *state = State::Suspect(number, connection.clone());
                true
            }
            State::Ready(..) | State::Suspect(..) | State::Connecting | State::Down(_) => false,
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

async fn keep_connected(shared: Arc<Shared>, topology: Topology, response_timeout: Duration, on_connect: OnConnect) {
    let mut pause = PAUSES.0;
    for number in 0.. {
        let open = Connection::open(&topology, response_timeout, shared.watch(number));
        let opened = tokio::time::timeout(OPEN_TIMEOUT, open).await;
        match opened.unwrap_or_else(|_| Err(RedisError::from((ErrorKind::Io, "no answer in time")))) {
            Ok(mut connection) => {
                pause = PAUSES.0;
                // A server that accepts connections only to close them is not asked in a busy loop.
                let soon = tokio::time::sleep(PAUSES.0);
                shared.state.send_replace(State::Ready(number, connection.clone()));
                match on_connect {
                    OnConnect::CheckEviction => {
                        let _ = tokio::time::timeout(CONNECT_TIMEOUT, connection.warn_about_eviction()).await;
                    }
                    OnConnect::Nothing => {}
                }
                drop(connection);
                let mut state = shared.state.subscribe();
                let _ = state.wait_for(|state| !matches!(state, State::Ready(..))).await;
                drop(state);
                tracing::info!("the connection to Redis was lost, or does not respond; reconnecting");
                soon.await;
            }
            Err(error) => {
                // Once for each outage.
                if pause == PAUSES.0 {
                    tracing::warn!(%error, "cannot connect to Redis");
                } else {
                    tracing::debug!(%error, "still cannot connect to Redis");
                }
                shared.state.send_replace(State::Down(error.to_string().into()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}
