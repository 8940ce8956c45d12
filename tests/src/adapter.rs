//! The one list of adapters to HTTP frameworks.

mod actix;
mod application;
mod tower;

use std::sync::Arc;

use session_conformance::{AdapterHarness, CoreAdapter};

pub use actix::Actix;
pub use tower::Tower;

/// Every adapter of this repository, after the steps of core that they all take: what the conformance runner sends whole
/// requests through.
#[must_use]
pub fn adapters() -> Vec<Arc<dyn AdapterHarness>> {
    vec![
        Arc::new(CoreAdapter), // one line for each adapter
        Arc::new(Tower),
        Arc::new(Actix),
    ]
}
