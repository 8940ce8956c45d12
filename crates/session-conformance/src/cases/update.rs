//! `update`: compare-and-swap that never inserts.

use session_core::store::{Credential, Record, TouchOutcome, UpdateOutcome};
use session_core::{Assurance, Device, Kind, OsEntropy, Proof, Timeouts};

use super::liveness::{Absence, Operation, is_absent};
use super::support::{DAY, HOUR, MILLI, MINUTE, only_winner};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next, run_concurrently};

cases! {
    pub(super) const CASES: TestStore;

    /// `update` replaces every field, and values that are gone are gone.
    "update/stores-every-field" [] catches [LoadDropsDevice, UpdateKeepsLastSeen, UpdateMergesValues]
        => stores_every_field;
    /// A writer that read an older version is refused, and the newer record survives.
    "update/stale-version-conflicts" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce] => stale_version_conflicts;
    /// Two writers of the same version number are told apart by the nonce.
    "update/nonce-tells-writers-apart" [] catches [UpdateIgnoresVersion, UpdateIgnoresNonce]
        => nonce_tells_writers_apart;
    /// `update` of a session that never was is `Absent`, and inserts nothing.
    "update/absent-is-absent" [] catches [UpdateInserts, UpdateAbsentIsConflict, ListUnknownFails]
        => |store| is_absent(store, Operation::Update, Absence::NeverStored);
    /// A deleted session stays deleted: `update` never inserts.
    "update/never-resurrects" [] catches [UpdateInserts, UpdateAbsentIsConflict, DeleteKeepsIndex]
        => |store| is_absent(store, Operation::Update, Absence::Deleted);
    /// To `update`, an expired session is absent.
    "update/expired-is-absent" [] catches [UpdateRevivesExpired, ListShowsExpired]
        => |store| is_absent(store, Operation::Update, Absence::Expired);
    /// The same `update` again is `Applied` again.
    "update/repeat-is-applied" [] catches [UpdateRepeatConflicts] => repeat_is_applied;
    /// An `update` that is repeated late does not take `last_seen` back.
    "update/repeat-keeps-a-later-touch" [] catches [UpdateRepeatConflicts, UpdateRepeatRewrites, TouchBumpsVersion]
        => repeat_keeps_a_later_touch;
    /// An `update` by a request that began before the last touch does not take `last_seen` back.
    "update/keeps-a-later-touch" [] catches [UpdateRewindsLastSeen, TouchBumpsVersion, IndexAppends]
        => keeps_a_later_touch;
    /// An `update` with a later `last_seen` moves the deadline.
    "update/moves-last-seen-and-the-deadline" [] catches [UpdateKeepsLastSeen, IndexAppends]
        => moves_last_seen_and_the_deadline;
    /// An `update` with other timeouts moves the deadline, in both directions.
    "update/changes-the-lifetime" [] catches [UpdateKeepsTimeouts, TouchRevivesExpired, ListShowsExpired, IndexAppends]
        => changes_the_timeouts;

    /// Of 64 writers of the same version at once, one wins.
    "update/race-has-one-winner" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => race_has_one_winner;
    /// 64 increments at once, each repeated until it is applied, read back as 64.
    "update/no-increment-is-lost" [] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateDeletesFirst,
    ] => |store: TestStore| increments(store.clone(), store);
    /// 64 increments at once on two nodes read back as 64.
    "update/no-increment-is-lost-across-nodes" [Shared] catches [
        UpdateIgnoresVersion, UpdateIgnoresNonce, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst,
        OpenStartsEmpty,
    ] => |store: TestStore| async move { increments(store.open_node().await?, store).await };
    /// An update among touches: the values of the one, the `last_seen` of the others.
    "update/and-touch-keep-both" [] catches [
        UpdateRewindsLastSeen, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, TouchThrottled,
        TouchBackwards, TouchRepeatAbsent, TouchBumpsVersion, TouchDropsValues, TouchNotAtomic, TouchWritesBack,
    ] => update_and_touch_keep_both;
}

async fn stores_every_field(store: TestStore) -> Outcome {
    let session = store.session().value("stays", "1").value("changes", "1").value("goes", "1");
    let record = store.insert(session).await?;
    store.advance(MINUTE);
    let mut changed = next(&record)?;
    changed.data.insert("changes".into(), "2".into());
    changed.data.insert("comes".into(), "1".into());
    changed.data.remove(b"goes");
    changed.summary.device = Device::new().with_label("renamed");
    changed.summary.last_seen = store.now();
    changed.credential = Credential::issue(Kind::Cookie, record.id(), store.now(), &OsEntropy)?.0;
    if let Some(authentication) = &mut changed.summary.authentication {
        authentication.prove(Proof::new(Assurance::Aal2, store.now()).method("pwd").method("otp"));
    }
    assert_applies(&store, &changed, &record).await?;
    store.assert_stored(&changed, "after `update`").await
}

