//! [`Redis`], [`RedisSentinel`], [`RedisCluster`].

use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::store::SessionStore;

use super::open::{self, TIMEOUT, failure};
use super::redis_service::{ClusterService, RedisService, SentinelService};
use crate::servers::{redis_cluster, redis_sentinel, redis_url};

/// `session-redis` on one server. Each handle has its own connections, like each node of a service.
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
        open::redis(&redis_url().await.map_err(failure)?, namespace, TIMEOUT).await
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
        open::redis(&redis_sentinel().await.map_err(failure)?.url(), namespace, TIMEOUT).await
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
        open::redis(&redis_cluster().await.map_err(failure)?.url(), namespace, TIMEOUT).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(ClusterService::launch(disruption).await?))
    }
}
