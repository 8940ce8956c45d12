//! [`ReferenceService`]: the service of the reference store, which the cases are tested with.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_core::store::SessionStore;

use super::{Disturbance, Service};
use crate::faulty_store::{FaultyStore, InjectedFault};
use crate::outcome::Failure;
use crate::reference::ReferenceStore;

/// One store, and a connection to it from each node. What a restart, a move or a failover does to servers, it survives.
#[derive(Debug)]
pub(crate) struct ReferenceService {
    disturbance: Disturbance,
    store: Arc<ReferenceStore>,
    nodes: Mutex<Vec<Arc<FaultyStore>>>,
}

impl ReferenceService {
    pub(crate) fn new(disturbance: Disturbance) -> Self {
        Self { disturbance, store: Arc::default(), nodes: Mutex::default() }
    }

    fn each_node(&self, apply: impl Fn(&FaultyStore)) {
        for node in self.nodes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            apply(node);
        }
    }
}

#[async_trait]
impl Service for ReferenceService {
    async fn open(&self, _namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let store: Arc<ReferenceStore> = Arc::clone(&self.store);
        let node = Arc::new(FaultyStore::new(store));
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&node));
        Ok(node)
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disturbance {
            Disturbance::Outage | Disturbance::Freeze => {
                self.each_node(|node| node.inject(InjectedFault::Unavailable));
            }
            Disturbance::LostReply => self.each_node(|node| node.inject(InjectedFault::LoseNextReply)),
            Disturbance::Restart
            | Disturbance::ForgetScripts
            | Disturbance::ForeignTimeZone
            | Disturbance::MoveShards
            | Disturbance::Failover => {}
        }
        Ok(())
    }

    async fn end(&self) -> Result<(), Failure> {
        self.each_node(FaultyStore::heal);
        Ok(())
    }
}