async fn assert_applies(store: &TestStore, change: &Record, before: &Record) -> Outcome {
    ensure_eq!(store.update(change, before.version).await?, UpdateOutcome::Applied, "`update` of the current version");
    Ok(())
}

async fn stale_version_conflicts(store: TestStore) -> Outcome {
    let first = store.insert(store.anonymous().value("n", "1")).await?;
    let second = store.updated(&first).await?;
    let third = store.updated(&second).await?;
    for stale in [&first, &second] {
        let answer = store.update(&next(stale)?, stale.version).await?;
        ensure_eq!(answer, UpdateOutcome::Conflict, "`update` of a version that is not the stored one");
        store.assert_stored(&third, "after the refused `update`").await?;
    }
    Ok(())
}

async fn nonce_tells_writers_apart(store: TestStore) -> Outcome {
    let first = store.insert(store.anonymous()).await?;
    let (winner, loser) = (next(&first)?, next(&first)?);
    assert_applies(&store, &winner, &first).await?;
    let answer = store.update(&loser, first.version).await?;
    ensure_eq!(answer, UpdateOutcome::Conflict, "the second writer, whose version has the same number");
    let answer = store.update(&next(&winner)?, loser.version).await?;
    ensure_eq!(answer, UpdateOutcome::Conflict, "`update` that expects the right number by the wrong writer");
    store.assert_stored(&winner, "after the refused updates").await
}

async fn repeat_is_applied(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    let change = store.updated(&record).await?;
    let again = store.update(&change, record.version).await?;
    ensure_eq!(again, UpdateOutcome::Applied, "the same `update` again");
    store.assert_stored(&change, "after the repeated `update`").await
}

async fn repeat_keeps_a_later_touch(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    let change = store.updated(&record).await?;
    store.advance(MINUTE);
    let touched = store.touched(&change).await?;
    let again = store.update(&change, record.version).await?;
    ensure_eq!(again, UpdateOutcome::Applied, "the same `update` again");
    store.assert_stored(&touched, "after an `update` that was repeated late").await
}

async fn keeps_a_later_touch(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    store.advance(20 * MINUTE);
    let last_seen = store.touched(&record).await?.summary.last_seen;
    // Written by a request that began before the one that touched.
    let change = store.updated(&record).await?;
    store.assert_stored(&change.touched(last_seen), "after an `update` with an earlier last_seen").await?;
    store.advance(20 * MINUTE);
    store.assert_lists(&store.alice, [&record], "past the deadline the session had before the touch").await
}

async fn moves_last_seen_and_the_deadline(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    store.advance(20 * MINUTE);
    let used = next(&record)?.touched(store.now());
    assert_applies(&store, &used, &record).await?;
    store.assert_stored(&used, "after an `update` with a later last_seen").await?;
    store.advance(20 * MINUTE);
    store.assert_lists(&store.alice, [&record], "past the deadline the session had before the update").await?;
    store.updated(&used).await.map(drop)
}

async fn changes_the_timeouts(store: TestStore) -> Outcome {
    let (shorter, longer) = (store.insert(store.session()).await?, store.insert(store.session()).await?);
    for (record, idle, absolute) in [(&shorter, 5 * MINUTE, HOUR), (&longer, 2 * DAY, 3 * DAY)] {
        let mut change = next(record)?;
        change.summary.timeouts = Timeouts { idle, absolute };
        assert_applies(&store, &change, record).await?;
        store.assert_stored(&change, "after an `update` with other timeouts").await?;
    }
    store.advance(10 * MINUTE);
    store.assert_lists(&store.alice, [&longer], "past the shortened deadline").await?;
    ensure_eq!(store.touch(&shorter).await?, TouchOutcome::Absent, "`touch` past the shortened deadline");
    store.advance(DAY);
    store.assert_lists(&store.alice, [&longer], "before the lengthened deadline").await
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

/// 64 increments at once, on both nodes in turn.
async fn increments(a: TestStore, b: TestStore) -> Outcome {
    let record = a.insert(a.anonymous().value("n", 0_u32.to_be_bytes().to_vec())).await?;
    let tasks = [&a, &b].into_iter().cycle().take(64).map(|node| increment(node.clone(), record.clone()));
    run_concurrently(tasks.collect()).await?;
    let end = a.stored(&record, "after the increments").await?;
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
