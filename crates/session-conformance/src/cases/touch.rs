//! `touch`: `last_seen` forward, and nothing else.

use std::sync::Arc;

use session_core::store::TouchOutcome;
use session_core::{DeleteOutcome, OsEntropy, SessionId};

use super::support::{HOUR, MILLI, MINUTE, insert, is_gone, is_stored, lists, stored, together, updated};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

pub(super) async fn moves_last_seen(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    let seen = env.now() - MILLI;
    ensure_eq!(store.touch(&record.summary.id, None, seen).await?, TouchOutcome::Applied, "`touch`");
    let loaded = stored(&*store, &record.summary.id, "after `touch`").await?;
    ensure_eq!(loaded.summary.last_seen, seen, "last_seen after `touch`");
    Ok(())
}

pub(super) async fn never_backwards(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(2 * MINUTE);
    let late = env.now();
    ensure_eq!(store.touch(&record.summary.id, None, late).await?, TouchOutcome::Applied, "`touch`");
    let early = late - MINUTE;
    let answer = store.touch(&record.summary.id, None, early).await?;
    ensure_eq!(answer, TouchOutcome::Applied, "`touch` that was overtaken by a later one");
    let loaded = stored(&*store, &record.summary.id, "after both touches").await?;
    ensure_eq!(loaded.summary.last_seen, late, "last_seen after an earlier touch overtook nothing");
    Ok(())
}

pub(super) async fn repeat_is_applied(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    for _ in 0..2 {
        let answer = store.touch(&record.summary.id, None, env.now()).await?;
        ensure_eq!(answer, TouchOutcome::Applied, "`touch`, sent twice");
    }
    Ok(())
}

pub(super) async fn changes_nothing_else(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = super::load::full_record(&env, &user)?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(HOUR);
    let touched = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "`touch`");
    let expected = record.touched(env.now());
    is_stored(&*store, &expected, "after `touch`").await?;
    // Whoever loaded the session before the touch can still write it.
    updated(&*store, &expected, env.now()).await.map(drop)
}

pub(super) async fn unknown_is_absent(env: Env) -> Outcome {
    let store = env.store().await?;
    let unknown = SessionId::generate(None, &OsEntropy)?;
    let answer = store.touch(&unknown, None, env.now()).await?;
    ensure_eq!(answer, TouchOutcome::Absent, "`touch` of a session that never was");
    is_gone(&*store, &unknown, "after that `touch`").await
}

pub(super) async fn never_inserts(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    ensure_eq!(store.delete(&record.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    let answer = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(answer, TouchOutcome::Absent, "`touch` after `delete`");
    is_gone(&*store, &record.summary.id, "after `delete` and `touch`").await?;
    lists(&*store, &user, [], env.now(), "after `delete` and `touch`").await
}

pub(super) async fn expired_is_absent(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(HOUR);
    let answer = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(answer, TouchOutcome::Absent, "`touch` of an expired session");
    lists(&*store, &user, [], env.now(), "after that `touch`").await
}

pub(super) async fn extends_the_idle_deadline(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    // Twice, so that the second touch comes after the deadline the session began with.
    for _ in 0..2 {
        env.clock().advance(20 * MINUTE);
        let answer = store.touch(&record.summary.id, Some(&user), env.now()).await?;
        ensure_eq!(answer, TouchOutcome::Applied, "`touch` every 20 minutes, with an idle timeout of 30");
    }
    env.clock().advance(20 * MINUTE);
    lists(&*store, &user, [record.summary.id], env.now(), "an hour after its beginning, with touches").await?;
    let current = stored(&*store, &record.summary.id, "an hour after its beginning, with touches").await?;
    updated(&*store, &current, env.now()).await.map(drop)
}

pub(super) async fn stops_at_the_absolute_deadline(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).timeouts(30 * MINUTE, HOUR).build()?;
    insert(&*store, &record, env.now()).await?;
    for _ in 0..2 {
        env.clock().advance(25 * MINUTE);
        let answer = store.touch(&record.summary.id, Some(&user), env.now()).await?;
        ensure_eq!(answer, TouchOutcome::Applied, "`touch` before the absolute deadline");
    }
    env.clock().advance(15 * MINUTE);
    let answer = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(answer, TouchOutcome::Absent, "`touch` after the absolute deadline, but before the idle one");
    lists(&*store, &user, [], env.now(), "after the absolute deadline, but before the idle one").await
}

pub(super) async fn shows_in_the_list(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    env.clock().advance(MINUTE);
    let touched = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "`touch`");
    let listed = store.list_by_user(&user, env.now()).await?;
    ensure_eq!(listed.len(), 1, "listed sessions");
    ensure!(listed.iter().all(|session| session.last_seen == env.now()), "the list shows last_seen before the touch");
    Ok(())
}

pub(super) async fn race_keeps_the_latest(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    for _ in 0..3 {
        let begin = env.now();
        env.clock().advance(MINUTE);
        let answers = together(64, |turn| {
            let (store, id) = (Arc::clone(&store), record.summary.id);
            // A permutation of 0 to 63 ms in which the latest is neither first nor last.
            let seen = begin + MILLI * u32::try_from(turn * 37 % 64).unwrap_or(0);
            async move { Ok(store.touch(&id, None, seen).await?) }
        })
        .await?;
        ensure!(
            answers.iter().all(|answer| *answer == TouchOutcome::Applied),
            "64 touches at once: all must be applied"
        );
        let loaded = stored(&*store, &record.summary.id, "after 64 touches at once").await?;
        ensure_eq!(loaded.summary.last_seen, begin + 63 * MILLI, "last_seen after 64 touches at once");
    }
    Ok(())
}
