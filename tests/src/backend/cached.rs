//! [`cached`]: a backend with a cache in front.

use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::{Harness, LayeredHarness};

/// Long enough for copies to be used, short enough for cases to wait for.
const MAX_STALE: Duration = Duration::from_millis(100);

/// `harness` with a cache in front of each handle, as in each node of a service, and no feed. Called `cached-` and its name.
#[must_use]
pub fn cached<H: Harness>(harness: H) -> impl Harness {
    let name = format!("cached-{}", harness.backend()).leak();
    LayeredHarness::new(name, harness, |store| CachedStore::builder(store, MAX_STALE).build()).stale_for(MAX_STALE)
}
