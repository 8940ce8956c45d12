//! `create` in exchange for another session: login.

use std::sync::Arc;

use session_core::store::{CreateOutcome, Record, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, OsEntropy, SessionId, UserId};

use super::support::{
    CREATED, HOUR, MINUTE, insert, is_gone, is_stored, limit, lists, login, next, replace, together, updated,
};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// An anonymous session in a shard that is not that of `user`.
async fn visitor(env: &Env, store: &dyn SessionStore, user: &UserId) -> Result<Record, Failure> {
    let mut bytes = *SessionId::generate(None, &OsEntropy)?.as_bytes();
    bytes[..2].copy_from_slice(&(user.shard() ^ 0x5555).to_be_bytes());
    let visitor = env.record().id(SessionId::from_bytes(bytes)).value("cart", "3 apples").build()?;
    insert(store, &visitor, env.now()).await?;
    Ok(visitor)
}

/// A session of `user`.
async fn session(env: &Env, store: &dyn SessionStore, user: &UserId) -> Result<Record, Failure> {
    let session = env.record().of(user).build()?;
    insert(store, &session, env.now()).await?;
    Ok(session)
}

pub(super) async fn across_shards(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let old = visitor(&env, &*store, &user).await?;
    let new = env.record().of(&user).value("cart", "3 apples").build()?;
    ensure_eq!(replace(&*store, &new, &old, None, env.now()).await?, CREATED, "login of a visitor");
    is_stored(&*store, &new, "after the login").await?;
    is_gone(&*store, &old.summary.id, "the visitor's session, after the login").await?;
    lists(&*store, &user, [new.summary.id], env.now(), "after the login").await
}

pub(super) async fn within_a_shard(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let old = session(&env, &*store, &user).await?;
    let new = env.record().of(&user).build()?;
    ensure_eq!(replace(&*store, &new, &old, None, env.now()).await?, CREATED, "second login of a user");
    is_stored(&*store, &new, "after the second login").await?;
    is_gone(&*store, &old.summary.id, "the first session, after the second login").await?;
    lists(&*store, &user, [new.summary.id], env.now(), "after the second login").await
}

pub(super) async fn another_user(env: Env) -> Outcome {
    let store = env.store().await?;
    let (alice, bob) = (env.user("alice")?, env.user("bob")?);
    let old = session(&env, &*store, &alice).await?;
    let new = env.record().of(&bob).build()?;
    ensure_eq!(replace(&*store, &new, &old, None, env.now()).await?, CREATED, "login of another user");
    lists(&*store, &alice, [], env.now(), "the user who was replaced").await?;
    lists(&*store, &bob, [new.summary.id], env.now(), "the user who logged in").await?;
    let revoked = store.delete_by_user(&alice, None).await?;
    ensure!(revoked.is_empty(), "the replaced session is still found by its user");
    is_stored(&*store, &new, "after revoking the sessions of the replaced user").await
}

pub(super) async fn changed_is_refused(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    for old in [visitor(&env, &*store, &user).await?, session(&env, &*store, &env.user("bob")?).await?] {
        let changed = updated(&*store, &old, env.now()).await?;
        let new = env.record().of(&user).build()?;
        let admitted = replace(&*store, &new, &old, None, env.now()).await?;
        ensure_eq!(
            admitted,
            CreateOutcome::ReplacedChanged,
            "login in exchange for a session that was changed meanwhile"
        );
        is_stored(&*store, &changed, "the changed session, after the refused login").await?;
        is_gone(&*store, &new.summary.id, "the new session, after the refused login").await?;
        lists(&*store, &user, [], env.now(), "after the refused login").await?;
    }
    Ok(())
}

pub(super) async fn absent_is_refused(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let old = env.record().build()?;
    let new = env.record().of(&user).build()?;
    let admitted = replace(&*store, &new, &old, None, env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::ReplacedAbsent, "login in exchange for a session that does not exist");
    is_gone(&*store, &new.summary.id, "the new session, after the refused login").await?;
    lists(&*store, &user, [], env.now(), "after the refused login").await
}

pub(super) async fn expired_is_absent(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let old = visitor(&env, &*store, &user).await?;
    env.clock().advance(HOUR);
    let new = env.record().of(&user).build()?;
    let admitted = replace(&*store, &new, &old, None, env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::ReplacedAbsent, "login in exchange for an expired session");
    is_gone(&*store, &new.summary.id, "the new session, after the refused login").await
}

