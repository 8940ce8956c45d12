//! `create`: insert if absent.

use std::sync::Arc;
use std::time::Duration;

use session_core::LimitPolicy;
use session_core::store::{CreateOutcome, TouchOutcome, Version};

use super::support::{
    CREATED, HOUR, MINUTE, create, insert, is_gone, is_stored, limit, lists, login, replace, together, updated,
};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

pub(super) async fn rejects_live_duplicate(env: Env) -> Outcome {
    let store = env.store().await?;
    let first = env.record().value("who", "first").build()?;
    insert(&*store, &first, env.now()).await?;
    let first = updated(&*store, &first, env.now()).await?;
    let second = env.record().id(first.summary.id).value("who", "second").build()?;
    ensure_eq!(create(&*store, &second, env.now()).await?, CreateOutcome::IdTaken, "`create` of an id that is taken");
    is_stored(&*store, &first, "after the refused `create`").await
}

pub(super) async fn tells_writers_apart(env: Env) -> Outcome {
    let store = env.store().await?;
    let first = env.record().value("who", "first").build()?;
    insert(&*store, &first, env.now()).await?;
    let mut second = env.record().id(first.summary.id).value("who", "second").build()?;
    second.version = Version { nonce: first.version.nonce ^ 1, ..first.version };
    let admitted = create(&*store, &second, env.now()).await?;
    ensure_eq!(
        admitted,
        CreateOutcome::IdTaken,
        "`create` of a taken id, with the same version number by another writer"
    );
    is_stored(&*store, &first, "after the refused `create`").await
}

pub(super) async fn replaces_expired_duplicate(env: Env) -> Outcome {
    let store = env.store().await?;
    let old = env.record().value("who", "old").build()?;
    insert(&*store, &old, env.now()).await?;
    env.clock().advance(2 * HOUR);
    let new = env.record().id(old.summary.id).value("name", "new").build()?;
    ensure_eq!(create(&*store, &new, env.now()).await?, CREATED, "`create` of an id that an expired session has");
    is_stored(&*store, &new, "after that `create`").await
}

pub(super) async fn repeat_is_created(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    let again = create(&*store, &record, env.now()).await?;
    ensure!(matches!(again, CreateOutcome::Created { .. }), "the same `create` again: expected Created, got {again:?}");
    is_stored(&*store, &record, "after the repeated `create`").await?;
    lists(&*store, &user, [record.summary.id], env.now(), "after the repeated `create`").await
}

pub(super) async fn repeat_keeps_a_later_touch(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    let touched = store.touch(&record.summary.id, None, env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "`touch`");
    let again = create(&*store, &record, env.now()).await?;
    ensure!(matches!(again, CreateOutcome::Created { .. }), "the same `create` again: expected Created, got {again:?}");
    let mut expected = record;
    expected.summary.last_seen = env.now();
    is_stored(&*store, &expected, "after a `create` that was repeated late").await
}

pub(super) async fn repeat_of_a_login_is_created(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let old = env.record().build()?;
    insert(&*store, &old, env.now()).await?;
    let new = env.record().of(&user).build()?;
    ensure_eq!(replace(&*store, &new, &old, None, env.now()).await?, CREATED, "`create` in exchange");
    // The session to replace is gone by now, and that must not matter.
    let again = replace(&*store, &new, &old, None, env.now()).await?;
    ensure!(matches!(again, CreateOutcome::Created { .. }), "the same exchange again: expected Created, got {again:?}");
    is_stored(&*store, &new, "after the repeated exchange").await?;
    is_gone(&*store, &old.summary.id, "after the repeated exchange").await
}

pub(super) async fn repeat_at_the_limit_is_created(env: Env) -> Outcome {
    let store = env.store().await?;
    for (name, at_limit) in [("alice", LimitPolicy::Reject), ("bob", LimitPolicy::EvictOldest)] {
        let user = env.user(name)?;
        let one = limit(1, at_limit);
        let record = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &record, one, env.now()).await?, CREATED, "the first login");
        let again = login(&*store, &record, one, env.now()).await?;
        ensure_eq!(again, CREATED, "the same login again, under {at_limit:?} at a limit of one");
        is_stored(&*store, &record, "after the repeated login").await?;
    }
    Ok(())
}

pub(super) async fn race_has_one_winner(env: Env) -> Outcome {
    let store = env.store().await?;
    for _ in 0..4 {
        let first = env.record().build()?;
        let records = (0..64).map(|_| env.record().id(first.summary.id).build()).collect::<Result<Vec<_>, _>>()?;
        let records = Arc::new(records);
        let answers = together(64, |turn| {
            let (store, records, now) = (Arc::clone(&store), Arc::clone(&records), env.now());
            async move { create(&*store, &records[turn], now).await }
        })
        .await?;
        let winners: Vec<usize> = (0..64).filter(|turn| answers[*turn] == CREATED).collect();
        ensure_eq!(winners.len(), 1, "winners among 64 tasks that create the same id");
        let losers = answers.iter().filter(|answer| **answer == CreateOutcome::IdTaken).count();
        ensure_eq!(losers, 63, "tasks that were told Occupied");
        is_stored(&*store, &records[winners[0]], "after the race").await?;
    }
    Ok(())
}

pub(super) async fn sessions_of_a_user_are_independent(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let mut records = Vec::new();
    for turn in 0..5_u64 {
        env.clock().advance(Duration::from_secs(turn));
        let record = env.record().of(&user).value("turn", turn.to_be_bytes().to_vec()).build()?;
        insert(&*store, &record, env.now()).await?;
        records.push(record);
    }
    let third = updated(&*store, &records[2], env.now()).await?;
    records[2] = third;
    for record in &records {
        is_stored(&*store, record, "one of five sessions of a user, of which one was updated").await?;
    }
    Ok(())
}
