//! The shared suite, on this store.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::SessionStore;
use session_moka::MokaStore;

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

fn main() -> ExitCode {
    session_conformance::main(Moka)
}
