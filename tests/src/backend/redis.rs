//! [`Redis`], [`RedisSentinel`], [`RedisCluster`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::store::SessionStore;
use session_redis::RedisStore;

use super::redis_service::{ClusterService, RedisService, SentinelService};
use super::{PATIENCE, failure};
use crate::servers::{redis_cluster, redis_sentinel, redis_url};

/// `session-redis` on one server. Each handle has connections of its own, as each node of a service has.
#[derive(Debug)]
pub struct Redis;

#[async_trait]
impl Harness for Redis {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            disruptions: &[
                Disruption::Restart,
                Disruption::Outage,
                Disruption::Freeze,
                Disruption::LostReply,
                Disruption::ForgetScripts,
            ],
        }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open(&redis_url().await.map_err(failure)?, namespace, PATIENCE).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(RedisService::launch(disruption).await?))
    }
}

/// `session-redis` behind Sentinel.
#[derive(Debug)]
pub struct RedisSentinel;

#[async_trait]
impl Harness for RedisSentinel {
    fn backend(&self) -> &'static str {
        "redis-sentinel"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true, disruptions: &[Disruption::Failover] }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open(&redis_sentinel().await.map_err(failure)?.url(), namespace, PATIENCE).await
    }

    async fn launch(&self, _disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(SentinelService::launch().await?))
    }
}

/// `session-redis` on a Cluster of three primaries.
#[derive(Debug)]
pub struct RedisCluster;

#[async_trait]
impl Harness for RedisCluster {
    fn backend(&self) -> &'static str {
        "redis-cluster"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            disruptions: &[
                Disruption::Restart,
                Disruption::Outage,
                Disruption::Freeze,
                Disruption::ForgetScripts,
                Disruption::MoveShards,
                Disruption::Failover,
            ],
        }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open(&redis_cluster().await.map_err(failure)?.url(), namespace, PATIENCE).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(ClusterService::launch(disruption).await?))
    }
}

pub(super) async fn open(url: &str, namespace: &str, timeout: Duration) -> Result<Arc<dyn SessionStore>, Failure> {
    let store = RedisStore::builder(url).key_prefix(namespace).operation_timeout(timeout).connect().await;
    Ok(Arc::new(store.map_err(failure)?))
}
