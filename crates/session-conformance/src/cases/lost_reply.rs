//! Requests that are carried out, and whose replies get lost.

use futures::future::join_all;
use session_core::store::{CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, OsEntropy, SessionId};

use super::disturbed::insist;
use super::support::{CREATED, MINUTE, insert, is_gone, is_stored, lists, next};
use super::update_race::count;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::{Disturbance, Disturbed, Service};

/// Everything that is asked below, once: what a connection or a server learns at the first time is not the reply to lose.
async fn warm_up(env: &Env, node: &dyn SessionStore) -> Outcome {
    let (user, now) = (env.user("somebody else")?, env.now());
    let visitor = env.record().build()?;
    let _ = insist("`create`", || node.create(alone(&visitor), now)).await?;
    let record = env.record().of(&user).build()?;
    let replaces = Some(Replacement { id: visitor.summary.id, user: None, version: visitor.version });
    let _ = insist("`create`", || node.create(CreateRequest { replaces, ..alone(&record) }, now)).await?;
    let change = next(&record)?;
    let _ = insist("`update`", || node.update(&change, record.version, now)).await?;
    let _ = insist("`touch`", || node.touch(&record.summary.id, Some(&user), now)).await?;
    insist("`load`", || node.load(&record.summary.id, Freshness::Latest)).await?;
    insist("`list_by_user`", || node.list_by_user(&user, now)).await?;
    let _ = insist("`delete`", || node.delete(&record.summary.id, Some(&user))).await?;
    insist("`delete_by_user`", || node.delete_by_user(&user, None)).await?;
    Ok(())
}

fn alone(record: &Record) -> CreateRequest<'_> {
    CreateRequest { record, replaces: None, limit: None }
}

/// The answer of `call`: that of the attempt whose reply may get lost, or, if that was an error, of a repetition.
macro_rules! with_lost_reply {
    ($env:expr, $service:expr, $node:expr, $what:literal, $call:expr) => {{
        warm_up($env, $node).await?;
        $service.begin().await?;
        let first = $call.await;
        $service.end().await?;
        match first {
            Ok(answer) => answer,
            Err(_) => insist($what, || $call).await?,
        }
    }};
}

pub(super) async fn takes_effect_once(env: Env) -> Outcome {
    let Disturbed { nodes, service } = env.launch(Disturbance::LostReply).await?;
    let (service, node, other) = (&*service, &*nodes[0], &*nodes[1]);
    for round in 0..2 {
        reads(&env, service, node, round).await?;
        writes(&env, service, node, other, round).await?;
    }
    Ok(())
}

async fn reads(env: &Env, service: &dyn Service, node: &dyn SessionStore, round: usize) -> Outcome {
    let user = env.user(&format!("reader {round}"))?;
    let (one, two) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
    insert(node, &one, env.now()).await?;
    insert(node, &two, env.now()).await?;
    let loaded = with_lost_reply!(env, service, node, "`load`", node.load(&one.summary.id, Freshness::Latest));
    ensure_eq!(
        loaded.map(|record| record.summary.id == one.summary.id),
        Some(true),
        "`load` whose reply got lost found the session"
    );
    // A late reply to one question is no answer to the next.
    for record in [&two, &one, &two] {
        let loaded = insist("`load`", || node.load(&record.summary.id, Freshness::Latest)).await?;
        ensure!(
            loaded.is_some_and(|loaded| loaded.summary.id == record.summary.id),
            "`load` after a lost reply: another answer"
        );
    }
    let listed = with_lost_reply!(env, service, node, "`list_by_user`", node.list_by_user(&user, env.now()));
    ensure_eq!(listed.len(), 2, "sessions in a list whose reply got lost");
    Ok(())
}

