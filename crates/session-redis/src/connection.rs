//! A connection that is always being repaired: [`Link`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::Sentinel;
use redis::{AsyncConnectionConfig, Client, ErrorKind, PushInfo, PushKind, RedisError, RedisResult, ServerErrorKind};
use session_core::{StoreError, StoreErrorKind};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::script::{Reply, Request, Wait};
use crate::url::Topology;

/// How long opening one connection to one server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long all of it may take: sentinels to ask, nodes of a Cluster to find.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to connect: the first, and the longest. So much later than the server service is back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A connection to the server, kept by a task of its own: it is repaired when it breaks, not when it is needed, and a
/// request that gives up does not interrupt the repair.
pub(crate) struct Link {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    state: watch::Sender<State>,
    /// The client of a Cluster repairs the connections to its nodes, and repeats requests, itself.
    cluster: bool,
    /// How often a connection to any node was lost: whatever was under way may have been executed.
    losses: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// The first attempt to connect, after the start or a loss, is under way. Requests wait for it.
    Connecting,
    /// The number tells this connection from its predecessors.
    Ready(u64, Connection),
    /// In use until there is another: a request got no answer, and it is not known whether others will. The server may
    /// be slow, the network may drop everything, a node of a Cluster may have been replaced without anybody telling us.
    Doubtful(u64, Connection),
    /// The last attempt failed, for this reason. Requests fail at once.
    Down(Arc<str>),
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Starts to connect. Must be called inside a tokio runtime. A request without an answer for the time of `patience`
    /// fails, and casts doubt on the connection. With `inspect`, each new connection is asked whether the server is
    /// configured to lose sessions.
    pub(crate) fn open(topology: Topology, patience: Duration, inspect: bool) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Connecting),
            cluster: matches!(topology, Topology::Cluster(_)),
            losses: AtomicU64::new(0),
        });
        let task = tokio::spawn(keep_connected(Arc::clone(&shared), topology, patience, inspect)).abort_handle();
        Self { shared, task }
    }

    /// How often a connection was lost so far. A request during which this changed may have been executed twice.
    pub(crate) fn losses(&self) -> u64 {
        self.shared.losses.load(Ordering::SeqCst)
    }

    /// Waits until there is a connection, or the attempt to get one failed.
    pub(crate) async fn ready(&self, operation: &'static str) -> Result<(), StoreError> {
        self.connection(operation).await.map(drop)
    }

    /// Sends a request, and once more if the connection was lost meanwhile: every request is safe to repeat.
    ///
    /// The caller sets the time limit of it all. Dropping the future leaves no reply behind: the connection takes the
    /// reply off the wire and drops it.
    pub(crate) async fn run(
        &self,
        operation: &'static str,
        request: &Request,
        wait: Option<&Wait>,
    ) -> Result<Reply, StoreError> {
        let mut repeated = false;
        loop {
            let (number, mut connection) = self.connection(operation).await?;
            let error = match connection.send(request, wait).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let lost = must_reconnect(&error);
            if lost {
                self.shared.losses.fetch_add(1, Ordering::SeqCst);
            }
            // That one node of a Cluster cannot be reached is no reason to leave the others.
            if lost && !self.shared.cluster {
                self.shared.discard(number);
                if !repeated {
                    repeated = true;
                    continue;
                }
            } else if lost || error.is_timeout() {
                self.shared.doubt(number);
            }
            return Err(store_error(operation, &error));
        }
    }

    async fn connection(&self, operation: &'static str) -> Result<(u64, Connection), StoreError> {
        // Almost always: without a subscription, which costs more than all else here.
        if let State::Ready(number, connection) = &*self.shared.state.borrow() {
            return Ok((*number, connection.clone()));
        }
        let mut state = self.shared.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        let reason: Arc<str> = match state.as_deref() {
            Ok(State::Ready(number, connection) | State::Doubtful(number, connection)) => {
                return Ok((*number, connection.clone()));
            }
            Ok(State::Down(reason)) => Arc::clone(reason),
            Ok(State::Connecting) | Err(_) => "the store is shut down".into(),
        };
        let error = StoreError::new(StoreErrorKind::Unavailable, "there is no connection to the server");
        Err(error.with_source(reason.to_string()))
    }
}

impl Shared {
    /// Gives up the connection with this number, if it is still in use. Requests under way on it go on.
    fn discard(&self, number: u64) {
        self.state.send_if_modified(|state| match state {
            State::Ready(ready, _) | State::Doubtful(ready, _) if *ready == number => {
                *state = State::Connecting;
                true
            }
            State::Ready(..) | State::Doubtful(..) | State::Connecting | State::Down(_) => false,
        });
    }

    /// Has the connection with this number replaced, if it is still in use.
    fn doubt(&self, number: u64) {
        self.state.send_if_modified(|state| match state {
            State::Ready(ready, connection) if *ready == number => {
                *state = State::Doubtful(number, connection.clone());
                true
            }
            State::Ready(..) | State::Doubtful(..) | State::Connecting | State::Down(_) => false,
        });
    }
}

