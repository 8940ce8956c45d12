//! The connections of a store: repaired in the background, shared by all operations.

mod coalescer;
mod connection;
mod driver;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::timeout;

use self::coalescer::LoadCoalescer;
use self::connection::{OnConnect, ReconnectingConnection};
use self::driver::{Request, Wait};
use crate::config::url::Topology;
use crate::error::{self, Result};
use crate::script::{Answer, Script};

/// How requests are sent to the servers of a store.
pub(crate) struct Link {
    time_limit: Duration,
    connection: Arc<ReconnectingConnection>,
    loads: Arc<LoadCoalescer>,
    /// For writes that wait for replicas. `WAIT` blocks the connection it is sent on, so these have one of their own.
    replicated: Option<(ReconnectingConnection, NonZeroU32)>,
}

impl Link {
    /// Starts to connect. Must be called inside a tokio runtime.
    pub(crate) fn open(topology: Topology, time_limit: Duration, replicas: Option<NonZeroU32>) -> Self {
        // After `WAIT` gave up, and before the operation ends.
        let response_timeout = time_limit * 7 / 8;
        let open = |on_connect| ReconnectingConnection::open(topology.clone(), response_timeout, on_connect);
        let replicated = replicas.map(|replicas| (open(OnConnect::Nothing), replicas));
        let connection = Arc::new(open(OnConnect::CheckEviction));
        Self { time_limit, loads: LoadCoalescer::new(Arc::clone(&connection)), connection, replicated }
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

    /// Reads a key, alone or in one command with others. One round trip.
    pub(crate) async fn load(&self, key: Vec<u8>) -> Result<Value> {
        self.loads.load(key).await
    }

    /// Runs a script whose effect a failover may undo. One round trip.
    pub(crate) async fn run(&self, script: &'static Script, keys: Vec<Vec<u8>>, args: Vec<Vec<u8>>) -> Result<Answer> {
        let request = Request::Script { script, keys, args };
        Ok(Answer::new(self.connection.send(&request, None).await?.value))
    }

    /// Runs a script whose effect replicas must have, if the store waits for replicas. One round trip.
    pub(crate) async fn write(
        &self,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    ) -> Result<Answer> {
        let Some((connection, replicas)) = &self.replicated else { return self.run(script, keys, args).await };
        // Ends before the operation does, so that the connection is free again when the caller gets its answer.
        let millis = u64::try_from(self.time_limit.as_millis() * 3 / 4).unwrap_or(u64::MAX).max(1);
        let wait = Wait { replicas: replicas.get(), millis };
        let reply = connection.send(&Request::Script { script, keys, args }, Some(&wait)).await?;
        let answer = Answer::new(reply.value);
        // A script that asks for another call has written nothing yet.
        if reply.confirmed || matches!(answer.word(), "changed" | "full") {
            Ok(answer)
        } else {
            Err(error::unconfirmed())
        }
    }

    /// Whether [`write`](Self::write) waits for replicas.
    pub(crate) fn waits_for_replicas(&self) -> bool {
        self.replicated.is_some()
    }

    /// How often a connection was lost that [`write`](Self::write) uses. A write during which this changes may have
    /// been executed twice.
    pub(crate) fn disconnects(&self) -> u64 {
        self.replicated.as_ref().map_or(&*self.connection, |(connection, _)| connection).disconnects()
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
