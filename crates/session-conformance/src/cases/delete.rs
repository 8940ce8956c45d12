//! `delete`: gone, and stays gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use session_core::DeleteOutcome;
use session_core::store::Freshness;

use super::support::{HOUR, MILLI, insert, is_gone, is_stored, lists, next, stored, together};
use crate::env::Env;
use crate::outcome::{Outcome, ensure_eq};

pub(super) async fn removes(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let (visitor, session) = (env.record().build()?, env.record().of(&user).build()?);
    for record in [&visitor, &session] {
        insert(&*store, record, env.now()).await?;
        ensure_eq!(store.delete(&record.summary.id, record.user()).await?, DeleteOutcome::Deleted, "`delete`");
        is_gone(&*store, &record.summary.id, "after `delete`").await?;
    }
    Ok(())
}

pub(super) async fn index_forgets(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let (gone, left) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
    insert(&*store, &gone, env.now()).await?;
    insert(&*store, &left, env.now()).await?;
    ensure_eq!(store.delete(&gone.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    is_stored(&*store, &left, "another session of the user, after `delete`").await?;
    lists(&*store, &user, [left.summary.id], env.now(), "after `delete`").await
}

pub(super) async fn repeat_is_absent(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    ensure_eq!(
        store.delete(&record.summary.id, None).await?,
        DeleteOutcome::Absent,
        "`delete` of a session that never was"
    );
    insert(&*store, &record, env.now()).await?;
    ensure_eq!(store.delete(&record.summary.id, None).await?, DeleteOutcome::Deleted, "`delete`");
    for _ in 0..2 {
        ensure_eq!(store.delete(&record.summary.id, None).await?, DeleteOutcome::Absent, "`delete`, repeated");
    }
    Ok(())
}

pub(super) async fn wrong_owner_is_absent(env: Env) -> Outcome {
    let store = env.store().await?;
    let (alice, bob) = (env.user("alice")?, env.user("bob")?);
    let (visitor, session) = (env.record().build()?, env.record().of(&alice).build()?);
    insert(&*store, &visitor, env.now()).await?;
    insert(&*store, &session, env.now()).await?;
    for (record, stranger) in [(&session, Some(&bob)), (&session, None), (&visitor, Some(&bob))] {
        let answer = store.delete(&record.summary.id, stranger).await?;
        ensure_eq!(answer, DeleteOutcome::Absent, "`delete` of a session of somebody else");
        is_stored(&*store, record, "after `delete` by somebody else").await?;
    }
    lists(&*store, &alice, [session.summary.id], env.now(), "after `delete` by somebody else").await
}

pub(super) async fn takes_expired_ones(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(HOUR);
    // Tells the time to a store that learns it from its calls.
    lists(&*store, &user, [], env.now(), "after the deadline").await?;
    // Deleted, or Absent where the store removed it before.
    let _ = store.delete(&record.summary.id, Some(&user)).await?;
    is_gone(&*store, &record.summary.id, "an expired session, after `delete`").await
}

pub(super) async fn race_has_one_winner(env: Env) -> Outcome {
    let store = env.store().await?;
    for _ in 0..4 {
        let record = env.record().build()?;
        insert(&*store, &record, env.now()).await?;
        let answers = together(16, |_| {
            let (store, id) = (Arc::clone(&store), record.summary.id);
            async move { Ok(store.delete(&id, None).await?) }
        })
        .await?;
        let winners = answers.iter().filter(|answer| **answer == DeleteOutcome::Deleted).count();
        ensure_eq!(winners, 1, "deletions that were told DeleteOutcome, of 16 at once");
    }
    Ok(())
}

pub(super) async fn beats_concurrent_updates(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for _ in 0..8 {
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        let ended = Arc::new(AtomicBool::new(false));
        together(8, |turn| {
            let (env, store, record, ended) = (env.clone(), Arc::clone(&store), record.clone(), Arc::clone(&ended));
            async move {
                if turn == 5 {
                    // The others are under way by then.
                    tokio::task::yield_now().await;
                    let deleted = store.delete(&record.summary.id, record.user()).await?;
                    ended.store(true, Ordering::SeqCst);
                    ensure_eq!(deleted, DeleteOutcome::Deleted, "`delete` among updates");
                    return Ok(());
                }
                while !ended.load(Ordering::SeqCst) {
                    if let Some(current) = store.load(&record.summary.id, Freshness::Latest).await? {
                        tokio::task::yield_now().await;
                        let _ = store.update(&next(&current)?, current.version, env.now()).await?;
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        })
        .await?;
        is_gone(&*store, &record.summary.id, "after `delete` among updates").await?;
    }
    lists(&*store, &user, [], env.now(), "after `delete` among updates").await
}

pub(super) async fn beats_concurrent_touches(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for _ in 0..8 {
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        let ended = Arc::new(AtomicBool::new(false));
        together(8, |turn| {
            let (env, store, record, ended) = (env.clone(), Arc::clone(&store), record.clone(), Arc::clone(&ended));
            async move {
                if turn == 5 {
                    // The others are under way by then.
                    tokio::task::yield_now().await;
                    let deleted = store.delete(&record.summary.id, record.user()).await?;
                    ended.store(true, Ordering::SeqCst);
                    ensure_eq!(deleted, DeleteOutcome::Deleted, "`delete` among touches");
                    return Ok(());
                }
                let mut seen = env.now();
                while !ended.load(Ordering::SeqCst) {
                    seen = seen + MILLI;
                    let _ = store.touch(&record.summary.id, record.user(), seen).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        })
        .await?;
        // One more comes too late for certain.
        let _ = store.touch(&record.summary.id, record.user(), env.now()).await?;
        is_gone(&*store, &record.summary.id, "after `delete` among touches").await?;
    }
    lists(&*store, &user, [], env.now(), "after `delete` among touches").await
}

pub(super) async fn leaves_others_alone(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let records = [
        env.record().of(&user).build()?,
        env.record().of(&user).build()?,
        env.record().of(&env.user("bob")?).build()?,
        env.record().build()?,
    ];
    for record in &records {
        insert(&*store, record, env.now()).await?;
    }
    ensure_eq!(store.delete(&records[0].summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    for record in &records[1..] {
        stored(&*store, &record.summary.id, "another session, after `delete`").await?;
    }
    Ok(())
}
