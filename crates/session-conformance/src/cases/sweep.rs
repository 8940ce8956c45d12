//! `delete_expired`. A store that expires records itself may answer 0, but never deletes a live session.

use session_core::store::Record;

use super::support::{HOUR, MINUTE};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// `delete_expired` takes expired sessions, and no live ones.
    "sweep/takes-expired-ones-only" [] catches [SweepTakesLive, SweepReportsLimit] => takes_expired_ones_only;
    /// `delete_expired` deletes at most as many as it is told, and says how many.
    "sweep/honours-the-limit" [] catches [SweepTakesLive, SweepIgnoresLimit, SweepReportsLimit] => honours_the_limit;
    /// A touched session is not expired.
    "sweep/spares-touched-ones" [] catches [TouchBumpsVersion, SweepTakesLive, SweepReportsLimit, SweepIgnoresTouch]
        => spares_touched_ones;
    /// Several sweeps at once count each session once.
    "sweep/counts-once" [] catches [SweepTakesLive, SweepReportsLimit, SweepNotAtomic] => counts_once;
}

/// `n` sessions that are expired, half of them anonymous, and one that is alive.
async fn expired(store: &TestStore, n: usize) -> Result<(Vec<Record>, Record), Failure> {
    let mut expired = store.insert_many(n / 2, &store.session()).await?;
    expired.extend(store.insert_many(n - n / 2, &store.anonymous()).await?);
    let live = store.insert(store.session().timeouts(2 * HOUR, 3 * HOUR)).await?;
    store.advance(HOUR);
    Ok((expired, live))
}

/// Sweeps in batches of `limit` until nothing is found. Returns how many were deleted in all.
async fn sweep(store: &TestStore, limit: u32) -> Result<u64, Failure> {
    let mut total = 0;
    for _ in 0..20 {
        let deleted = store.delete_expired(limit).await?;
        ensure!(deleted <= u64::from(limit), "`delete_expired` with a limit of {limit} reports {deleted} deletions");
        if deleted == 0 {
            return Ok(total);
        }
        total += deleted;
    }
    Err("`delete_expired` never comes to an end".into())
}

async fn takes_expired_ones_only(store: TestStore) -> Outcome {
    let (expired, live) = expired(&store, 5).await?;
    let total = sweep(&store, 100).await?;
    store.assert_stored(&live, "a live session, after `delete_expired`").await?;
    ensure!(total <= 5, "`delete_expired` reports {total} deletions where 5 sessions were expired");
    if total > 0 {
        store.assert_all_gone(&expired, "an expired session, after `delete_expired` found no more").await?;
    }
    Ok(())
}

async fn honours_the_limit(store: TestStore) -> Outcome {
    let (expired, _) = expired(&store, 5).await?;
    let deleted = store.delete_expired(2).await?;
    ensure!(deleted <= 2, "`delete_expired` with a limit of 2 reports {deleted} deletions");
    if deleted > 0 {
        let mut left = 0;
        for record in &expired {
            left += u64::from(store.load(record.id()).await?.is_some());
        }
        ensure_eq!(left, 5 - deleted, "expired sessions left of 5, after {deleted} were reported as deleted");
    }
    ensure!(deleted + sweep(&store, 2).await? <= 5, "more deletions are reported than sessions were expired");
    Ok(())
}

async fn spares_touched_ones(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.advance(20 * MINUTE);
    let touched = store.touched(&record).await?;
    store.advance(20 * MINUTE);
    ensure_eq!(store.delete_expired(100).await?, 0, "deletions, when the only session was touched");
    store.assert_stored(&touched, "past the deadline it had before the touch").await
}

async fn counts_once(store: TestStore) -> Outcome {
    for _ in 0..4 {
        let (expired, live) = expired(&store, 10).await?;
        let counts = store.run_concurrently(0..8, |store, _| async move { store.delete_expired(100).await });
        let total: u64 = counts.await?.iter().sum();
        // The live session of the round before is expired by now.
        let most = expired.len() as u64 + 1;
        ensure!(total <= most, "eight sweeps at once report {total} deletions where {most} sessions were expired");
        store.assert_stored(&live, "a live session, after eight sweeps at once").await?;
    }
    Ok(())
}
