//! `update`: compare-and-swap that never inserts.

use session_core::store::{Credential, Record, TouchOutcome, UpdateOutcome};
use session_core::{Assurance, Device, Kind, OsEntropy, Timeouts};

use super::liveness::{Absence, Operation, is_absent};
use super::support::{DAY, HOUR, MINUTE};
use crate::outcome::{Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next};

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
        authentication.at = store.now();
        authentication.level = Assurance::Aal2;
        authentication.methods = ["pwd".to_owned(), "otp".to_owned()].into();
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
