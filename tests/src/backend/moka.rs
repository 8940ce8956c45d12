//! [`Moka`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::Namespace;
use session_core::store::SessionStore;
use session_moka::MokaStore;

/// `session-moka`, in this process. The handles on one namespace are clones of one store, as in an application.
#[derive(Debug, Default)]
pub struct Moka {
    stores: Mutex<HashMap<Namespace, MokaStore>>,
}

#[async_trait]
impl Harness for Moka {
    fn backend(&self) -> &'static str {
        "moka"
    }

    fn capabilities(&self) -> Capabilities {
        // No server, so nothing to disrupt.
        Capabilities { durable: false, shared: true, disruptions: &[] }
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(stores.entry(namespace.clone()).or_default().clone()))
    }
}
