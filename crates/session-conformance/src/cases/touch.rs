//! `touch`: moves `last_seen` forward, and changes nothing else.

use session_core::store::TouchOutcome;

use super::liveness::{Absence, Operation, is_absent};
use super::support::{HOUR, MILLI, MINUTE, full_session};
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// `touch` moves `last_seen`, to the millisecond.
    "touch/moves-last-seen" [] catches [TouchThrottled] => moves_last_seen;
    /// An earlier touch that arrives later changes nothing, and is `Applied`.
    "touch/never-backwards" [] catches [TouchBackwards, TouchRepeatAbsent] => never_backwards;
    /// The same `touch` again is `Applied` again.
    "touch/repeat-is-applied" [] catches [TouchRepeatAbsent] => repeat_is_applied;
    /// `touch` changes neither the version nor anything else.
    "touch/changes-nothing-else" [] catches [LoadDropsDevice, TouchBumpsVersion, TouchDropsValues]
        => changes_nothing_else;
    /// `touch` of a session that never was is `Absent`.
    "touch/unknown-is-absent" [] catches [TouchUnknownApplied, ListUnknownFails]
        => |store| is_absent(store, Operation::Touch, Absence::NeverStored);
    /// A deleted session stays deleted: `touch` never inserts.
    "touch/never-inserts" [] catches [TouchUnknownApplied, TouchInserts, DeleteKeepsIndex]
        => |store| is_absent(store, Operation::Touch, Absence::Deleted);
    /// To `touch`, an expired session is absent: it does not come back to life.
    "touch/expired-is-absent" [] catches [TouchRevivesExpired, ListShowsExpired]
        => |store| is_absent(store, Operation::Touch, Absence::Expired);
    /// `touch` moves the idle deadline, again and again.
    "touch/extends-the-idle-deadline" [] catches [TouchBumpsVersion, TouchKeepsDeadline] => extends_the_idle_deadline;
    /// `touch` does not move the absolute deadline.
    "touch/stops-at-the-absolute-deadline" [] catches [
        TouchRevivesExpired, TouchKeepsDeadline, TouchIgnoresAbsoluteDeadline, ListShowsExpired,
    ] => stops_at_the_absolute_deadline;
    /// The list shows `last_seen` as touched.
    "touch/shows-in-the-list" [] catches [TouchSkipsList] => shows_in_the_list;
    /// After 64 touches at once, in any order, the latest counts.
    "touch/race-keeps-the-latest" [] catches [
        TouchThrottled, TouchBackwards, TouchRepeatAbsent, TouchNotAtomic, TouchWritesBack,
    ] => race_keeps_the_latest;
}

async fn moves_last_seen(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.advance(MINUTE - MILLI);
    store.touched(&record).await?;
    let loaded = store.stored(&record, "after `touch`").await?;
    ensure_eq!(loaded.summary.last_seen, store.now(), "last_seen after `touch`");
    Ok(())
}

async fn never_backwards(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.advance(2 * MINUTE);
    store.touched(&record).await?;
    let answer = store.touch_at(&record, store.now() - MINUTE).await?;
    ensure_eq!(answer, TouchOutcome::Applied, "`touch` that was overtaken by a later one");
    let loaded = store.stored(&record, "after both touches").await?;
    ensure_eq!(loaded.summary.last_seen, store.now(), "last_seen after an earlier touch arrived late");
    Ok(())
}

async fn repeat_is_applied(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.advance(MINUTE);
    for _ in 0..2 {
        ensure_eq!(store.touch(&record).await?, TouchOutcome::Applied, "`touch`, sent twice");
    }
    Ok(())
}

async fn changes_nothing_else(store: TestStore) -> Outcome {
    let record = store.insert(full_session(&store)).await?;
    store.advance(HOUR);
    let touched = store.touched(&record).await?;
    store.assert_stored(&touched, "after `touch`").await?;
    // A request that loaded the session before the touch can still write it.
    store.updated(&record).await.map(drop)
}

async fn extends_the_idle_deadline(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    // Twice, so that the second touch comes after the deadline the session began with.
    for _ in 0..2 {
        store.advance(20 * MINUTE);
        let answer = store.touch(&record).await?;
        ensure_eq!(answer, TouchOutcome::Applied, "`touch` every 20 minutes, with an idle timeout of 30");
    }
    store.advance(20 * MINUTE);
    store.assert_lists(&store.alice, [&record], "an hour after its beginning, with touches").await?;
    store.updated(&record).await.map(drop)
}

async fn stops_at_the_absolute_deadline(store: TestStore) -> Outcome {
    let record = store.insert(store.session().timeouts(30 * MINUTE, HOUR)).await?;
    for _ in 0..2 {
        store.advance(25 * MINUTE);
        ensure_eq!(store.touch(&record).await?, TouchOutcome::Applied, "`touch` before the absolute deadline");
    }
    store.advance(15 * MINUTE);
    let when = "after the absolute deadline, but before the idle one";
    ensure_eq!(store.touch(&record).await?, TouchOutcome::Absent, "`touch` {when}");
    store.assert_lists(&store.alice, [], when).await
}

async fn shows_in_the_list(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    store.advance(MINUTE);
    store.touched(&record).await?;
    let listed = store.list(&store.alice).await?;
    ensure_eq!(listed.len(), 1, "listed sessions");
    ensure_eq!(listed[0].last_seen, store.now(), "last_seen in the list, after the touch");
    Ok(())
}

async fn race_keeps_the_latest(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    for _ in 0..3 {
        let begin = store.now();
        store.advance(MINUTE);
        // A permutation of 0 to 63 ms in which the latest is neither first nor last.
        let touches = (0..64_u32).map(|turn| (begin + turn * 37 % 64 * MILLI, record.clone()));
        let answers =
            store.run_concurrently(touches, |store, (seen, record)| async move { store.touch_at(&record, seen).await });
        let applied = answers.await?.iter().all(|answer| *answer == TouchOutcome::Applied);
        ensure!(applied, "64 touches at once: all must be applied");
        let loaded = store.stored(&record, "after 64 touches at once").await?;
        ensure_eq!(loaded.summary.last_seen, begin + 63 * MILLI, "last_seen after 64 touches at once");
    }
    Ok(())
}
