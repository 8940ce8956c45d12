//! `update`, when several tasks write at once.

use session_core::store::{Record, TouchOutcome, UpdateOutcome};

use super::support::{MILLI, only_winner};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next, run_concurrently};

cases! {
    pub(super) const CASES: TestStore;

    /// Of 64 writers of the same version at once, one wins.
    "update/race-has-one-winner" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => race_has_one_winner;
    /// 64 increments at once, each repeated until it is applied, read back as 64.
    "update/no-increment-is-lost" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => no_increment_is_lost;
    /// 64 increments at once on two nodes read back as 64.
    "update/no-increment-is-lost-across-nodes" [Shared] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst,
        OpenStartsEmpty,
    ] => no_increment_is_lost_across_nodes;
    /// An update among touches: the values of the one, the `last_seen` of the others.
    "update/and-touch-keep-both" [] catches [
        UpdateRewindsLastSeen, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, TouchThrottled,
        TouchBackwards, TouchRepeatAbsent, TouchBumpsVersion, TouchDropsValues, TouchNotAtomic, TouchWritesBack,
    ] => update_and_touch_keep_both;
}

async fn race_has_one_winner(store: TestStore) -> Outcome {
    for _ in 0..4 {
        let record = store.insert(store.anonymous()).await?;
        let rivals = (0..64).map(|_| record.clone());
        let answers = store.run_concurrently(rivals, |store, record| async move {
            let change = next(&record)?;
            Ok((store.update(&change, record.version).await?, change))
        });
        let what = "writers of the same version";
        let winner = only_winner(answers.await?, &UpdateOutcome::Applied, &UpdateOutcome::Conflict, what)?;
        store.assert_stored(&winner, "after the race").await?;
    }
    Ok(())
}

async fn no_increment_is_lost(store: TestStore) -> Outcome {
    increments(&[&store]).await
}

async fn no_increment_is_lost_across_nodes(store: TestStore) -> Outcome {
    increments(&[&store, &store.open_node().await?]).await
}

/// 64 increments at once, on `nodes` in turn.
async fn increments(nodes: &[&TestStore]) -> Outcome {
    let record = nodes[0].insert(nodes[0].anonymous().value("n", 0_u32.to_be_bytes().to_vec())).await?;
    let tasks = nodes.iter().cycle().take(64).map(|node| increment((*node).clone(), record.clone()));
    run_concurrently(tasks.collect()).await?;
    let end = nodes[0].stored(&record, "after the increments").await?;
    ensure_eq!(count(&end)?, 64, "the counter after 64 acknowledged increments");
    ensure_eq!(end.version.number, 65, "the version number after 64 updates");
    Ok(())
}

/// Adds one to the counter, retrying after conflicts.
async fn increment(store: TestStore, record: Record) -> Outcome {
    for _ in 0..10_000 {
        let record = store.stored(&record, "while it is being counted").await?;
        let change = incremented(&record)?;
        // So that other tasks write in between.
        tokio::task::yield_now().await;
        match store.update(&change, record.version).await? {
            UpdateOutcome::Applied => return Ok(()),
            UpdateOutcome::Conflict => {}
            UpdateOutcome::Absent => return Err("the session is gone while it is being counted".into()),
        }
    }
    Err("no end of conflicts".into())
}

/// The next version of `record`, with its counter incremented.
pub(super) fn incremented(record: &Record) -> Result<Record, Failure> {
    let mut change = next(record)?;
    change.data.insert("n".into(), (count(record)? + 1).to_be_bytes().to_vec().into());
    Ok(change)
}

pub(super) fn count(record: &Record) -> Result<u32, Failure> {
    let value = record.data.get(b"n").and_then(|value| <[u8; 4]>::try_from(value.as_ref()).ok());
    value.map(u32::from_be_bytes).ok_or_else(|| "the counter is gone".into())
}

async fn update_and_touch_keep_both(store: TestStore) -> Outcome {
    for round in 0..16 {
        let record = store.insert(store.anonymous().value("n", "0")).await?;
        store.advance(32 * MILLI);
        let mut change = next(&record)?;
        change.data.insert("n".into(), "1".into());
        let turns = (0..8).map(|turn| (turn, record.clone(), change.clone()));
        // One writer that does not know of the touches, among them. The latest touch comes first in every other round.
        let applied = store.run_concurrently(turns, |store, (turn, record, change)| async move {
            if turn == 3 {
                return Ok(store.update(&change, record.version).await? == UpdateOutcome::Applied);
            }
            let before = if round % 2 == 0 { turn } else { 7 - turn };
            Ok(store.touch_at(&record, store.now() - before * MILLI).await? == TouchOutcome::Applied)
        });
        ensure!(applied.await?.iter().all(|applied| *applied), "one `update` among touches: all must be applied");
        store.assert_stored(&change.touched(store.now()), "after one `update` among touches").await?;
    }
    Ok(())
}
