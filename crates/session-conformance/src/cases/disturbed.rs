//! Disturbances that a store survives: what was acknowledged before holds after them, on every node.

use std::sync::Arc;
use std::time::Duration;

use session_core::store::{CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, SessionId, StoreError, UserId};

use super::load::full_record;
use super::support::{CREATED, MINUTE, insert, is_gone, is_stored, lists, next, same_ids, updated};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::{Disturbance, Disturbed};

/// How many users there are: enough for some to be on every shard.
const USERS: usize = 12;

/// Longer than a store may take for an operation, on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn restart(env: Env) -> Outcome {
    survives(&env, Disturbance::Restart).await
}

pub(super) async fn forgotten_scripts(env: Env) -> Outcome {
    survives(&env, Disturbance::ForgetScripts).await
}

pub(super) async fn foreign_time_zone(env: Env) -> Outcome {
    survives(&env, Disturbance::ForeignTimeZone).await
}

pub(super) async fn moved_shards(env: Env) -> Outcome {
    survives(&env, Disturbance::MoveShards).await
}

pub(super) async fn failover(env: Env) -> Outcome {
    survives(&env, Disturbance::Failover).await
}

/// The answer of `call`, which is repeated while it is an error: the store may need a moment to find its servers.
pub(super) async fn insist<T, F>(what: &str, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut last = None;
    for _ in 0..200 {
        match tokio::time::timeout(PATIENCE, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = Some(error),
            Err(_) => return Err(Failure::new(format!("{what}: no answer, and no error either"))),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = last.map(Failure::from).map_or_else(String::new, |last| last.to_string());
    Err(Failure::new(format!("{what}: nothing but errors, long after the disturbance; the last: {last}")))
}

/// One user: a session that is there, one that was logged out, and one in exchange for which the first was begun.
struct Witness {
    user: UserId,
    there: Record,
    logged_out: SessionId,
    replaced: SessionId,
}

impl Witness {
    /// What happens to these sessions is spread over both nodes.
    async fn begin(env: &Env, nodes: &[Arc<dyn SessionStore>; 2], turn: usize) -> Result<Self, Failure> {
        let (a, b) = (&*nodes[turn % 2], &*nodes[(turn + 1) % 2]);
        let user = env.user(&format!("user {turn}"))?;
        let visitor = env.record().build()?;
        insert(a, &visitor, env.now()).await?;
        let there = full_record(env, &user)?;
        let login = super::support::replace(b, &there, &visitor, None, env.now()).await?;
        ensure_eq!(login, CREATED, "login before the disturbance");
        let mut there = updated(a, &there, env.now()).await?;
        there.summary.last_seen = env.now() + 3 * MINUTE;
        let touched = b.touch(&there.summary.id, Some(&user), there.summary.last_seen).await?;
        ensure_eq!(touched, TouchOutcome::Applied, "`touch` before the disturbance");
        let gone = env.record().of(&user).build()?;
        insert(b, &gone, env.now()).await?;
        ensure_eq!(
            a.delete(&gone.summary.id, Some(&user)).await?,
            DeleteOutcome::Deleted,
            "logout before the disturbance"
        );
        Ok(Self { user, there, logged_out: gone.summary.id, replaced: visitor.summary.id })
    }

    async fn check(&self, env: &Env, node: &dyn SessionStore, when: &str) -> Outcome {
        let Self { user, there, logged_out, replaced } = self;
        // An error is none of the answers below.
        insist("`load`", || node.load(&there.summary.id, Freshness::Latest)).await?;
        insist("`load`", || node.load(replaced, Freshness::Latest)).await?;
        insist("`list_by_user`", || node.list_by_user(user, env.now())).await?;
        is_stored(node, there, when).await?;
        is_gone(node, logged_out, &format!("{when}: a session that was logged out")).await?;
        is_gone(node, replaced, &format!("{when}: a session that was replaced")).await?;
        lists(node, user, [there.summary.id], env.now(), when).await
    }

    /// Whatever can be done with sessions, after the disturbance, on one node; and what the other one sees of it.
    async fn works(&mut self, env: &Env, a: &dyn SessionStore, b: &dyn SessionStore) -> Outcome {
        let (user, now) = (self.user.clone(), env.now());
        let change = next(&self.there)?;
        let answer = insist("`update`", || a.update(&change, self.there.version, now)).await?;
        ensure_eq!(answer, UpdateOutcome::Applied, "`update` after the disturbance");
        let change = change.touched(now + 4 * MINUTE);
        let answer = insist("`touch`", || a.touch(&change.summary.id, Some(&user), change.summary.last_seen)).await?;
        ensure_eq!(answer, TouchOutcome::Applied, "`touch` after the disturbance");
        is_stored(b, &change, "after the disturbance, on another node").await?;
        let new = env.record().of(&user).build()?;
        let login = CreateRequest { record: &new, replaces: None, limit: None };
        ensure_eq!(insist("`create`", || a.create(login, now)).await?, CREATED, "login after the disturbance");
        lists(b, &user, [change.summary.id, new.summary.id], now, "after the disturbance, on another node").await?;
        let _ = insist("`delete`", || a.delete(&new.summary.id, Some(&user))).await?;
        is_gone(b, &new.summary.id, "a session that was logged out on another node, after the disturbance").await?;
        let ended = insist("`delete_by_user`", || a.delete_by_user(&user, None)).await?;
        same_ids(ended, [change.summary.id], "the sessions that were revoked, after the disturbance")?;
        is_gone(b, &change.summary.id, "a session that was revoked on another node, after the disturbance").await
    }
}

async fn survives(env: &Env, disturbance: Disturbance) -> Outcome {
    let Disturbed { nodes, service } = env.launch(disturbance).await?;
    let mut witnesses = Vec::new();
    for turn in 0..USERS {
        witnesses.push(Witness::begin(env, &nodes, turn).await?);
    }
    let watch = async {
        // Until the disturbance is over.
        for witness in witnesses.iter().cycle() {
            for node in &nodes {
                if let Ok(Ok(loaded)) =
                    tokio::time::timeout(PATIENCE, node.load(&witness.there.summary.id, Freshness::Latest)).await
                {
                    ensure!(loaded.is_some(), "during the disturbance, a session was reported as absent");
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    tokio::select! {
        begun = service.begin() => begun?,
        watched = watch => return watched,
    }
    service.end().await?;
    for witness in &witnesses {
        for node in &nodes {
            witness.check(env, &**node, "after the disturbance").await?;
        }
    }
    for (turn, witness) in witnesses.iter_mut().enumerate() {
        witness.works(env, &*nodes[turn % 2], &*nodes[(turn + 1) % 2]).await?;
    }
    Ok(())
}
