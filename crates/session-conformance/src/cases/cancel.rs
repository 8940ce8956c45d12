//! A call whose future is dropped: the state is the one before or the one after, never a mixture.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use session_core::LimitPolicy;
use session_core::store::{CreateRequest, Freshness, Record, Replacement, SessionStore};

use super::support::{MINUTE, insert, limit, lists, next, updated};
use crate::env::Env;
use crate::outcome::{Failure, Outcome};

/// Polls `call` at most `polls` times, then drops it.
async fn drop_after(polls: usize, call: impl Future) {
    let mut call = pin!(call);
    let mut turn = 0;
    poll_fn(|context| {
        turn += 1;
        if turn > polls || call.as_mut().poll(context).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// How often a future is polled before it is dropped: from never to more often than a driver needs.
const POLLS: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 8, 12];

/// Waits until `state` tells which of the two states it is, because what was sent before the drop may still arrive.
/// A mixture that stays is a failure.
async fn settles<F>(what: &str, state: impl Fn() -> F) -> Outcome
where
    F: Future<Output = Result<Result<(), Failure>, Failure>>,
{
    let mut mixture = None;
    for _ in 0..50 {
        match state().await? {
            Ok(()) => return Ok(()),
            Err(failure) => mixture = Some(failure),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mixture = mixture.map(|failure| failure.to_string()).unwrap_or_default();
    Err(Failure::new(format!("{what}, dropped before it was finished: neither the state before nor after: {mixture}")))
}

/// Which of `ids` can be loaded.
async fn present(store: &dyn SessionStore, records: &[&Record]) -> Result<Vec<bool>, Failure> {
    let mut present = Vec::new();
    for record in records {
        present.push(store.load(&record.summary.id, Freshness::Latest).await?.is_some());
    }
    Ok(present)
}

/// The sessions that can be loaded are those `before` or those `after`.
async fn one_of(
    store: &dyn SessionStore,
    records: &[&Record],
    before: &[bool],
    after: &[bool],
) -> Result<Result<(), Failure>, Failure> {
    let present = present(store, records).await?;
    if present == before || present == after {
        return Ok(Ok(()));
    }
    Ok(Err(Failure::new(format!("sessions present before {before:?}, after {after:?}, now {present:?}"))))
}

pub(super) async fn login(env: Env) -> Outcome {
    let store = env.store().await?;
    for polls in POLLS {
        let user = env.user(&format!("user {polls}"))?;
        let old = env.record().build()?;
        insert(&*store, &old, env.now()).await?;
        let new = env.record().of(&user).build()?;
        let replaces = Some(Replacement { id: old.summary.id, user: None, version: old.version });
        let admission = CreateRequest { record: &new, replaces, limit: None };
        drop_after(polls, store.create(admission, env.now())).await;
        let sessions = [&old, &new];
        settles("login", || one_of(&*store, &sessions, &[true, false], &[false, true])).await?;
    }
    Ok(())
}

pub(super) async fn eviction(env: Env) -> Outcome {
    let store = env.store().await?;
    for polls in POLLS {
        let user = env.user(&format!("user {polls}"))?;
        let (first, second) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
        insert(&*store, &first, env.now()).await?;
        insert(&*store, &second, env.now()).await?;
        env.clock().advance(MINUTE);
        let new = env.record().of(&user).build()?;
        let admission = CreateRequest { record: &new, replaces: None, limit: Some(limit(1, LimitPolicy::EvictOldest)) };
        drop_after(polls, store.create(admission, env.now())).await;
        let sessions = [&first, &second, &new];
        let (before, after) = ([true, true, false], [false, false, true]);
        settles("login at the limit", || one_of(&*store, &sessions, &before, &after)).await?;
    }
    Ok(())
}

pub(super) async fn update(env: Env) -> Outcome {
    let store = env.store().await?;
    for polls in POLLS {
        let record = env.record().value("n", "0").build()?;
        insert(&*store, &record, env.now()).await?;
        let mut change = next(&record)?;
        change.data.insert("n".into(), "1".into());
        drop_after(polls, store.update(&change, record.version, env.now())).await;
        settles("`update`", || async {
            let Some(stored) = store.load(&record.summary.id, Freshness::Latest).await? else {
                return Ok(Err("the session is gone".into()));
            };
            let value = stored.data.get(b"n").map(AsRef::<[u8]>::as_ref);
            let before = stored.version == record.version && value == Some(b"0");
            let after = stored.version == change.version && value == Some(b"1");
            Ok(if before || after { Ok(()) } else { Err("the version of one, the value of the other".into()) })
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn revocation(env: Env) -> Outcome {
    let store = env.store().await?;
    for polls in POLLS {
        let user = env.user(&format!("user {polls}"))?;
        let (first, second) = (env.record().of(&user).build()?, env.record().of(&user).build()?);
        insert(&*store, &first, env.now()).await?;
        insert(&*store, &second, env.now()).await?;
        drop_after(polls, store.delete_by_user(&user, None)).await;
        let sessions = [&first, &second];
        settles("`delete_by_user`", || one_of(&*store, &sessions, &[true, true], &[false, false])).await?;
    }
    Ok(())
}

pub(super) async fn store_works_on(env: Env) -> Outcome {
    let (store, user) = (env.store().await?, env.user("alice")?);
    let record = env.record().of(&user).build()?;
    insert(&*store, &record, env.now()).await?;
    for polls in POLLS {
        drop_after(polls, store.load(&record.summary.id, Freshness::Latest)).await;
        drop_after(polls, store.list_by_user(&user, env.now())).await;
        drop_after(polls, store.touch(&record.summary.id, Some(&user), env.now())).await;
        drop_after(polls, store.delete(&record.summary.id, None)).await;
        drop_after(polls, store.delete_expired(env.now(), std::num::NonZeroU32::MIN)).await;
    }
    // No lock was left behind, no connection is out of step: the answers still belong to the questions.
    let change = updated(&*store, &record, env.now()).await?;
    super::support::is_stored(&*store, &change, "after many calls that were dropped").await?;
    lists(&*store, &user, [record.summary.id], env.now(), "after many calls that were dropped").await
}
