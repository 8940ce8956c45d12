//! Cancellation: an operation whose future is dropped takes effect entirely or not at all.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use session_core::LimitPolicy;
use session_core::store::Record;

use super::support::{MINUTE, limit};
use crate::outcome::{Failure, Outcome};
use crate::table::cases;
use crate::test_store::{TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// A login that is dropped midway happened or did not.
    "cancel/login" [] catches [LoadUnknownFails, ReplaceLeavesOtherShard, ReplaceNotAtomic] => login;
    /// A login at the limit that is dropped midway happened, with its evictions, or did not.
    "cancel/eviction" [] catches [LoadUnknownFails, EvictsOneAtMost, EvictedStay, EvictsOneByOne] => eviction;
    /// An update that is dropped midway happened or did not.
    "cancel/update" [] catches [UpdateDeletesFirst] => update;
    /// A revocation that is dropped midway happened or did not.
    "cancel/revocation" [] catches [RevokeOneByOne] => revocation;
    /// After calls that were dropped midway, the store works as before.
    "cancel/store-works-on" [] catches [
        TouchBumpsVersion, DeleteIgnoresOwner, DroppedListLocks, IndexAppends, SweepTakesLive,
    ] => store_works_on;
}

/// How often a future is polled before it is dropped: from never to more often than a driver needs.
const POLLS: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 8, 12];

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

/// Of all these sessions, soon exactly those `before` or exactly those `after` are stored. What was sent before the drop
/// may still arrive, but a mixture that stays is a failure.
async fn assert_settles(store: &TestStore, what: &str, before: &[&Record], after: &[&Record]) -> Outcome {
    let mut stored = (0, 0);
    for _ in 0..50 {
        stored = (count_stored(store, before).await?, count_stored(store, after).await?);
        if stored == (before.len(), 0) || stored == (0, after.len()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (of_before, of_after) = stored;
    Err(Failure::new(format!(
        "{what}, dropped midway: {of_before} of {} sessions from before and {of_after} of {} from after are stored",
        before.len(),
        after.len()
    )))
}

/// How many of `records` are stored, at their version and with their values.
async fn count_stored(store: &TestStore, records: &[&Record]) -> Result<usize, Failure> {
    let mut count = 0;
    for record in records {
        let stored = store.load(record.id()).await?;
        let is_same = |stored: Record| stored.version == record.version && stored.data.same_as(&record.data);
        count += usize::from(stored.is_some_and(is_same));
    }
    Ok(count)
}

async fn login(store: TestStore) -> Outcome {
    for polls in POLLS {
        let (old, new) = (store.insert(store.anonymous()).await?, store.session().build()?);
        drop_after(polls, store.replace(&old, &new)).await;
        assert_settles(&store, "login", &[&old], &[&new]).await?;
    }
    Ok(())
}

async fn eviction(store: TestStore) -> Outcome {
    for polls in POLLS {
        let session = store.session_of(&store.user(&format!("user {polls}"))?);
        let (first, second) = (store.insert(session.clone()).await?, store.insert(session.clone()).await?);
        store.advance(MINUTE);
        let new = session.created_at(store.now()).build()?;
        drop_after(polls, store.login(&new, limit(1, LimitPolicy::EvictOldest))).await;
        assert_settles(&store, "login at the limit", &[&first, &second], &[&new]).await?;
    }
    Ok(())
}

async fn update(store: TestStore) -> Outcome {
    for polls in POLLS {
        let record = store.insert(store.anonymous().value("n", "0")).await?;
        let mut change = next(&record)?;
        change.data.insert("n".into(), "1".into());
        drop_after(polls, store.update(&change, record.version)).await;
        assert_settles(&store, "`update`", &[&record], &[&change]).await?;
    }
    Ok(())
}

async fn revocation(store: TestStore) -> Outcome {
    for polls in POLLS {
        let user = store.user(&format!("user {polls}"))?;
        let records = store.insert_many(2, &store.session_of(&user)).await?;
        drop_after(polls, store.revoke(&user)).await;
        assert_settles(&store, "`delete_by_user`", &[&records[0], &records[1]], &[]).await?;
    }
    Ok(())
}

async fn store_works_on(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    for polls in POLLS {
        drop_after(polls, store.load(record.id())).await;
        drop_after(polls, store.list(&store.alice)).await;
        drop_after(polls, store.touch(&record)).await;
        drop_after(polls, store.delete_as(None, &record)).await;
        drop_after(polls, store.delete_expired(1)).await;
    }
    // No lock was left behind, and no connection is out of step: replies still belong to their requests.
    let change = store.updated(&record).await?;
    store.assert_stored(&change, "after many calls that were dropped").await?;
    store.assert_lists(&store.alice, [&record], "after many calls that were dropped").await
}
