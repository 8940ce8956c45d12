//! `delete`: gone, and stays gone.

use std::slice;

use session_core::DeleteOutcome;

use super::support::{HOUR, Write, among_writes};
use crate::outcome::{Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// A deleted session cannot be loaded.
    "delete/removes" [] catches [DeleteKeepsAnonymous] => removes;
    /// A deleted session is not listed, the others of the user are.
    "delete/index-forgets" [] catches [DeleteKeepsIndex, DeleteTakesSiblings] => index_forgets;
    /// `delete` of what is not there is `Absent`, and no error.
    "delete/repeat-is-absent" [] catches [DeleteAlwaysDeleted, DeleteUnknownFails] => repeat_is_absent;
    /// The session of somebody else is left alone, and answered as `Absent`.
    "delete/wrong-owner-is-absent" [] catches [DeleteIgnoresOwner, DeleteAlwaysDeleted, ListShowsAnonymous]
        => wrong_owner_is_absent;
    /// An expired session is deleted too.
    "delete/takes-expired-ones" [] catches [DeleteSparesExpired, ListShowsExpired] => takes_expired_ones;
    /// Of 16 deletions at once, one is told `Deleted`.
    "delete/race-has-one-winner" [] catches [DeleteAlwaysDeleted, DeleteUnknownFails, DeleteNotAtomic]
        => race_has_one_winner;
    /// A logout among updates is a logout.
    "delete/beats-concurrent-updates" [] catches [
        UpdateInserts, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, DeleteKeepsIndex,
    ] => |store| beats_concurrent(store, Write::Update);
    /// A logout among touches is a logout.
    "delete/beats-concurrent-touches" [] catches [TouchInserts, TouchWritesBack, DeleteKeepsIndex]
        => |store| beats_concurrent(store, Write::Touch);
    /// Other sessions stay.
    "delete/leaves-others-alone" [] catches [DeleteTakesSiblings] => leaves_others_alone;
}

async fn removes(store: TestStore) -> Outcome {
    for session in [store.anonymous(), store.session()] {
        let record = store.insert(session).await?;
        store.deleted(&record).await?;
        store.assert_gone(&record, "after `delete`").await?;
    }
    Ok(())
}

async fn index_forgets(store: TestStore) -> Outcome {
    let (gone, left) = (store.insert(store.session()).await?, store.insert(store.session()).await?);
    store.deleted(&gone).await?;
    store.assert_stored(&left, "another session of the user, after `delete`").await?;
    store.assert_lists(&store.alice, [&left], "after `delete`").await
}

async fn repeat_is_absent(store: TestStore) -> Outcome {
    let unknown = store.anonymous().build()?;
    ensure_eq!(store.delete(&unknown).await?, DeleteOutcome::Absent, "`delete` of a session that never was");
    let record = store.insert(store.anonymous()).await?;
    store.deleted(&record).await?;
    for _ in 0..2 {
        ensure_eq!(store.delete(&record).await?, DeleteOutcome::Absent, "`delete`, repeated");
    }
    Ok(())
}

async fn wrong_owner_is_absent(store: TestStore) -> Outcome {
    let bob = store.user("bob")?;
    let (anonymous, session) = (store.insert(store.anonymous()).await?, store.insert(store.session()).await?);
    for (record, stranger) in [(&session, Some(&bob)), (&session, None), (&anonymous, Some(&bob))] {
        let answer = store.delete_as(stranger, record).await?;
        ensure_eq!(answer, DeleteOutcome::Absent, "`delete` of the session of another user");
        store.assert_stored(record, "after `delete` by another user").await?;
    }
    store.assert_lists(&store.alice, [&session], "after `delete` by another user").await
}

async fn takes_expired_ones(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    store.advance(HOUR);
    // Tells the time to a store that learns it from its calls.
    store.assert_lists(&store.alice, [], "after the deadline").await?;
    // Deleted, or Absent where the store removed it before.
    let _ = store.delete(&record).await?;
    store.assert_gone(&record, "an expired session, after `delete`").await
}

async fn race_has_one_winner(store: TestStore) -> Outcome {
    for _ in 0..4 {
        let record = store.insert(store.anonymous()).await?;
        let rivals = (0..16).map(|_| record.clone());
        let answers = store.run_concurrently(rivals, |store, record| async move { store.delete(&record).await });
        let winners = answers.await?.iter().filter(|answer| **answer == DeleteOutcome::Deleted).count();
        ensure_eq!(winners, 1, "deletions that got Deleted, of 16 at once");
    }
    Ok(())
}

async fn beats_concurrent(store: TestStore, write: Write) -> Outcome {
    for _ in 0..8 {
        let record = store.insert(store.session()).await?;
        among_writes(&store, slice::from_ref(&record), write, store.deleted(&record)).await?;
        // One more, which is certain to be late.
        write.run(&store, &record, 1).await?;
        store.assert_gone(&record, "after `delete` among writes").await?;
    }
    store.assert_lists(&store.alice, [], "after `delete` among writes").await
}

async fn leaves_others_alone(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    let mut others = Vec::new();
    for session in [store.session(), store.session_of(&store.user("bob")?), store.anonymous()] {
        others.push(store.insert(session).await?);
    }
    store.deleted(&record).await?;
    store.assert_all_stored(&others, "another session, after `delete`").await
}