async fn writes(
    env: &Env,
    service: &dyn Service,
    node: &dyn SessionStore,
    other: &dyn SessionStore,
    round: usize,
) -> Outcome {
    let (user, now) = (env.user(&format!("writer {round}"))?, env.now());
    let visitor = env.record().build()?;
    insert(node, &visitor, now).await?;
    let login = env.record().of(&user).build()?;
    let replaces = Some(Replacement { id: visitor.summary.id, user: None, version: visitor.version });
    let admission = CreateRequest { record: &login, replaces, limit: None };
    let created = with_lost_reply!(env, service, node, "`create`", node.create(admission, now));
    ensure_eq!(created, CREATED, "a login whose reply got lost");
    is_gone(other, &visitor.summary.id, "the session that was replaced by a login whose reply got lost").await?;
    lists(other, &user, [login.summary.id], now, "after a login whose reply got lost").await?;

    let change = next(&login)?;
    let updated = with_lost_reply!(env, service, node, "`update`", node.update(&change, login.version, now));
    ensure_eq!(updated, UpdateOutcome::Applied, "an `update` whose reply got lost");
    is_stored(other, &change, "after an `update` whose reply got lost").await?;

    let seen = now + MINUTE;
    let touched = with_lost_reply!(env, service, node, "`touch`", node.touch(&login.summary.id, Some(&user), seen));
    ensure_eq!(touched, TouchOutcome::Applied, "a `touch` whose reply got lost");
    is_stored(other, &change.touched(seen), "after a `touch` whose reply got lost").await?;

    // Deleted by the first attempt, or by the second.
    let deleted = with_lost_reply!(env, service, node, "`delete`", node.delete(&login.summary.id, Some(&user)));
    ensure!(matches!(deleted, DeleteOutcome::Deleted | DeleteOutcome::Absent), "a logout whose reply got lost");
    is_gone(other, &login.summary.id, "after a logout whose reply got lost").await?;

    let last = env.record().of(&user).build()?;
    insert(other, &last, now).await?;
    with_lost_reply!(env, service, node, "`delete_by_user`", node.delete_by_user(&user, None));
    is_gone(other, &last.summary.id, "after a revocation whose reply got lost").await
}

/// How many increments there are: tasks, and increments of each.
const TASKS: usize = 4;
const EACH: usize = 12;

/// What came of increments.
#[derive(Default)]
struct Count {
    acknowledged: u32,
    unknown: u32,
}

pub(super) async fn counts_once(env: Env) -> Outcome {
    let Disturbed { nodes, service } = env.launch(Disturbance::LostReply).await?;
    let record = env.record().value("n", 0_u32.to_be_bytes().to_vec()).build()?;
    insert(&*nodes[0], &record, env.now()).await?;
    let tasks = (0..TASKS).map(|turn| increments(&env, &*service, &*nodes[turn % 2], &record.summary.id));
    let counts = join_all(tasks).await.into_iter().collect::<Result<Vec<Count>, Failure>>()?;
    service.end().await?;
    let acknowledged = counts.iter().map(|count| count.acknowledged).sum::<u32>();
    let unknown = counts.iter().map(|count| count.unknown).sum::<u32>();
    let end = insist("`load`", || nodes[0].load(&record.summary.id, Freshness::Latest))
        .await?
        .ok_or("the session is gone")?;
    let total = count(&end)?;
    ensure!(
        (acknowledged..=acknowledged + unknown).contains(&total),
        "after {acknowledged} increments that were acknowledged and {unknown} that were not, the counter is {total}"
    );
    Ok(())
}

async fn increments(
    env: &Env,
    service: &dyn Service,
    node: &dyn SessionStore,
    id: &SessionId,
) -> Result<Count, Failure> {
    let mut counted = Count::default();
    for turn in 0..EACH {
        let mut disturbed = turn % 3 != 0;
        loop {
            let record = insist("`load`", || node.load(id, Freshness::Latest))
                .await?
                .ok_or("the session is gone while it is counted")?;
            let mut change = Record { version: record.version.next(&OsEntropy)?, ..record.clone() };
            change.data.insert("n".into(), (count(&record)? + 1).to_be_bytes().to_vec().into());
            if !std::mem::replace(&mut disturbed, true) {
                service.begin().await?;
            }
            match node.update(&change, record.version, env.now()).await {
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
