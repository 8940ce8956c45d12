//! Who has to go at the limit of sessions of a user.

use session_core::store::{CreateOutcome, Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{LimitPolicy, UserId};

use super::support::{MINUTE, insert, is_gone, is_stored, limit, lists, login, next, same_ids};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure_eq};

/// `n` sessions of `user`. The one that began first was used last.
pub(super) async fn devices(
    env: &Env,
    store: &dyn SessionStore,
    user: &UserId,
    n: u32,
) -> Result<Vec<Record>, Failure> {
    let begin = env.now();
    env.clock().advance(2 * n * MINUTE);
    let mut devices = Vec::new();
    for turn in 0..n {
        let (created_at, last_seen) = (begin + turn * MINUTE, env.now() - turn * MINUTE);
        let device = env.record().of(user).created_at(created_at).last_seen(last_seen).build()?;
        insert(store, &device, env.now()).await?;
        devices.push(device);
    }
    Ok(devices)
}

/// Logs in under `at_limit` with room for all but one of `devices`, and checks that exactly `victim` had to go.
async fn evicts(env: &Env, devices: &[Record], victim: &Record, at_limit: LimitPolicy) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let new = env.record().of(&user).build()?;
    let full = limit(devices.len().try_into().unwrap_or(u32::MAX), at_limit);
    let admitted = login(&*store, &new, full, env.now()).await?;
    ensure_eq!(
        admitted,
        CreateOutcome::Created { evicted: vec![victim.summary.id] },
        "login at the limit under {at_limit:?}"
    );
    is_gone(&*store, &victim.summary.id, "the evicted session").await?;
    is_stored(&*store, &new, "the new session").await?;
    let left = devices.iter().chain([&new]).map(|record| record.summary.id).filter(|id| *id != victim.summary.id);
    lists(&*store, &user, left, env.now(), "after the eviction").await
}

pub(super) async fn evicts_oldest(env: Env) -> Outcome {
    let devices = devices(&env, &*env.store().await?, &env.user("alice")?, 3).await?;
    evicts(&env, &devices, &devices[0], LimitPolicy::EvictOldest).await
}

pub(super) async fn evicts_least_recent(env: Env) -> Outcome {
    let devices = devices(&env, &*env.store().await?, &env.user("alice")?, 3).await?;
    evicts(&env, &devices, &devices[2], LimitPolicy::EvictLeastRecent).await
}

/// Sessions that are equal in everything that `at_limit` looks at, and differ in the rest.
async fn ties(env: &Env, at_limit: LimitPolicy) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let mut devices = Vec::new();
    for _ in 0..4 {
        let device = env.record().of(&user).build()?;
        insert(&*store, &device, env.now()).await?;
        devices.push(device);
    }
    devices.sort_by_key(|device| device.summary.id);
    env.clock().advance(MINUTE);
    evicts(env, &devices, &devices[0], at_limit).await
}

pub(super) async fn ties_among_oldest(env: Env) -> Outcome {
    ties(&env, LimitPolicy::EvictOldest).await
}

pub(super) async fn ties_among_least_recent(env: Env) -> Outcome {
    ties(&env, LimitPolicy::EvictLeastRecent).await
}

pub(super) async fn touch_changes_the_order(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let devices = devices(&env, &*store, &user, 3).await?;
    let touched = store.touch(&devices[2].summary.id, Some(&user), env.now()).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "`touch`");
    evicts(&env, &devices, &devices[1], LimitPolicy::EvictLeastRecent).await
}

pub(super) async fn update_changes_the_order(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let devices = devices(&env, &*store, &user, 3).await?;
    let used = next(&devices[2])?.touched(env.now());
    let updated = store.update(&used, devices[2].version, env.now()).await?;
    ensure_eq!(updated, UpdateOutcome::Applied, "`update`");
    evicts(&env, &devices, &devices[1], LimitPolicy::EvictLeastRecent).await
}

pub(super) async fn never_evicts_the_new_one(env: Env) -> Outcome {
    let store = env.store().await?;
    for (name, at_limit) in [("alice", LimitPolicy::EvictOldest), ("bob", LimitPolicy::EvictLeastRecent)] {
        let user = env.user(name)?;
        let other = env.record().of(&user).build()?;
        insert(&*store, &other, env.now()).await?;
        // The clock of the server that takes this login is behind.
        let new = env.record().of(&user).created_at(env.now() - MINUTE).last_seen(env.now() - MINUTE).build()?;
        let admitted = login(&*store, &new, limit(1, at_limit), env.now()).await?;
        let expected = CreateOutcome::Created { evicted: vec![other.summary.id] };
        ensure_eq!(admitted, expected, "login of a session that looks older than the one to evict, {at_limit:?}");
        lists(&*store, &user, [new.summary.id], env.now(), "after that login").await?;
    }
    Ok(())
}

pub(super) async fn lowered_evicts_several(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let devices = devices(&env, &*store, &user, 5).await?;
    let new = env.record().of(&user).build()?;
    let admitted = login(&*store, &new, limit(2, LimitPolicy::EvictOldest), env.now()).await?;
    let CreateOutcome::Created { evicted } = admitted else {
        return Err(Failure::new(format!("login under a lowered limit: expected Created, got {admitted:?}")));
    };
    let oldest = devices[..4].iter().map(|device| device.summary.id);
    same_ids(evicted, oldest.clone(), "the evicted sessions, of five where two are allowed")?;
    for id in oldest {
        is_gone(&*store, &id, "an evicted session").await?;
    }
    lists(&*store, &user, [devices[4].summary.id, new.summary.id], env.now(), "under the lowered limit").await
}
