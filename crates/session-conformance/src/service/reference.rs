//! [`ReferenceService`]: the service of the reference store, which the cases are tested with.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_core::store::SessionStore;

use super::{Disturbance, Service};
use crate::outcome::Failure;
use crate::reference::ReferenceStore;
use crate::request::{Line, Trouble};

/// One store, and a line to it from each node. What a restart, a move or a failover does to servers, it survives.
#[derive(Debug)]
pub(crate) struct ReferenceService {
    disturbance: Disturbance,
    store: Arc<ReferenceStore>,
    lines: Mutex<Vec<Arc<Line>>>,
}

impl ReferenceService {
    pub(crate) fn new(disturbance: Disturbance) -> Self {
        Self { disturbance, store: Arc::default(), lines: Mutex::default() }
    }

    fn suffer(&self, trouble: &Trouble) {
        for line in self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line.suffer(trouble.clone());
        }
    }
}

#[async_trait]
impl Service for ReferenceService {
    async fn open(&self, _namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let store: Arc<ReferenceStore> = Arc::clone(&self.store);
        let line = Arc::new(Line::new(store, false));
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&line));
        Ok(line)
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disturbance {
            Disturbance::Outage | Disturbance::Freeze => self.suffer(&Trouble::Down),
            Disturbance::LostReply => self.suffer(&Trouble::LosesOneAnswer),
            Disturbance::Restart
            | Disturbance::ForgetScripts
            | Disturbance::ForeignTimeZone
            | Disturbance::MoveShards
            | Disturbance::Failover => {}
        }
        Ok(())
    }

    async fn end(&self) -> Result<(), Failure> {
        self.suffer(&Trouble::None);
        Ok(())
    }
}
