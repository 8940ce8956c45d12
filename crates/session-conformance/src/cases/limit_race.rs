//! The limit of sessions of a user, when logins happen at once.

use std::sync::Arc;

use session_core::store::{CreateOutcome, Record, SessionStore};
use session_core::{LimitPolicy, SessionId, UserId};

use super::support::{CREATED, is_gone, is_stored, limit, lists, login, replace, same_ids, together};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// `k` logins of `user` at once, under a limit of `n`; login i through `stores[i % stores.len()]`.
async fn logins(
    env: &Env,
    stores: &[Arc<dyn SessionStore>],
    user: &UserId,
    k: usize,
    n: u32,
    at_limit: LimitPolicy,
) -> Result<Vec<(SessionId, CreateOutcome)>, Failure> {
    let records = (0..k).map(|_| env.record().of(user).build()).collect::<Result<Vec<_>, _>>()?;
    let records = Arc::new(records);
    together(k, |turn| {
        let (store, records, now) = (Arc::clone(&stores[turn % stores.len()]), Arc::clone(&records), env.now());
        async move { Ok((records[turn].summary.id, login(&*store, &records[turn], limit(n, at_limit), now).await?)) }
    })
    .await
}

/// After `logins` under an evicting limit: all were admitted, `n` are alive, the others reported as evicted, each once.
async fn check_evicting(
    env: &Env,
    store: &dyn SessionStore,
    user: &UserId,
    logins: Vec<(SessionId, CreateOutcome)>,
    n: usize,
) -> Outcome {
    let (mut all, mut gone) = (Vec::new(), Vec::new());
    for (id, admitted) in logins {
        let CreateOutcome::Created { evicted } = admitted else {
            return Err(Failure::new(format!("login under an evicting limit: expected Created, got {admitted:?}")));
        };
        all.push(id);
        gone.extend(evicted);
    }
    let listed: Vec<SessionId> = store.list_by_user(user, env.now()).await?.iter().map(|live| live.id).collect();
    ensure_eq!(listed.len(), n, "live sessions after {} logins at once, under a limit of {n}", all.len());
    for id in &gone {
        is_gone(store, id, "a session that was reported as evicted").await?;
    }
    gone.extend(listed);
    same_ids(gone, all, "evicted and live sessions together")
}

pub(super) async fn evicting_holds(env: Env) -> Outcome {
    let store = env.store().await?;
    for (n, k, at_limit) in [
        (1, 16, LimitPolicy::EvictOldest),
        (2, 16, LimitPolicy::EvictLeastRecent),
        (3, 16, LimitPolicy::EvictOldest),
        (1, 64, LimitPolicy::EvictLeastRecent),
        (3, 64, LimitPolicy::EvictOldest),
    ] {
        let user = env.user(&format!("user {n} {k}"))?;
        let logins = logins(&env, &[Arc::clone(&store)], &user, k, n, at_limit).await?;
        check_evicting(&env, &*store, &user, logins, n as usize).await?;
    }
    Ok(())
}

pub(super) async fn rejecting_holds(env: Env) -> Outcome {
    let store = env.store().await?;
    for (n, k) in [(1, 16), (2, 16), (3, 16), (1, 64), (3, 64)] {
        let user = env.user(&format!("user {n} {k}"))?;
        let logins = logins(&env, &[Arc::clone(&store)], &user, k, n, LimitPolicy::Reject).await?;
        let admitted: Vec<SessionId> =
            logins.iter().filter(|(_, answer)| *answer == CREATED).map(|(id, _)| *id).collect();
        ensure_eq!(admitted.len(), n as usize, "admitted of {k} logins at once, under a limit of {n}");
        let refused = logins.iter().filter(|(_, answer)| *answer == CreateOutcome::LimitReached).count();
        ensure_eq!(refused + admitted.len(), k, "logins that were admitted or told LimitReached");
        lists(&*store, &user, admitted, env.now(), "after the logins").await?;
    }
    Ok(())
}

pub(super) async fn holds_across_nodes(env: Env) -> Outcome {
    let nodes = [env.store().await?, env.open_node().await?];
    for (n, name) in [(1, "alice"), (3, "bob")] {
        let user = env.user(name)?;
        let logins = logins(&env, &nodes, &user, 32, n, LimitPolicy::EvictOldest).await?;
        check_evicting(&env, &*nodes[0], &user, logins, n as usize).await?;
    }
    let user = env.user("carol")?;
    let logins = logins(&env, &nodes, &user, 32, 2, LimitPolicy::Reject).await?;
    let admitted = logins.iter().filter(|(_, answer)| *answer == CREATED).count();
    ensure_eq!(admitted, 2, "admitted of 32 logins at once on two nodes, under a limit of 2");
    Ok(())
}

pub(super) async fn repeated_logins_keep_every_device(env: Env) -> Outcome {
    let store = env.store().await?;
    let three = limit(3, LimitPolicy::EvictOldest);
    for name in ["alice", "bob", "carol", "dave"] {
        let user = env.user(name)?;
        let mut pairs: Vec<(Record, Record)> = Vec::new();
        for _ in 0..3 {
            let device = env.record().of(&user).build()?;
            ensure_eq!(login(&*store, &device, three, env.now()).await?, CREATED, "login below the limit");
            pairs.push((device, env.record().of(&user).build()?));
        }
        let pairs = Arc::new(pairs);
        let answers = together(3, |turn| {
            let (store, pairs, now) = (Arc::clone(&store), Arc::clone(&pairs), env.now());
            async move { replace(&*store, &pairs[turn].1, &pairs[turn].0, Some(three), now).await }
        })
        .await?;
        ensure!(
            answers.iter().all(|answer| *answer == CREATED),
            "three devices that log in again at once, at a limit of three: nobody has to go, got {answers:?}"
        );
        for (old, new) in pairs.iter() {
            is_gone(&*store, &old.summary.id, "the old session of a device").await?;
            is_stored(&*store, new, "the new session of a device").await?;
        }
    }
    Ok(())
}
