//! The limit of sessions of a user: whom it counts.

use session_core::store::CreateOutcome;
use session_core::{Kind, LimitPolicy};

use super::evict::devices;
use super::support::{CREATED, HOUR, MINUTE, insert, is_gone, is_stored, limit, lists, login};
use crate::env::Env;
use crate::outcome::{Outcome, ensure_eq};

pub(super) async fn reject_changes_nothing(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let devices = devices(&env, &*store, &user, 2).await?;
    let new = env.record().of(&user).build()?;
    let admitted = login(&*store, &new, limit(2, LimitPolicy::Reject), env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::LimitReached, "login at the limit under Reject");
    is_gone(&*store, &new.summary.id, "the session that was not admitted").await?;
    for device in &devices {
        is_stored(&*store, device, "a session of the user, after the refused login").await?;
    }
    lists(&*store, &user, devices.iter().map(|device| device.summary.id), env.now(), "after the refused login").await
}

pub(super) async fn room_is_used(env: Env) -> Outcome {
    let store = env.store().await?;
    for (name, at_limit) in
        [("a", LimitPolicy::Reject), ("b", LimitPolicy::EvictOldest), ("c", LimitPolicy::EvictLeastRecent)]
    {
        let user = env.user(name)?;
        let mut ids = Vec::new();
        for turn in 1..=3 {
            let record = env.record().of(&user).build()?;
            ensure_eq!(
                login(&*store, &record, limit(3, at_limit), env.now()).await?,
                CREATED,
                "login {turn} under a limit of 3, {at_limit:?}"
            );
            ids.push(record.summary.id);
        }
        lists(&*store, &user, ids, env.now(), "with as many sessions as the limit allows").await?;
    }
    Ok(())
}

pub(super) async fn expired_do_not_count(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    devices(&env, &*store, &user, 2).await?;
    env.clock().advance(9 * HOUR);
    let two = limit(2, LimitPolicy::Reject);
    for turn in 1..=2 {
        let record = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &record, two, env.now()).await?, CREATED, "login {turn} beside expired sessions");
    }
    let record = env.record().of(&user).build()?;
    ensure_eq!(login(&*store, &record, two, env.now()).await?, CreateOutcome::LimitReached, "login at the limit");
    Ok(())
}

pub(super) async fn others_do_not_count(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let one = limit(1, LimitPolicy::Reject);
    let visitor = env.record().build()?;
    insert(&*store, &visitor, env.now()).await?;
    for name in ["bob", "alice:2", "Alice"] {
        let record = env.record().of(&env.user(name)?).build()?;
        ensure_eq!(login(&*store, &record, one, env.now()).await?, CREATED, "the first login of another user");
    }
    let record = env.record().of(&user).build()?;
    ensure_eq!(login(&*store, &record, one, env.now()).await?, CREATED, "the first login, beside other users");
    env.clock().advance(MINUTE);
    let evicting = limit(1, LimitPolicy::EvictOldest);
    let new = env.record().of(&user).build()?;
    let expected = CreateOutcome::Created { evicted: vec![record.summary.id] };
    ensure_eq!(login(&*store, &new, evicting, env.now()).await?, expected, "the second login, beside other users");
    is_stored(&*store, &visitor, "a visitor's session, after the eviction").await
}

pub(super) async fn ignored_for_visitors(env: Env) -> Outcome {
    let store = env.store().await?;
    let mut visitors = Vec::new();
    for at_limit in [LimitPolicy::Reject, LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent] {
        let visitor = env.record().build()?;
        let admitted = login(&*store, &visitor, limit(1, at_limit), env.now()).await?;
        ensure_eq!(admitted, CREATED, "`create` of an anonymous session under {at_limit:?}");
        visitors.push(visitor);
    }
    for visitor in &visitors {
        is_stored(&*store, visitor, "one of three anonymous sessions").await?;
    }
    Ok(())
}

pub(super) async fn counts_every_kind(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let one = limit(1, LimitPolicy::Reject);
    let cookie = env.record().of(&user).build()?;
    ensure_eq!(login(&*store, &cookie, one, env.now()).await?, CREATED, "the first login");
    let refresh = env.record().of(&user).kind(Kind::Refresh).build()?;
    let admitted = login(&*store, &refresh, one, env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::LimitReached, "login of a session of another kind at the limit");
    Ok(())
}

pub(super) async fn logout_makes_room(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let two = limit(2, LimitPolicy::Reject);
    let mut last = None;
    for _ in 0..2 {
        let record = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &record, two, env.now()).await?, CREATED, "login below the limit");
        last = Some(record.summary.id);
    }
    if let Some(id) = last {
        let _ = store.delete(&id, Some(&user)).await?;
    }
    let record = env.record().of(&user).build()?;
    ensure_eq!(login(&*store, &record, two, env.now()).await?, CREATED, "login after a logout made room");
    store.delete_by_user(&user, None).await?;
    for _ in 0..2 {
        let record = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &record, two, env.now()).await?, CREATED, "login after all were revoked");
    }
    Ok(())
}
