//! Deadlines, to the millisecond: alive one before, dead at it and after.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::{CreateOutcome, Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{LimitPolicy, Timestamp, UserId};

use super::support::{
    CREATED, DAY, HOUR, MILLI, MINUTE, create, insert, is_gone, is_stored, limit, lists, login, next, replace,
};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure_eq};

/// A session is to be tried at this moment, at which it lives or does not.
struct Moment {
    now: Timestamp,
    lives: bool,
    when: &'static str,
}

/// The three moments around a deadline.
fn around(deadline: Timestamp) -> [Moment; 3] {
    [
        Moment { now: deadline - MILLI, lives: true, when: "1 ms before the deadline" },
        Moment { now: deadline, lives: false, when: "at the deadline" },
        Moment { now: deadline + MILLI, lives: false, when: "1 ms after the deadline" },
    ]
}

/// A new session of `user` for each of the moments around its deadline.
async fn trials(
    env: &Env,
    store: &dyn SessionStore,
    user: &UserId,
    (idle, absolute): (Duration, Duration),
) -> Result<Vec<(Record, Moment)>, Failure> {
    let mut trials = Vec::new();
    for moment in around(env.now() + idle.min(absolute)) {
        let record = env.record().of(user).timeouts(idle, absolute).build()?;
        insert(store, &record, env.now()).await?;
        trials.push((record, moment));
    }
    Ok(trials)
}

const USUAL: (Duration, Duration) = (Duration::from_secs(30 * 60), Duration::from_secs(8 * 60 * 60));

pub(super) async fn update(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, USUAL).await? {
        let change = next(&record)?.touched(now);
        let expected = if lives { UpdateOutcome::Applied } else { UpdateOutcome::Absent };
        ensure_eq!(store.update(&change, record.version, now).await?, expected, "`update` {when}");
    }
    Ok(())
}

pub(super) async fn touch(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, USUAL).await? {
        let expected = if lives { TouchOutcome::Applied } else { TouchOutcome::Absent };
        ensure_eq!(store.touch(&record.summary.id, Some(&user), now).await?, expected, "`touch` {when}");
    }
    Ok(())
}

pub(super) async fn list(env: Env) -> Outcome {
    let store = env.store().await?;
    for name in ["a", "b", "c"] {
        let user = env.user(name)?;
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        for Moment { now, lives, when } in around(record.deadline()) {
            lists(&*store, &user, lives.then_some(record.summary.id), now, when).await?;
        }
    }
    Ok(())
}

pub(super) async fn duplicate(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, USUAL).await? {
        let other = env.record().of(&user).id(record.summary.id).created_at(now).build()?;
        let expected = if lives { CreateOutcome::IdTaken } else { CREATED };
        ensure_eq!(
            create(&*store, &other, now).await?,
            expected,
            "`create` of an id {when} of the session that has it"
        );
    }
    Ok(())
}

pub(super) async fn replaced(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, USUAL).await? {
        let new = env.record().of(&user).created_at(now).build()?;
        let expected = if lives { CREATED } else { CreateOutcome::ReplacedAbsent };
        let admitted = replace(&*store, &new, &record, None, now).await?;
        ensure_eq!(admitted, expected, "login in exchange for a session {when}");
    }
    Ok(())
}

pub(super) async fn counted(env: Env) -> Outcome {
    let store = env.store().await?;
    for (name, turn) in [("a", 0), ("b", 1), ("c", 2)] {
        let user = env.user(name)?;
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        let Moment { now, lives, when } = &around(record.deadline())[turn];
        let new = env.record().of(&user).created_at(*now).build()?;
        let expected = if *lives { CreateOutcome::LimitReached } else { CREATED };
        let admitted = login(&*store, &new, limit(1, LimitPolicy::Reject), *now).await?;
        ensure_eq!(admitted, expected, "login at a limit of one, with a session {when}");
    }
    Ok(())
}

pub(super) async fn sweep(env: Env) -> Outcome {
    let store = env.store().await?;
    let record = env.record().build()?;
    insert(&*store, &record, env.now()).await?;
    let before = record.deadline() - MILLI;
    let deleted = store.delete_expired(before, NonZeroU32::MAX).await?;
    ensure_eq!(deleted, 0, "deletions 1 ms before the deadline");
    is_stored(&*store, &record, "1 ms before the deadline, after `delete_expired`").await?;
    if store.delete_expired(record.deadline(), NonZeroU32::MAX).await? > 0 {
        is_gone(&*store, &record.summary.id, "at the deadline, after `delete_expired` deleted it").await?;
    }
    Ok(())
}

pub(super) async fn absolute(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    // The absolute deadline comes first, by one millisecond.
    let lifetime = (10 * MINUTE + MILLI, 10 * MINUTE);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, lifetime).await? {
        let expected = if lives { TouchOutcome::Applied } else { TouchOutcome::Absent };
        let answer = store.touch(&record.summary.id, Some(&user), now).await?;
        ensure_eq!(answer, expected, "`touch` {when}, the absolute one");
    }
    Ok(())
}

pub(super) async fn sub_second(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for (record, Moment { now, lives, when }) in trials(&env, &*store, &user, (250 * MILLI, 750 * MILLI)).await? {
        let change = next(&record)?.touched(now);
        let expected = if lives { UpdateOutcome::Applied } else { UpdateOutcome::Absent };
        let answer = store.update(&change, record.version, now).await?;
        ensure_eq!(answer, expected, "`update` {when}, with an idle timeout of 250 ms");
    }
    Ok(())
}

pub(super) async fn far_future(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).timeouts(400 * DAY, 400 * DAY).build()?;
    insert(&*store, &record, env.now()).await?;
    let begin = env.now();
    for days in [1, 24, 25, 30, 49, 50, 365, 399] {
        env.clock().set(begin + days * DAY);
        lists(&*store, &user, [record.summary.id], env.now(), "before its deadline in 400 days").await?;
        is_stored(&*store, &record, "before its deadline in 400 days").await?;
    }
    env.clock().set(begin + 400 * DAY + HOUR);
    lists(&*store, &user, [], env.now(), "after 400 days").await
}
