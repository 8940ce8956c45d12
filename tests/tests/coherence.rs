//! What goes wrong between processes that keep copies, in short: `cargo xtask coherence` is the long form, on every store.
//! Needs the program of session-demo, which `cargo test --workspace` builds.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use session_conformance::Rng;
use session_testbed::coherence::{Fault, Options, Store, failures};

async fn holds(store: Store, fault: Fault) {
    let seed = Rng::seed().unwrap();
    let found = failures(store, &[fault], Options { runs: 1, nodes: 2, seed }, &|_| ()).await.unwrap();
    let [outcome] = &found[..] else { unreachable!("one failure") };
    assert!(outcome.holds(), "seed {seed}: {outcome:?}");
    // It would hold, too, if nobody had done anything.
    assert!(outcome.revoked > 0 && outcome.answers > 100 && outcome.runs >= 2, "seed {seed}: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_feed_is_cut_serves_nothing_for_too_long() {
    holds(Store::Redis, Fault::FeedCut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_of_nothing_serves_nothing_for_too_long() {
    holds(Store::Postgres, Fault::WriterKilled).await;
}