async fn keep_connected(shared: Arc<Shared>, topology: Topology, patience: Duration, inspect: bool) {
    let mut pause = PAUSES.0;
    for number in 0.. {
        let opened = tokio::time::timeout(OPEN_TIMEOUT, open(&shared, &topology, patience, number)).await;
        match opened.unwrap_or_else(|_| Err(RedisError::from((ErrorKind::Io, "no answer in time")))) {
            Ok(mut connection) => {
                pause = PAUSES.0;
                // A server that accepts connections only to close them is not asked in a busy loop.
                let soon = tokio::time::sleep(PAUSES.0);
                shared.state.send_replace(State::Ready(number, connection.clone()));
                if inspect {
                    let _ = tokio::time::timeout(CONNECT_TIMEOUT, connection.warn_about_eviction()).await;
                }
                drop(connection);
                let mut state = shared.state.subscribe();
                let _ = state.wait_for(|state| !matches!(state, State::Ready(..))).await;
                drop(state);
                tracing::info!("the connection to Redis is lost, or does not answer; connecting again");
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

async fn open(shared: &Arc<Shared>, topology: &Topology, patience: Duration, number: u64) -> RedisResult<Connection> {
    let lost = {
        let shared = Arc::downgrade(shared);
        move |push: PushInfo| {
            if let (PushKind::Disconnection, Some(shared)) = (push.kind, shared.upgrade()) {
                shared.losses.fetch_add(1, Ordering::SeqCst);
                if !shared.cluster {
                    shared.discard(number);
                }
            }
            Ok::<_, std::convert::Infallible>(())
        }
    };
    match topology {
        Topology::Single(info) => connect(&Client::open(info.clone())?, patience, lost).await,
        Topology::Sentinel { sentinels, service, primary } => {
            let mut sentinel = Sentinel::build(sentinels.clone())?;
            connect(&sentinel.async_master_for(service, Some(primary)).await?, patience, lost).await
        }
        Topology::Cluster(nodes) => {
            let client: ClusterClient = ClusterClientBuilder::new(nodes.clone())
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(patience)
                .overall_response_timeout(Some(patience))
                .retries(8)
                .min_retry_wait(10)
                .max_retry_wait(200)
                .push_sender(lost)
                .tcp_settings(nodes.first().map(|node| node.tcp_settings().clone()).unwrap_or_default())
                .build()?;
            Ok(Connection::Cluster(client.get_async_connection().await?))
        }
    }
}

async fn connect(
    client: &Client,
    patience: Duration,
    lost: impl redis::aio::AsyncPushSender,
) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(patience))
        .set_pipeline_buffer_size(1024)
        .set_push_sender(lost);
    Ok(Connection::Node(client.get_multiplexed_async_connection_with_config(&config).await?))
}

/// Whether the server can only be reached over a new connection. Nothing was executed, or it is not known.
fn must_reconnect(error: &RedisError) -> bool {
    // READONLY: what was the primary is a replica now.
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// The driver's error quotes keys and arguments; only its kind may be shown.
fn store_error(operation: &'static str, error: &RedisError) -> StoreError {
    use StoreErrorKind::{Corrupt, Full, Other, Timeout, Unavailable};
    // The first word of the server's answer; of a pipeline's, of the first command that failed.
    let errors = error.clone().into_server_errors();
    let code = errors.iter().flat_map(|errors| errors.iter()).next().map(|(_, error)| error.code().to_owned());
    let code = code.unwrap_or_default();
    let (kind, detail) = if error.is_timeout() {
        (Timeout, "a node did not answer in time")
    } else if must_reconnect(error) || error.is_io_error() {
        (Unavailable, "the connection was lost; it may have been executed")
    } else {
        match code.as_str() {
            "CORRUPT" => (Corrupt, "the record has a format this version does not know; is a newer version deployed?"),
            "OOM" => (Full, "the memory of the server is used up"),
            "LOADING" => (Unavailable, "the server is still reading its data"),
            "MISCONF" => (Unavailable, "the server refuses writes because it cannot save its data"),
            "NOREPLICAS" => (Unavailable, "the server refuses writes because it has too few replicas"),
            "BUSY" => (Unavailable, "the server is busy with a script"),
            "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => {
                (Unavailable, "the Cluster is being changed")
            }
            "NOAUTH" | "NOPERM" => (Other, "the user of the server may not do this"),
            _ => (Other, "the server answered with an error"),
        }
    };
    StoreError::new(kind, detail).with_source(format!("{} {code}", error.category()))
}

/// A connection of either kind. Cloning is cheap, and clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn send(&mut self, request: &Request, wait: Option<&Wait>) -> RedisResult<Reply> {
        match self {
            Self::Node(connection) => request.send(connection, wait).await,
            Self::Cluster(connection) => request.send(connection, wait).await,
        }
    }

    /// Warns if the server is configured to drop live sessions when its memory is full. All keys have a time to live,
    /// so the `volatile-*` policies drop them just as the `allkeys-*` policies do.
    async fn warn_about_eviction(&mut self) {
        let mut question = redis::cmd("CONFIG");
        question.arg("GET").arg("maxmemory-policy");
        let answer: RedisResult<HashMap<String, String>> = match self {
            Self::Node(connection) => question.query_async(connection).await,
            Self::Cluster(connection) => question.query_async(connection).await,
        };
        match answer.map(|mut values| values.remove("maxmemory-policy")) {
            Ok(Some(policy)) if policy == "noeviction" => {}
            Ok(Some(policy)) => tracing::warn!(
                policy,
                "the maxmemory-policy of Redis lets it drop live sessions, and the index that revocation depends on, \
                 when its memory is full; set it to noeviction"
            ),
            Ok(None) => tracing::debug!("Redis did not tell its maxmemory-policy; it should be noeviction"),
            Err(error) => tracing::debug!(%error, "Redis did not tell its maxmemory-policy; it should be noeviction"),
        }
    }
}
