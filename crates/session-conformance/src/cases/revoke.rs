//! `delete_by_user`: logout everywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use session_core::store::{Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{Kind, SessionId, UserId};

use super::support::{HOUR, insert, is_gone, is_stored, lists, next, same_ids, stored, together};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure_eq};

async fn sessions(env: &Env, store: &dyn SessionStore, user: &UserId, n: usize) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for _ in 0..n {
        let record = env.record().of(user).build()?;
        insert(store, &record, env.now()).await?;
        records.push(record);
    }
    Ok(records)
}

pub(super) async fn ends_all(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let mut records = sessions(&env, &*store, &user, 2).await?;
    let refresh = env.record().of(&user).kind(Kind::Refresh).build()?;
    insert(&*store, &refresh, env.now()).await?;
    records.push(refresh);
    store.delete_by_user(&user, None).await?;
    for record in &records {
        is_gone(&*store, &record.summary.id, "after all were revoked").await?;
    }
    lists(&*store, &user, [], env.now(), "after all were revoked").await
}

pub(super) async fn returns_what_it_ended(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let records = sessions(&env, &*store, &user, 3).await?;
    let ids = records.iter().map(|record| record.summary.id);
    same_ids(store.delete_by_user(&user, None).await?, ids, "the sessions reported as revoked")?;
    let again = store.delete_by_user(&user, None).await?;
    ensure_eq!(again.len(), 0, "sessions reported as revoked when there were none left");
    Ok(())
}

pub(super) async fn keeps_one(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let records = sessions(&env, &*store, &user, 3).await?;
    let ended = store.delete_by_user(&user, Some(&records[1].summary.id)).await?;
    same_ids(ended, [records[0].summary.id, records[2].summary.id], "the sessions reported as revoked")?;
    is_stored(&*store, &records[1], "the session to keep").await?;
    lists(&*store, &user, [records[1].summary.id], env.now(), "after all but one were revoked").await
}

pub(super) async fn unknown_user_is_no_error(env: Env) -> Outcome {
    let store = env.store().await?;
    let ended = store.delete_by_user(&env.user("nobody")?, None).await?;
    ensure_eq!(ended.len(), 0, "revoked sessions of a user without any");
    Ok(())
}

pub(super) async fn leaves_others_alone(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    sessions(&env, &*store, &user, 2).await?;
    let others = [env.record().of(&env.user("bob")?).build()?, env.record().build()?];
    for other in &others {
        insert(&*store, other, env.now()).await?;
    }
    store.delete_by_user(&user, None).await?;
    for other in &others {
        is_stored(&*store, other, "a session of somebody else, after revocation").await?;
    }
    Ok(())
}

pub(super) async fn ends_expired_ones(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let records = sessions(&env, &*store, &user, 2).await?;
    env.clock().advance(HOUR);
    // Tells the time to a store that learns it from its calls.
    lists(&*store, &user, [], env.now(), "after the deadline").await?;
    store.delete_by_user(&user, None).await?;
    for record in &records {
        is_gone(&*store, &record.summary.id, "an expired session, after revocation").await?;
    }
    Ok(())
}

pub(super) async fn ends_acknowledged_logins(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let first = env.record().of(&user).build()?;
    insert(&*store, &first, env.now()).await?;
    let acknowledged = Arc::new(Mutex::new(vec![first.summary.id]));
    together(16, |turn| {
        let (env, store, user, acknowledged) =
            (env.clone(), Arc::clone(&store), user.clone(), Arc::clone(&acknowledged));
        async move {
            let known = || acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            if turn % 5 != 4 {
                for _ in 0..3 {
                    let record = env.record().of(&user).build()?;
                    insert(&*store, &record, env.now()).await?;
                    known().push(record.summary.id);
                }
                return Ok(());
            }
            let before: Vec<SessionId> = known().clone();
            store.delete_by_user(&user, None).await?;
            for id in &before {
                is_gone(&*store, id, "a login that was acknowledged before the revocation").await?;
            }
            Ok(())
        }
    })
    .await?;
    // Whoever came too late for the revocations is alive and shows.
    let last = env.record().of(&user).build()?;
    insert(&*store, &last, env.now()).await?;
    let mut alive = vec![last.summary.id];
    let all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for id in all {
        if store.load(&id, Freshness::Latest).await?.is_some() {
            alive.push(id);
        }
    }
    lists(&*store, &user, alive, env.now(), "logins beside revocations").await
}

pub(super) async fn cannot_be_undone_by_an_update(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    let in_flight = stored(&*store, &record.summary.id, "before the revocation").await?;
    store.delete_by_user(&user, None).await?;
    let answer = store.update(&next(&in_flight)?, in_flight.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` that was in flight during the revocation");
    is_gone(&*store, &record.summary.id, "after revocation and `update`").await?;
    lists(&*store, &user, [], env.now(), "after revocation and `update`").await
}

pub(super) async fn beats_concurrent_updates(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    for _ in 0..8 {
        let records = Arc::new(sessions(&env, &*store, &user, 4).await?);
        let ended = Arc::new(AtomicBool::new(false));
        together(9, |turn| {
            let (env, store, user) = (env.clone(), Arc::clone(&store), user.clone());
            let (records, ended) = (Arc::clone(&records), Arc::clone(&ended));
            async move {
                if turn == 4 {
                    // The others are under way by then.
                    tokio::task::yield_now().await;
                    let revoked = store.delete_by_user(&user, None).await?;
                    ended.store(true, Ordering::SeqCst);
                    let ids = records.iter().map(|record| record.summary.id);
                    return same_ids(revoked, ids, "the revoked sessions, among updates");
                }
                let id = records[turn % 4].summary.id;
                while !ended.load(Ordering::SeqCst) {
                    if let Some(current) = store.load(&id, Freshness::Latest).await? {
                        tokio::task::yield_now().await;
                        let _ = store.update(&next(&current)?, current.version, env.now()).await?;
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        })
        .await?;
        for record in records.iter() {
            is_gone(&*store, &record.summary.id, "after revocation among updates").await?;
        }
    }
    lists(&*store, &user, [], env.now(), "after revocation among updates").await
}
