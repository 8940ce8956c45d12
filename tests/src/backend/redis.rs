//! [`Redis`], [`RedisSentinel`], [`RedisCluster`].

use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disturbance, Failure, Harness, Service};
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
            disturbances: &[
                Disturbance::Restart,
                Disturbance::Outage,
                Disturbance::Freeze,
                Disturbance::LostReply,
                Disturbance::ForgetScripts,
            ],
        }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&redis_url().await.map_err(failure)?, namespace, TIMEOUT).await
    }

    async fn launch(&self, disturbance: Disturbance) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(RedisService::launch(disturbance).await?))
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
        Capabilities { durable: true, shared: true, disturbances: &[Disturbance::Failover] }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&redis_sentinel().await.map_err(failure)?.url(), namespace, TIMEOUT).await
    }

    async fn launch(&self, _disturbance: Disturbance) -> Result<Box<dyn Service>, Failure> {
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
            disturbances: &[
                Disturbance::Restart,
                Disturbance::Outage,
                Disturbance::Freeze,
                Disturbance::ForgetScripts,
                Disturbance::MoveShards,
                Disturbance::Failover,
            ],
        }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&redis_cluster().await.map_err(failure)?.url(), namespace, TIMEOUT).await
    }

    async fn launch(&self, disturbance: Disturbance) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(ClusterService::launch(disturbance).await?))
    }
}
