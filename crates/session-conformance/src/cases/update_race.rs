//! `update`, when several write at once.

use std::sync::Arc;

use session_core::store::{Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{OsEntropy, SessionId};

use super::support::{MILLI, insert, is_stored, next, stored, together};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

pub(super) async fn one_winner(env: Env) -> Outcome {
    let store = env.store().await?;
    for _ in 0..4 {
        let record = env.record().build()?;
        insert(&*store, &record, env.now()).await?;
        let changes = (0..64).map(|_| next(&record)).collect::<Result<Vec<_>, _>>()?;
        let changes = Arc::new(changes);
        let answers = together(64, |turn| {
            let (store, changes, expected, now) = (Arc::clone(&store), Arc::clone(&changes), record.version, env.now());
            async move { Ok(store.update(&changes[turn], expected, now).await?) }
        })
        .await?;
        let winners: Vec<usize> = (0..64).filter(|turn| answers[*turn] == UpdateOutcome::Applied).collect();
        ensure_eq!(winners.len(), 1, "winners among 64 writers of the same version");
        let losers = answers.iter().filter(|answer| **answer == UpdateOutcome::Conflict).count();
        ensure_eq!(losers, 63, "writers that were told Conflict");
        is_stored(&*store, &changes[winners[0]], "after the race").await?;
    }
    Ok(())
}

/// Adds one to the value `n` of session `id`, however often others are faster.
async fn increment(env: &Env, store: &dyn SessionStore, id: &SessionId) -> Outcome {
    for _ in 0..10_000 {
        let record = stored(store, id, "while it is being counted").await?;
        let mut change = Record { version: record.version.next(&OsEntropy)?, ..record.clone() };
        change.data.insert("n".into(), (count(&record)? + 1).to_be_bytes().to_vec().into());
        // Gives others the time to come in between.
        tokio::task::yield_now().await;
        match store.update(&change, record.version, env.now()).await? {
            UpdateOutcome::Applied => return Ok(()),
            UpdateOutcome::Conflict => {}
            UpdateOutcome::Absent => return Err("the session is gone while it is being counted".into()),
        }
    }
    Err("no end of conflicts".into())
}

pub(super) fn count(record: &Record) -> Result<u32, Failure> {
    let value = record.data.get(b"n").and_then(|value| <[u8; 4]>::try_from(value.as_ref()).ok());
    value.map(u32::from_be_bytes).ok_or_else(|| "the counter is gone".into())
}

/// 64 increments at once; increment i through `stores[i % stores.len()]`.
async fn increments(env: &Env, stores: &[Arc<dyn SessionStore>]) -> Outcome {
    let record = env.record().value("n", 0_u32.to_be_bytes().to_vec()).build()?;
    insert(&*stores[0], &record, env.now()).await?;
    together(64, |turn| {
        let (env, store, id) = (env.clone(), Arc::clone(&stores[turn % stores.len()]), record.summary.id);
        async move { increment(&env, &*store, &id).await }
    })
    .await?;
    let end = stored(&*stores[0], &record.summary.id, "after the increments").await?;
    ensure_eq!(count(&end)?, 64, "the counter after 64 acknowledged increments");
    ensure_eq!(end.version.number, 65, "the version number after 64 updates");
    Ok(())
}

pub(super) async fn no_increment_is_lost(env: Env) -> Outcome {
    increments(&env, &[env.store().await?]).await
}

pub(super) async fn no_increment_is_lost_across_nodes(env: Env) -> Outcome {
    increments(&env, &[env.store().await?, env.open_node().await?]).await
}

pub(super) async fn update_and_touch_keep_both(env: Env) -> Outcome {
    let store = env.store().await?;
    for round in 0..16 {
        let record = env.record().value("n", "0").build()?;
        insert(&*store, &record, env.now()).await?;
        env.clock().advance(32 * MILLI);
        let mut change = next(&record)?;
        change.data.insert("n".into(), "1".into());
        let change = Arc::new(change);
        // One writer that knows of no touch, among touches.
        let applied = together(8, |turn| {
            let (store, change, expected, now) = (Arc::clone(&store), Arc::clone(&change), record.version, env.now());
            async move {
                if turn == 3 {
                    return Ok(store.update(&change, expected, now).await? == UpdateOutcome::Applied);
                }
                // Now the latest touch comes first, now last.
                let before = if round % 2 == 0 { turn } else { 7 - turn };
                let seen = now - MILLI * u32::try_from(before).unwrap_or(0);
                Ok(store.touch(&change.summary.id, None, seen).await? == TouchOutcome::Applied)
            }
        })
        .await?;
        ensure!(applied.iter().all(|applied| *applied), "one `update` among touches: all must be applied");
        let expected = Record::clone(&change).touched(env.now());
        is_stored(&*store, &expected, "after one `update` among touches").await?;
    }
    Ok(())
}
