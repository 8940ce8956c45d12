//! One connection of the client library, to whatever a [`Topology`] names.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::Sentinel;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::request::{Reply, Request, Wait};
use crate::config::url::Topology;

/// How long opening one connection to one server may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection of either kind. Cloning is cheap, and clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects. A request without a reply for `response_timeout` fails. `on_push` is told of disconnects.
    pub(super) async fn open(
        topology: &Topology,
        response_timeout: Duration,
        on_push: impl AsyncPushSender,
    ) -> RedisResult<Self> {
        match topology {
            Topology::Single(info) => Self::node(&Client::open(info.clone())?, response_timeout, on_push).await,
            Topology::Sentinel { sentinels, service, primary } => {
                let mut sentinel = Sentinel::build(sentinels.clone())?;
                let client = sentinel.async_master_for(service, Some(primary)).await?;
                Self::node(&client, response_timeout, on_push).await
            }
            Topology::Cluster(nodes) => {
                let client: ClusterClient = ClusterClientBuilder::new(nodes.clone())
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(response_timeout)
                    .overall_response_timeout(Some(response_timeout))
                    .retries(8)
                    .min_retry_wait(10)
                    .max_retry_wait(200)
                    .push_sender(on_push)
                    .tcp_settings(nodes.first().map(|node| node.tcp_settings().clone()).unwrap_or_default())
                    .build()?;
                Ok(Self::Cluster(client.get_async_connection().await?))
            }
        }
    }

    pub(super) async fn send(&mut self, request: &Request, wait: Option<&Wait>) -> RedisResult<Reply> {
        match self {
            Self::Node(connection) => request.send(connection, wait).await,
            Self::Cluster(connection) => request.send(connection, wait).await,
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
            Ok(Some(policy)) => tracing::warn!(
                policy,
                "the maxmemory-policy of Redis lets it evict live sessions, and the index that revocation depends on, \
                 when its memory is full; set it to noeviction"
            ),
            Ok(None) => tracing::debug!("Redis does not show its maxmemory-policy; it should be noeviction"),
            Err(error) => tracing::debug!(%error, "Redis does not show its maxmemory-policy; it should be noeviction"),
        }
    }

    async fn node(client: &Client, response_timeout: Duration, on_push: impl AsyncPushSender) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout))
            .set_pipeline_buffer_size(1024)
            .set_push_sender(on_push);
        Ok(Self::Node(client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}
