//! The conformance suite on a cache in front of the reference store, without a feed.

use std::process::ExitCode;
use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::{LayeredHarness, ReferenceHarness};

/// Long enough for copies to be used, short enough to wait for.
const MAX_STALE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cached = |store| CachedStore::builder(store, MAX_STALE).build();
    let harness = LayeredHarness::new("cached-reference", ReferenceHarness::default(), cached);
    session_conformance::main(harness.stale_for(MAX_STALE))
}
