//! A short chaos run on each backend. `cargo xtask chaos` is the long one, on Valkey too, which differs from Redis here by one
//! command.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use session_conformance::Rng;
use session_testbed::chaos::{Options, Target, run};

async fn holds(target: Target) {
    // What a client gives up on is ended within seconds, if the machine lets it: one at a time.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let seed = Rng::seed().unwrap();
    let findings = run(Options { target, duration: Duration::from_secs(12), seed, users: 6 }).await.unwrap();
    let name = target.name();
    let again = format!("repeat it with: cargo xtask chaos --backend {name} --minutes 1 --users 6 --seed {seed}");
    assert!(findings.is_clean(), "{name}: {:?}; {again}\n{}", findings.broken, findings.descriptions.join("\n"));
    // It would hold, too, if nobody had done anything.
    assert!(findings.sessions > 20 && findings.answered > 500, "{name}: {findings:?}; {again}");
    assert_eq!(findings.copies > 20, target.is_cached(), "{name}: {findings:?}; {again}");
    assert!(!findings.faults.is_empty() && findings.failed + findings.cancelled > 0, "{name}: {findings:?}; {again}");
}

/// On one of the servers that have a cache in front, each time another one. All of them: `cargo xtask chaos --backend cached`.
#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_holds_with_a_cache() {
    let turn = Rng::seed().unwrap();
    holds(Rng::new(turn, 0).pick(&Target::CACHED).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_holds_on_moka() {
    holds(Target::Moka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_holds_on_sqlite() {
    holds(Target::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_holds_on_redis() {
    holds(Target::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_holds_on_postgres() {
    holds(Target::Postgres).await;
}