pub(super) async fn refused_by_the_limit_keeps_the_old(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let other = session(&env, &*store, &user).await?;
    let old = visitor(&env, &*store, &user).await?;
    let new = env.record().of(&user).build()?;
    let one = limit(1, LimitPolicy::Reject);
    let admitted = replace(&*store, &new, &old, Some(one), env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::LimitReached, "login at the limit");
    is_stored(&*store, &old, "the visitor's session, after the refused login").await?;
    is_gone(&*store, &new.summary.id, "the new session, after the refused login").await?;
    lists(&*store, &user, [other.summary.id], env.now(), "after the refused login").await
}

pub(super) async fn refused_evicts_nobody(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    let other = session(&env, &*store, &user).await?;
    let old = visitor(&env, &*store, &user).await?;
    updated(&*store, &old, env.now()).await?;
    let new = env.record().of(&user).build()?;
    let one = limit(1, LimitPolicy::EvictOldest);
    let admitted = replace(&*store, &new, &old, Some(one), env.now()).await?;
    ensure_eq!(admitted, CreateOutcome::ReplacedChanged, "login in exchange for a session that was changed meanwhile");
    is_stored(&*store, &other, "a session of the user, after the refused login").await
}

pub(super) async fn replaced_does_not_count(env: Env) -> Outcome {
    let store = env.store().await?;
    for (name, at_limit) in [("alice", LimitPolicy::Reject), ("bob", LimitPolicy::EvictOldest)] {
        let user = env.user(name)?;
        let two = limit(2, at_limit);
        let old = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &old, two, env.now()).await?, CREATED, "the first login");
        env.clock().advance(MINUTE);
        let other = env.record().of(&user).build()?;
        ensure_eq!(login(&*store, &other, two, env.now()).await?, CREATED, "the second login");
        let new = env.record().of(&user).build()?;
        let admitted = replace(&*store, &new, &old, Some(two), env.now()).await?;
        ensure_eq!(admitted, CREATED, "login at the limit under {at_limit:?}, in exchange for an own session");
        lists(&*store, &user, [other.summary.id, new.summary.id], env.now(), "after that login").await?;
    }
    Ok(())
}

/// 16 logins at once in exchange for the same session.
async fn race(env: &Env, store: &Arc<dyn SessionStore>, old: Record, user: &UserId) -> Outcome {
    let records = (0..16).map(|_| env.record().of(user).build()).collect::<Result<Vec<_>, _>>()?;
    let shared = Arc::new((records, old));
    let answers = together(16, |turn| {
        let (store, shared, now) = (Arc::clone(store), Arc::clone(&shared), env.now());
        async move { replace(&*store, &shared.0[turn], &shared.1, None, now).await }
    })
    .await?;
    let (records, old) = &*shared;
    let winners: Vec<usize> = (0..16).filter(|turn| answers[*turn] == CREATED).collect();
    ensure_eq!(winners.len(), 1, "winners among 16 logins in exchange for the same session");
    let losers = answers.iter().filter(|answer| **answer == CreateOutcome::ReplacedAbsent).count();
    ensure_eq!(losers, 15, "logins that were told ReplacedAbsent");
    lists(&**store, user, [records[winners[0]].summary.id], env.now(), "after the race").await?;
    is_gone(&**store, &old.summary.id, "the replaced session, after the race").await
}

pub(super) async fn race_across_shards(env: Env) -> Outcome {
    let store = env.store().await?;
    for name in ["alice", "bob", "carol", "dave"] {
        let user = env.user(name)?;
        let old = visitor(&env, &*store, &user).await?;
        race(&env, &store, old, &user).await?;
    }
    Ok(())
}

pub(super) async fn race_within_a_shard(env: Env) -> Outcome {
    let store = env.store().await?;
    for name in ["alice", "bob", "carol", "dave"] {
        let user = env.user(name)?;
        let old = session(&env, &*store, &user).await?;
        race(&env, &store, old, &user).await?;
    }
    Ok(())
}

pub(super) async fn login_and_update_exclude_each_other(env: Env) -> Outcome {
    let store = env.store().await?;
    let user = env.user("alice")?;
    for round in 0..16 {
        let old = visitor(&env, &*store, &user).await?;
        let pair = Arc::new((env.record().of(&user).build()?, next(&old)?, old));
        let answers = together(2, |turn| {
            let (store, pair, now) = (Arc::clone(&store), Arc::clone(&pair), env.now());
            async move {
                let (new, change, old) = &*pair;
                // Now the one goes first, now the other.
                Ok(match (round + turn) % 2 {
                    0 => replace(&*store, new, old, None, now).await? == CREATED,
                    _ => store.update(change, old.version, now).await? == UpdateOutcome::Applied,
                })
            }
        })
        .await?;
        ensure!(answers[0] != answers[1], "login and update of the same version: exactly one of them must succeed");
    }
    Ok(())
}
