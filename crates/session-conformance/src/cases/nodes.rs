//! Two handles on one namespace: two nodes of one service.

use session_core::DeleteOutcome;
use session_core::store::{CreateOutcome, TouchOutcome, UpdateOutcome};

use super::support::{MINUTE, create, insert, is_gone, is_stored, lists, next, same_ids, stored, updated};
use crate::env::Env;
use crate::outcome::{Outcome, ensure_eq};

pub(super) async fn see_each_others_writes(env: Env) -> Outcome {
    let (a, b, user) = (env.store().await?, env.open_node().await?, env.user("alice")?);
    let record = env.record().of(&user).value("n", "1").build()?;
    insert(&*a, &record, env.now()).await?;
    is_stored(&*b, &record, "a session that another node created").await?;
    lists(&*b, &user, [record.summary.id], env.now(), "a session that another node created").await?;
    let change = updated(&*b, &record, env.now()).await?;
    for node in [&a, &b] {
        is_stored(&**node, &change, "a session that one node created and another updated").await?;
    }
    env.clock().advance(MINUTE);
    ensure_eq!(a.touch(&record.summary.id, Some(&user), env.now()).await?, TouchOutcome::Applied, "`touch`");
    let touched = change.touched(env.now());
    is_stored(&*b, &touched, "a session that another node touched").await
}

pub(super) async fn logout_holds_everywhere(env: Env) -> Outcome {
    let (a, b, user) = (env.store().await?, env.open_node().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*a, &record, env.now()).await?;
    let in_flight = stored(&*b, &record.summary.id, "a session that another node created").await?;
    ensure_eq!(a.delete(&record.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    is_gone(&*b, &record.summary.id, "after a logout on another node").await?;
    let answer = b.update(&next(&in_flight)?, in_flight.version, env.now()).await?;
    ensure_eq!(answer, UpdateOutcome::Absent, "`update` after a logout on another node");
    let answer = b.touch(&record.summary.id, Some(&user), env.now()).await?;
    ensure_eq!(answer, TouchOutcome::Absent, "`touch` after a logout on another node");
    is_gone(&*a, &record.summary.id, "after all that").await
}

pub(super) async fn revocation_finds_every_login(env: Env) -> Outcome {
    let (a, b, user) = (env.store().await?, env.open_node().await?, env.user("alice")?);
    let (first, second) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
    insert(&*a, &first, env.now()).await?;
    insert(&*b, &second, env.now()).await?;
    lists(&*a, &user, [first.summary.id, second.summary.id], env.now(), "logins on two nodes").await?;
    let ended = b.delete_by_user(&user, None).await?;
    same_ids(ended, [first.summary.id, second.summary.id], "the revoked sessions of logins on two nodes")?;
    is_gone(&*a, &first.summary.id, "after a revocation on another node").await?;
    is_gone(&*a, &second.summary.id, "after a revocation on another node").await
}

pub(super) async fn an_id_is_taken_everywhere(env: Env) -> Outcome {
    let (a, b) = (env.store().await?, env.open_node().await?);
    let record = env.record().build()?;
    insert(&*a, &record, env.now()).await?;
    let other = env.record().id(record.summary.id).build()?;
    ensure_eq!(
        create(&*b, &other, env.now()).await?,
        CreateOutcome::IdTaken,
        "`create` of an id that another node has"
    );
    Ok(())
}

pub(super) async fn survive_reopening(env: Env) -> Outcome {
    let user = env.user("alice")?;
    let record = super::load::full_record(&env, &user)?;
    let store = env.store().await?;
    insert(&*store, &record, env.now()).await?;
    let change = updated(&*store, &record, env.now()).await?;
    drop(store);
    env.close().await;
    let store = env.store().await?;
    is_stored(&*store, &change, "after the store was closed and opened").await?;
    lists(&*store, &user, [record.summary.id], env.now(), "after the store was closed and opened").await
}

pub(super) async fn logout_survives_reopening(env: Env) -> Outcome {
    let user = env.user("alice")?;
    let (gone, left) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
    let store = env.store().await?;
    insert(&*store, &gone, env.now()).await?;
    insert(&*store, &left, env.now()).await?;
    ensure_eq!(store.delete(&gone.summary.id, Some(&user)).await?, DeleteOutcome::Deleted, "`delete`");
    drop(store);
    env.close().await;
    let store = env.store().await?;
    is_gone(&*store, &gone.summary.id, "after the store was closed and opened").await?;
    lists(&*store, &user, [left.summary.id], env.now(), "after the store was closed and opened").await
}
