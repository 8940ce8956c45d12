//! `delete_expired`: hygiene. A store that expires records itself may answer 0, but never touches a live session.

use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::store::{Freshness, Record, SessionStore};

use super::support::{HOUR, MINUTE, insert, is_gone, is_stored, together};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

fn at_most(limit: u32) -> NonZeroU32 {
    NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
}

/// `n` sessions that are expired, and one that lives.
async fn expired(env: &Env, store: &dyn SessionStore, n: usize) -> Result<(Vec<Record>, Record), Failure> {
    let user = env.user("alice")?;
    let mut expired = Vec::new();
    for turn in 0..n {
        let builder = if turn % 2 == 0 { env.record() } else { env.record().of(&user) };
        let record = builder.build()?;
        insert(store, &record, env.now()).await?;
        expired.push(record);
    }
    let live = env.record().of(&user).timeouts(2 * HOUR, 3 * HOUR).build()?;
    insert(store, &live, env.now()).await?;
    env.clock().advance(HOUR);
    Ok((expired, live))
}

/// Sweeps in batches of `limit` until nothing is found. How many were deleted in all.
async fn sweep(env: &Env, store: &dyn SessionStore, limit: u32) -> Result<u64, Failure> {
    let mut total = 0;
    for _ in 0..20 {
        let deleted = store.delete_expired(env.now(), at_most(limit)).await?;
        ensure!(deleted <= u64::from(limit), "`delete_expired` with a limit of {limit} reports {deleted} deletions");
        if deleted == 0 {
            return Ok(total);
        }
        total += deleted;
    }
    Err("`delete_expired` never comes to an end".into())
}

pub(super) async fn takes_expired_ones_only(env: Env) -> Outcome {
    let store = env.store().await?;
    let (expired, live) = expired(&env, &*store, 5).await?;
    let total = sweep(&env, &*store, 100).await?;
    is_stored(&*store, &live, "a live session, after `delete_expired`").await?;
    ensure!(total <= 5, "`delete_expired` reports {total} deletions where 5 sessions were expired");
    if total > 0 {
        for record in &expired {
            is_gone(&*store, &record.summary.id, "an expired session, after `delete_expired` found no more").await?;
        }
    }
    Ok(())
}

pub(super) async fn honours_the_limit(env: Env) -> Outcome {
    let store = env.store().await?;
    let (expired, _) = expired(&env, &*store, 5).await?;
    let deleted = store.delete_expired(env.now(), at_most(2)).await?;
    ensure!(deleted <= 2, "`delete_expired` with a limit of 2 reports {deleted} deletions");
    if deleted > 0 {
        let mut left = 0;
        for record in &expired {
            left += u64::from(store.load(&record.summary.id, Freshness::Latest).await?.is_some());
        }
        ensure_eq!(left, 5 - deleted, "expired sessions left of 5, after {deleted} were reported as deleted");
    }
    ensure!(deleted + sweep(&env, &*store, 2).await? <= 5, "more deletions are reported than sessions were expired");
    Ok(())
}

pub(super) async fn spares_touched_ones(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(20 * MINUTE);
    let _ = store.touch(&record.summary.id, None, env.now()).await?;
    let seen = env.now();
    env.clock().advance(20 * MINUTE);
    let deleted = store.delete_expired(env.now(), at_most(100)).await?;
    ensure_eq!(deleted, 0, "deletions, when the only session was touched");
    let expected = record.touched(seen);
    is_stored(&*store, &expected, "past the deadline it had before the touch").await
}

pub(super) async fn counts_once(env: Env) -> Outcome {
    let store = env.store().await?;
    for _ in 0..4 {
        let (expired, live) = expired(&env, &*store, 10).await?;
        let counts = together(8, |_| {
            let (store, now) = (Arc::clone(&store), env.now());
            async move { Ok(store.delete_expired(now, at_most(100)).await?) }
        })
        .await?;
        let total: u64 = counts.iter().sum();
        // The live session of the round before is expired by now.
        let most = expired.len() as u64 + 1;
        ensure!(total <= most, "eight sweeps at once report {total} deletions where {most} sessions were expired");
        is_stored(&*store, &live, "a live session, after eight sweeps at once").await?;
    }
    Ok(())
}
