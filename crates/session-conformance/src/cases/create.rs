//! `create`: insert if absent.

use std::time::Duration;

use session_core::LimitPolicy;
use session_core::store::{CreateOutcome, Version};

use super::support::{HOUR, MINUTE, limit, only_winner};
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{CREATED, TestStore};

cases! {
    pub(super) const CASES: TestStore;

    /// The id of a live session is never overwritten: `Occupied`, and nothing changes.
    "create/rejects-live-duplicate" [] catches [CreateOverwrites] => rejects_live_duplicate;
    /// Another writer with the same version number is not a repetition: `Occupied`.
    "create/tells-writers-apart" [] catches [CreateOverwrites, CreateIgnoresNonce] => tells_writers_apart;
    /// The id of an expired session is free.
    "create/replaces-expired-duplicate" [] catches [ExpiredKeepsId] => replaces_expired_duplicate;
    /// The same `create` again is `Created` again, and nothing changes.
    "create/repeat-is-created" [] catches [CreateRepeatIsTaken] => repeat_is_created;
    /// A `create` that is repeated late does not take `last_seen` back.
    "create/repeat-keeps-a-later-touch" [] catches [CreateRepeatIsTaken, CreateRepeatRewrites, TouchBumpsVersion]
        => repeat_keeps_a_later_touch;
    /// The same login again is `Created` again, although the session it replaces is gone by then.
    "create/repeat-of-a-login-is-created" [] catches [
        CreateRepeatIsTaken, ReplacesCheckedFirst, ReplaceLeavesOtherShard,
    ] => repeat_of_a_login_is_created;
    /// The same login again neither counts itself nor evicts itself.
    "create/repeat-at-the-limit-is-created" [] catches [CreateRepeatIsTaken, LimitCountsItself]
        => repeat_at_the_limit_is_created;
    /// Of 64 tasks that create the same id at once, one wins, and its record is the one that is stored.
    "create/race-has-one-winner" [] catches [CreateOverwrites, CreateIgnoresNonce, CreateNotAtomic]
        => race_has_one_winner;
    /// Sessions of one user are separate records.
    "create/sessions-are-independent" [] catches [UpdateHitsAllOfUser] => sessions_are_independent;
}

async fn rejects_live_duplicate(store: TestStore) -> Outcome {
    let first = store.insert(store.anonymous().value("who", "first")).await?;
    let first = store.updated(&first).await?;
    let second = store.anonymous().id(first.id()).value("who", "second").build()?;
    ensure_eq!(store.create(&second).await?, CreateOutcome::IdTaken, "`create` of an id that is taken");
    store.assert_stored(&first, "after the refused `create`").await
}

async fn tells_writers_apart(store: TestStore) -> Outcome {
    let first = store.insert(store.anonymous().value("who", "first")).await?;
    let mut second = store.anonymous().id(first.id()).value("who", "second").build()?;
    second.version = Version { nonce: first.version.nonce ^ 1, ..first.version };
    let answer = store.create(&second).await?;
    ensure_eq!(answer, CreateOutcome::IdTaken, "`create` of a taken id, with the same version number");
    store.assert_stored(&first, "after the refused `create`").await
}

async fn replaces_expired_duplicate(store: TestStore) -> Outcome {
    let old = store.insert(store.anonymous().value("who", "old")).await?;
    store.advance(2 * HOUR);
    let new = store.insert(store.anonymous().id(old.id()).value("name", "new")).await?;
    store.assert_stored(&new, "after `create` of an id that an expired session has").await
}

async fn repeat_is_created(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    ensure_is_created(&store.create(&record).await?)?;
    store.assert_stored(&record, "after the repeated `create`").await?;
    store.assert_lists(&store.alice, [&record], "after the repeated `create`").await
}

async fn repeat_keeps_a_later_touch(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.advance(MINUTE);
    let touched = store.touched(&record).await?;
    ensure_is_created(&store.create(&record).await?)?;
    store.assert_stored(&touched, "after a `create` that was repeated late").await
}

async fn repeat_of_a_login_is_created(store: TestStore) -> Outcome {
    let (old, new) = (store.insert(store.anonymous()).await?, store.session().build()?);
    ensure_eq!(store.replace(&old, &new).await?, CREATED, "`create` in exchange");
    // The session to replace is gone by now, and that must not matter.
    ensure_is_created(&store.replace(&old, &new).await?)?;
    store.assert_stored(&new, "after the repeated exchange").await?;
    store.assert_gone(&old, "after the repeated exchange").await
}

fn ensure_is_created(again: &CreateOutcome) -> Outcome {
    ensure!(matches!(again, CreateOutcome::Created { .. }), "the same `create` again: expected Created, got {again:?}");
    Ok(())
}

async fn repeat_at_the_limit_is_created(store: TestStore) -> Outcome {
    for (name, at_limit) in [("alice", LimitPolicy::Reject), ("bob", LimitPolicy::EvictOldest)] {
        let record = store.session_of(&store.user(name)?).build()?;
        ensure_eq!(store.login(&record, limit(1, at_limit)).await?, CREATED, "the first login");
        let again = store.login(&record, limit(1, at_limit)).await?;
        ensure_eq!(again, CREATED, "the same login again, under {at_limit:?} at a limit of one");
        store.assert_stored(&record, "after the repeated login").await?;
    }
    Ok(())
}

async fn race_has_one_winner(store: TestStore) -> Outcome {
    for _ in 0..4 {
        let id = store.anonymous().build()?.id();
        let create = |store: TestStore, _| async move {
            let record = store.anonymous().id(id).build()?;
            Ok((store.create(&record).await?, record))
        };
        let answers = store.run_concurrently(0..64, create).await?;
        let winner = only_winner(answers, &CREATED, &CreateOutcome::IdTaken, "tasks that create the same id")?;
        store.assert_stored(&winner, "after the race").await?;
    }
    Ok(())
}

async fn sessions_are_independent(store: TestStore) -> Outcome {
    let mut records = Vec::new();
    for turn in 0..5_u64 {
        store.advance(Duration::from_secs(turn));
        records.push(store.insert(store.session().value("turn", turn.to_be_bytes().to_vec())).await?);
    }
    records[2] = store.updated(&records[2]).await?;
    store.assert_all_stored(&records, "one of five sessions of a user, of which one was updated").await
}
