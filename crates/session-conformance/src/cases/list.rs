//! `list_by_user`: all live sessions of a user, and no others.

use std::sync::Arc;

use session_core::SessionSummary;
use session_core::store::Record;

use super::support::{HOUR, MINUTE, insert, lists, together, updated};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

pub(super) async fn own_sessions_only(env: Env) -> Outcome {
    let store = env.store().await?;
    let (alice, bob) = (env.user("alice")?, env.user("bob")?);
    let records = [
        env.record().of(&alice).build()?,
        env.record().of(&alice).build()?,
        env.record().of(&bob).build()?,
        env.record().build()?,
    ];
    for record in &records {
        insert(&*store, record, env.now()).await?;
    }
    lists(&*store, &alice, [records[0].summary.id, records[1].summary.id], env.now(), "a user with two sessions")
        .await?;
    lists(&*store, &bob, [records[2].summary.id], env.now(), "a user with one session").await
}

pub(super) async fn unknown_user_has_none(env: Env) -> Outcome {
    let store = env.store().await?;
    insert(&*store, &env.record().of(&env.user("alice")?).build()?, env.now()).await?;
    lists(&*store, &env.user("nobody")?, [], env.now(), "a user without sessions").await
}

pub(super) async fn live_only(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let short = env.record().of(&user).build()?;
    let long = env.record().of(&user).timeouts(2 * HOUR, 3 * HOUR).build()?;
    insert(&*store, &short, env.now()).await?;
    insert(&*store, &long, env.now()).await?;
    env.clock().advance(HOUR);
    lists(&*store, &user, [long.summary.id], env.now(), "after one of two sessions expired").await?;
    env.clock().advance(HOUR + MINUTE);
    lists(&*store, &user, [], env.now(), "after both expired").await
}

pub(super) async fn shows_every_field(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = super::load::full_record(&env, &user)?;
    insert(&*store, &record, env.now()).await?;
    let listed = store.list_by_user(&user, env.now()).await?;
    same_summary(&listed, &record)
}

pub(super) async fn follows_updates(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    let full = super::load::full_record(&env, &user)?;
    let mut change = Record { version: record.version, ..full };
    let SessionSummary { id, kind, created_at, .. } = record.summary;
    (change.summary.id, change.summary.kind, change.summary.created_at) = (id, kind, created_at);
    let change = updated(&*store, &change, env.now()).await?;
    let listed = store.list_by_user(&user, env.now()).await?;
    same_summary(&listed, &change)
}

fn same_summary(listed: &[SessionSummary], record: &Record) -> Outcome {
    ensure_eq!(listed.len(), 1, "listed sessions");
    for (actual, expected) in listed.iter().zip([record.summary.clone()]) {
        ensure!(actual.id == expected.id, "the list shows another id");
        ensure_eq!(actual.kind, expected.kind, "the kind in the list");
        ensure_eq!(actual.created_at, expected.created_at, "created_at in the list");
        ensure_eq!(actual.last_seen, expected.last_seen, "last_seen in the list");
        ensure_eq!(actual.timeouts, expected.timeouts, "the lifetime in the list");
        ensure_eq!(actual.persistence, expected.persistence, "the persistence in the list");
        let parts = |session: &SessionSummary| {
            let authentication = session.authentication.clone();
            authentication.map(|auth| (auth.user, auth.at, auth.methods, auth.level))
        };
        ensure!(parts(actual) == parts(&expected), "the list shows another authentication");
        let parts = |session: &SessionSummary| {
            let device = &session.device;
            (device.label().map(str::to_owned), device.user_agent().map(str::to_owned), device.ip())
        };
        ensure!(parts(actual) == parts(&expected), "the list shows another device");
    }
    Ok(())
}

pub(super) async fn each_session_once(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let mut record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    for _ in 0..3 {
        env.clock().advance(MINUTE);
        record = updated(&*store, &record, env.now()).await?;
        let _ = store.touch(&record.summary.id, Some(&user), env.now()).await?;
    }
    lists(&*store, &user, [record.summary.id], env.now(), "after updates and touches").await
}

pub(super) async fn concurrent_logins_all_show(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let records = (0..64).map(|_| env.record().of(&user).build()).collect::<Result<Vec<_>, _>>()?;
    let records = Arc::new(records);
    together(64, |turn| {
        let (store, records, now) = (Arc::clone(&store), Arc::clone(&records), env.now());
        async move { insert(&*store, &records[turn], now).await }
    })
    .await?;
    lists(&*store, &user, records.iter().map(|record| record.summary.id), env.now(), "after 64 logins at once").await
}

pub(super) async fn a_hundred_all_show(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let mut ids = Vec::new();
    for _ in 0..100 {
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        ids.push(record.summary.id);
    }
    lists(&*store, &user, ids.iter().copied(), env.now(), "a user with 100 sessions").await?;
    let revoked = store.delete_by_user(&user, None).await?;
    super::support::same_ids(revoked, ids, "the revoked sessions of a user with 100")
}

pub(super) async fn login_after_revocation_shows(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    insert(&*store, &env.record().of(&user).build()?, env.now()).await?;
    store.delete_by_user(&user, None).await?;
    let new = env.record().of(&user).build()?;
    insert(&*store, &new, env.now()).await?;
    lists(&*store, &user, [new.summary.id], env.now(), "a login after all sessions were revoked").await
}
