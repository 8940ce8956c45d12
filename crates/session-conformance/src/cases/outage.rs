//! Servers that are down, or do not answer: every operation is an error, and an error is no absence.

use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use session_core::store::{CreateRequest, Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{StoreError, UserId};

use super::disturbed::{PATIENCE, insist};
use super::load::full_record;
use super::support::{MINUTE, insert, is_gone, is_stored, lists, next};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::{Disturbance, Disturbed};

/// The sessions of a node's users. Each write goes to one of its own, so that what it did can be told.
struct Sessions {
    user: UserId,
    kept: Record,
    updated: Record,
    touched: Record,
    ended: Record,
    /// Of another user, all of whose sessions are to end.
    revoked: Record,
    /// Does not exist yet.
    new: Record,
}

impl Sessions {
    async fn begin(env: &Env, node: &dyn SessionStore, turn: usize) -> Result<Self, Failure> {
        let (user, other) = (env.user(&format!("user {turn}"))?, env.user(&format!("other {turn}"))?);
        let record = |user| env.record().of(user).build();
        let sessions = Self {
            kept: full_record(env, &user)?,
            updated: record(&user)?,
            touched: record(&user)?,
            ended: record(&user)?,
            revoked: record(&other)?,
            new: record(&user)?,
            user,
        };
        for record in sessions.existing() {
            insert(node, record, env.now()).await?;
        }
        Ok(sessions)
    }

    fn existing(&self) -> [&Record; 5] {
        [&self.kept, &self.updated, &self.touched, &self.ended, &self.revoked]
    }

    /// Every operation, at once. (`delete_expired` is none of them: a store whose server expires records has nothing
    /// to ask.)
    async fn nothing_works(&self, env: &Env, node: &dyn SessionStore) -> Outcome {
        let (user, now) = (Some(&self.user), env.now());
        let change = next(&self.updated)?;
        let seen = now + MINUTE;
        let calls: [(&str, BoxFuture<'_, Result<(), StoreError>>); 7] = [
            ("load", Box::pin(async { node.load(&self.kept.summary.id, Freshness::Latest).await.map(drop) })),
            ("create", Box::pin(async { node.create(alone(&self.new), now).await.map(drop) })),
            ("update", Box::pin(async { node.update(&change, self.updated.version, now).await.map(drop) })),
            ("touch", Box::pin(async { node.touch(&self.touched.summary.id, user, seen).await.map(drop) })),
            ("delete", Box::pin(async { node.delete(&self.ended.summary.id, user).await.map(drop) })),
            ("list_by_user", Box::pin(async { node.list_by_user(&self.user, now).await.map(drop) })),
            (
                "delete_by_user",
                Box::pin(async {
                    match self.revoked.user() {
                        Some(other) => node.delete_by_user(other, None).await.map(drop),
                        None => Ok(()),
                    }
                }),
            ),
        ];
        let answers = calls.map(|(name, call)| async move { (name, tokio::time::timeout(PATIENCE, call).await) });
        for (name, answer) in join_all(answers).await {
            let Ok(answer) = answer else {
                return Err(Failure::new(format!("`{name}` without servers: no answer within {PATIENCE:?}")));
            };
            ensure!(answer.is_err(), "`{name}` without servers: expected an error, got an answer");
        }
        Ok(())
    }

    /// Nothing was done: not during the outage, and not later.
    async fn are_as_before(&self, env: &Env, node: &dyn SessionStore) -> Outcome {
        for record in self.existing() {
            insist("`load`", || node.load(&record.summary.id, Freshness::Latest)).await?;
            is_stored(node, record, "after the outage").await?;
        }
        is_gone(node, &self.new.summary.id, "a session that could not be created during the outage").await?;
        let mine = [&self.kept, &self.updated, &self.touched, &self.ended].map(|record| record.summary.id);
        insist("`list_by_user`", || node.list_by_user(&self.user, env.now())).await?;
        lists(node, &self.user, mine, env.now(), "after the outage").await
    }

    /// Each write was done, or was not; what was not written is as before.
    async fn are_as_before_or_after(&self, env: &Env, node: &dyn SessionStore) -> Outcome {
        insist("`load`", || node.load(&self.kept.summary.id, Freshness::Latest)).await?;
        is_stored(node, &self.kept, "after the servers answered again").await?;
        let updated = insist("`load`", || node.load(&self.updated.summary.id, Freshness::Latest)).await?;
        let number = updated.ok_or("a session that was to be updated is gone")?.version.number;
        ensure!(number <= self.updated.version.number + 1, "one `update` was done twice");
        let touched = insist("`load`", || node.load(&self.touched.summary.id, Freshness::Latest)).await?;
        let seen = touched.ok_or("a session that was to be touched is gone")?.summary.last_seen;
        ensure!(seen == self.touched.summary.last_seen || seen == env.now() + MINUTE, "`touch` wrote another time");
        Ok(())
    }

    /// Whatever failed works when it is repeated.
    async fn all_works(&self, env: &Env, node: &dyn SessionStore) -> Outcome {
        let (user, now) = (Some(&self.user), env.now());
        let current = insist("`load`", || node.load(&self.updated.summary.id, Freshness::Latest))
            .await?
            .ok_or("a session is gone")?;
        let change = next(&current)?;
        let updated = insist("`update`", || node.update(&change, current.version, now)).await?;
        ensure_eq!(updated, UpdateOutcome::Applied, "`update` after the outage");
        let _ = insist("`touch`", || node.touch(&self.touched.summary.id, user, now + MINUTE)).await?;
        let _ = insist("`create`", || node.create(alone(&self.new), now)).await?;
        let _ = insist("`delete`", || node.delete(&self.ended.summary.id, user)).await?;
        let revoke = || async {
            match self.revoked.user() {
                Some(other) => node.delete_by_user(other, None).await.map(drop),
                None => Ok(()),
            }
        };
        insist("`delete_by_user`", revoke).await?;
        is_gone(node, &self.ended.summary.id, "a logout after the outage").await?;
        is_gone(node, &self.revoked.summary.id, "a revocation after the outage").await?;
        let touched = self.touched.clone().touched(now + MINUTE);
        is_stored(node, &touched, "a touch after the outage").await?;
        let there = [&self.kept, &self.updated, &self.touched, &self.new].map(|record| record.summary.id);
        lists(node, &self.user, there, now, "after the outage").await
    }
}

fn alone(record: &Record) -> CreateRequest<'_> {
    CreateRequest { record, replaces: None, limit: None }
}

async fn without_servers(env: &Env, disturbance: Disturbance) -> Outcome {
    let Disturbed { nodes, service } = env.launch(disturbance).await?;
    let mut sessions = Vec::new();
    for (turn, node) in nodes.iter().enumerate() {
        sessions.push(Sessions::begin(env, &**node, turn).await?);
    }
    let each = || sessions.iter().zip(nodes.iter().map(Arc::as_ref));
    service.begin().await?;
    // Twice: the first time, there are connections to lose.
    for _ in 0..2 {
        let attempts = join_all(each().map(|(sessions, node)| sessions.nothing_works(env, node))).await;
        attempts.into_iter().collect::<Outcome>()?;
    }
    service.end().await?;
    for (sessions, node) in each() {
        if disturbance == Disturbance::Outage {
            sessions.are_as_before(env, node).await?;
        } else {
            // A server may carry out later what it received while it was frozen.
            sessions.are_as_before_or_after(env, node).await?;
        }
    }
    for (sessions, node) in each() {
        sessions.all_works(env, node).await?;
    }
    Ok(())
}

pub(super) async fn down(env: Env) -> Outcome {
    without_servers(&env, Disturbance::Outage).await
}

pub(super) async fn frozen(env: Env) -> Outcome {
    without_servers(&env, Disturbance::Freeze).await
}
