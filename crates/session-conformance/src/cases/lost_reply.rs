//! Requests that are executed, but whose replies are lost.

use futures::future::join_all;
use session_core::DeleteOutcome;
use session_core::store::{Record, TouchOutcome, UpdateOutcome};

use super::support::{MINUTE, launch, retry};
use super::update::{count, incremented};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::{Disruption, Service};
use crate::test_store::{CREATED, TestStore, next};

/// A node whose replies can be lost.
struct LossyNode<'a> {
    node: &'a TestStore,
    service: &'a dyn Service,
}

impl LossyNode<'_> {
    /// The answer of `call`, the first reply to which is lost; if that is an error, of a retry.
    async fn lose_reply<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.warm_up().await?;
        self.service.begin().await?;
        let first = call().await;
        self.service.end().await?;
        match first {
            Ok(answer) => Ok(answer),
            Err(_) => retry(what, call).await,
        }
    }

    /// Every operation once, so that the reply to lose is not one that only the first use of a connection needs.
    async fn warm_up(&self) -> Outcome {
        let node = self.node;
        let (old, new) = (node.anonymous().build()?, node.session_of(&node.user("bystander")?).build()?);
        let change = next(&new)?;
        let user = new.user().ok_or("a session of a user has none")?;
        let _ = retry("`create`", || node.create(&old)).await?;
        let _ = retry("`create`", || node.replace(&old, &new)).await?;
        let _ = retry("`update`", || node.update(&change, new.version)).await?;
        let _ = retry("`touch`", || node.touch(&new)).await?;
        retry("`load`", || node.load(new.id())).await?;
        retry("`list_by_user`", || node.list(user)).await?;
        let _ = retry("`delete`", || node.delete(&new)).await?;
        retry("`delete_by_user`", || node.revoke(user)).await?;
        Ok(())
    }
}

pub(super) async fn takes_effect_once(env: Env) -> Outcome {
    let (service, [node, other]) = launch(&env, Disruption::LostReply).await?;
    let lossy = LossyNode { node: &node, service: &*service };
    for round in 0..2 {
        reads(&lossy, round).await?;
        writes(&lossy, &other, round).await?;
    }
    Ok(())
}

async fn reads(lossy: &LossyNode<'_>, round: usize) -> Outcome {
    let node = lossy.node;
    let user = node.user(&format!("reader {round}"))?;
    let (one, two) = (node.insert(node.session_of(&user)).await?, node.insert(node.session_of(&user)).await?);
    let loaded = lossy.lose_reply("`load`", || node.load(one.id())).await?;
    ensure!(loaded.is_some_and(|loaded| loaded.id() == one.id()), "`load` whose reply was lost: another answer");
    // A late reply to one request is not the reply to the next.
    for record in [&two, &one, &two] {
        let loaded = retry("`load`", || node.load(record.id())).await?;
        ensure!(loaded.is_some_and(|loaded| loaded.id() == record.id()), "`load` after a lost reply: another answer");
    }
    let listed = lossy.lose_reply("`list_by_user`", || node.list(&user)).await?;
    ensure_eq!(listed.len(), 2, "sessions in a list whose reply was lost");
    Ok(())
}

async fn writes(lossy: &LossyNode<'_>, other: &TestStore, round: usize) -> Outcome {
    let node = lossy.node;
    let user = node.user(&format!("writer {round}"))?;
    let (old, login) = (node.insert(node.anonymous()).await?, node.session_of(&user).build()?);
    let created = lossy.lose_reply("`create`", || node.replace(&old, &login)).await?;
    ensure_eq!(created, CREATED, "a login whose reply was lost");
    other.assert_gone(&old, "the session that was replaced by a login whose reply was lost").await?;
    other.assert_lists(&user, [&login], "after a login whose reply was lost").await?;

    let change = next(&login)?;
    let updated = lossy.lose_reply("`update`", || node.update(&change, login.version)).await?;
    ensure_eq!(updated, UpdateOutcome::Applied, "an `update` whose reply was lost");
    other.assert_stored(&change, "after an `update` whose reply was lost").await?;

    let seen = node.now() + MINUTE;
    let touched = lossy.lose_reply("`touch`", || node.touch_at(&change, seen)).await?;
    ensure_eq!(touched, TouchOutcome::Applied, "a `touch` whose reply was lost");
    other.assert_stored(&change.touched(seen), "after a `touch` whose reply was lost").await?;

    // Deleted by the first attempt, or by the second.
    let deleted = lossy.lose_reply("`delete`", || node.delete(&login)).await?;
    ensure!(matches!(deleted, DeleteOutcome::Deleted | DeleteOutcome::Absent), "a logout whose reply was lost");
    other.assert_gone(&login, "after a logout whose reply was lost").await?;

    let last = other.insert(other.session_of(&user)).await?;
    lossy.lose_reply("`delete_by_user`", || node.revoke(&user)).await?;
    other.assert_gone(&last, "after a revocation whose reply was lost").await
}

/// How many tasks increment, and how often each.
const TASKS: usize = 4;
const EACH: usize = 12;

/// The increments of one task.
#[derive(Default)]
struct Count {
    acknowledged: u32,
    unknown: u32,
}

pub(super) async fn counts_once(env: Env) -> Outcome {
    let (service, nodes) = launch(&env, Disruption::LostReply).await?;
    let node = &nodes[0];
    let record = node.insert(node.anonymous().value("n", 0_u32.to_be_bytes().to_vec())).await?;
    let tasks = nodes.iter().cycle().take(TASKS).map(|node| increments(node, &*service, &record));
    let counts = join_all(tasks).await.into_iter().collect::<Result<Vec<Count>, Failure>>()?;
    service.end().await?;
    let acknowledged = counts.iter().map(|count| count.acknowledged).sum::<u32>();
    let unknown = counts.iter().map(|count| count.unknown).sum::<u32>();
    // Twice: whether a late reply is taken for the next one is the question of another case.
    retry("`load`", || node.load(record.id())).await?;
    let end = retry("`load`", || node.load(record.id())).await?.ok_or("the session is gone")?;
    let total = count(&end)?;
    ensure!(
        (acknowledged..=acknowledged + unknown).contains(&total),
        "after {acknowledged} increments that were acknowledged and {unknown} that were not, the counter is {total}"
    );
    Ok(())
}

/// Increments the counter, and loses the reply to every third increment.
async fn increments(node: &TestStore, service: &dyn Service, record: &Record) -> Result<Count, Failure> {
    let mut counted = Count::default();
    for turn in 0..EACH {
        let mut to_lose = turn % 3 == 0;
        loop {
            let loaded = retry("`load`", || node.load(record.id())).await?;
            let current = loaded.ok_or("the session is gone while it is counted")?;
            let change = incremented(&current)?;
            if std::mem::take(&mut to_lose) {
                service.begin().await?;
            }
            match node.update(&change, current.version).await {
                Ok(UpdateOutcome::Applied) => counted.acknowledged += 1,
                Ok(UpdateOutcome::Conflict) => continue,
                Ok(UpdateOutcome::Absent) => return Err("the session is gone while it is counted".into()),
                Err(_) => counted.unknown += 1,
            }
            break;
        }
    }
    Ok(counted)
}
