//! The one list of backends.

use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::SessionStore;
use session_moka::MokaStore;

/// Every backend of this repository: what the conformance runner and the tests across backends run on.
#[must_use]
pub fn backends() -> Vec<Arc<dyn Harness>> {
    vec![
        Arc::new(Moka), // one line for each backend
    ]
}

/// `session-moka`: in this process.
#[derive(Debug)]
struct Moka;

#[async_trait]
impl Harness for Moka {
    fn backend(&self) -> &'static str {
        "moka"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, shared: false }
    }

    async fn open(&self, _namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(Arc::new(MokaStore::new()))
    }
}
