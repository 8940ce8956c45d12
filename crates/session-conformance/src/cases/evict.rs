//! Which sessions are evicted at the session limit of a user.

use session_core::LimitPolicy;
use session_core::store::{CreateOutcome, Record, UpdateOutcome};

use super::support::{MINUTE, limit};
use crate::compare::ensure_same_ids;
use crate::outcome::{Failure, Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::{TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// The session that began first has to go, whenever it was used.
    "limit/evicts-oldest" [] catches [EvictOldestByUse] => |store| evicts(store, LimitPolicy::EvictOldest, None, 0);
    /// The session that was used least recently has to go, whenever it began.
    "limit/evicts-least-recent" [] catches [EvictLeastRecentByAge, EvictLeastRecentOffByOne]
        => |store| evicts(store, LimitPolicy::EvictLeastRecent, None, 2);
    /// Among sessions that began at once, the one with the lowest id has to go.
    "limit/ties-among-oldest" [] catches [OldestTiesReversed] => |store| ties(store, LimitPolicy::EvictOldest);
    /// Among sessions that were used at once, the one with the lowest id has to go.
    "limit/ties-among-least-recent" [] catches [LeastRecentTiesReversed, EvictLeastRecentOffByOne]
        => |store| ties(store, LimitPolicy::EvictLeastRecent);
    /// A touch counts as use.
    "limit/touch-changes-the-order" [] catches [EvictLeastRecentByAge, LimitIgnoresTouch, EvictLeastRecentOffByOne]
        => |store| evicts(store, LimitPolicy::EvictLeastRecent, Some(Use::Touch), 1);
    /// An update with a later `last_seen` counts as use.
    "limit/update-changes-the-order" [] catches [
        EvictLeastRecentByAge, LimitIgnoresUpdate, EvictLeastRecentOffByOne, UpdateKeepsLastSeen, IndexAppends,
    ] => |store| evicts(store, LimitPolicy::EvictLeastRecent, Some(Use::Update), 1);
    /// The session that was just admitted stays, even if the clock of its server is behind.
    "limit/never-evicts-the-new-one" [] catches [EvictsNewest] => never_evicts_the_new_one;
    /// Under a lowered limit, one login evicts as many as are too many.
    "limit/lowered-evicts-several" [] catches [EvictOldestByUse, EvictsOneAtMost, EvictedNotReported, EvictedStay]
        => lowered_evicts_several;
}

/// How the session that was used least recently is used once more.
#[derive(Clone, Copy)]
enum Use {
    Touch,
    Update,
}

/// `n` sessions of alice. The one that began first was used last.
pub(super) async fn devices(store: &TestStore, n: u32) -> Result<Vec<Record>, Failure> {
    let begin = store.now();
    store.advance(2 * n * MINUTE);
    let mut devices = Vec::new();
    for turn in 0..n {
        let (created_at, last_seen) = (begin + turn * MINUTE, store.now() - turn * MINUTE);
        devices.push(store.insert(store.session().created_at(created_at).last_seen(last_seen)).await?);
    }
    Ok(devices)
}

/// A login of alice, who has three devices, evicts exactly the one at `victim`.
async fn evicts(store: TestStore, at_limit: LimitPolicy, used: Option<Use>, victim: usize) -> Outcome {
    let devices = devices(&store, 3).await?;
    let least_recent = &devices[2];
    match used {
        None => {}
        Some(Use::Touch) => drop(store.touched(least_recent).await?),
        Some(Use::Update) => {
            let used = next(least_recent)?.touched(store.now());
            ensure_eq!(store.update(&used, least_recent.version).await?, UpdateOutcome::Applied, "`update`");
        }
    }
    login_evicts(&store, &devices, victim, at_limit).await
}

/// A login under a limit of as many sessions as there are `devices` evicts exactly the one at `victim`.
async fn login_evicts(store: &TestStore, devices: &[Record], victim: usize, at_limit: LimitPolicy) -> Outcome {
    let (new, full) = (store.session().build()?, limit(devices.len().try_into().unwrap_or(u32::MAX), at_limit));
    let expected = CreateOutcome::Created { evicted: vec![devices[victim].id()] };
    ensure_eq!(store.login(&new, full).await?, expected, "login at the limit under {at_limit:?}");
    store.assert_gone(&devices[victim], "the evicted session").await?;
    store.assert_stored(&new, "the new session").await?;
    let left = devices.iter().chain([&new]).filter(|left| left.id() != devices[victim].id());
    store.assert_lists(&store.alice, left, "after the eviction").await
}

/// Sessions that are equal in everything that `at_limit` goes by.
async fn ties(store: TestStore, at_limit: LimitPolicy) -> Outcome {
    let mut devices = store.insert_many(4, &store.session()).await?;
    devices.sort_by_key(Record::id);
    store.advance(MINUTE);
    login_evicts(&store, &devices, 0, at_limit).await
}

async fn never_evicts_the_new_one(store: TestStore) -> Outcome {
    for (name, at_limit) in [("alice", LimitPolicy::EvictOldest), ("bob", LimitPolicy::EvictLeastRecent)] {
        let user = store.user(name)?;
        let other = store.insert(store.session_of(&user)).await?;
        // The clock of the server that handles this login is behind.
        let behind = store.now() - MINUTE;
        let new = store.session_of(&user).created_at(behind).last_seen(behind).build()?;
        let expected = CreateOutcome::Created { evicted: vec![other.id()] };
        let answer = store.login(&new, limit(1, at_limit)).await?;
        ensure_eq!(answer, expected, "login of a session that looks older than the one to evict, {at_limit:?}");
        store.assert_lists(&user, [&new], "after that login").await?;
    }
    Ok(())
}

async fn lowered_evicts_several(store: TestStore) -> Outcome {
    let (devices, new) = (devices(&store, 5).await?, store.session().build()?);
    let answer = store.login(&new, limit(2, LimitPolicy::EvictOldest)).await?;
    let CreateOutcome::Created { evicted } = answer else {
        return Err(Failure::new(format!("login under a lowered limit: expected Created, got {answer:?}")));
    };
    let oldest = &devices[..4];
    ensure_same_ids(evicted, oldest.iter().map(Record::id), "the evicted sessions, of five where two are allowed")?;
    store.assert_all_gone(oldest, "an evicted session").await?;
    store.assert_lists(&store.alice, [&devices[4], &new], "under the lowered limit").await
}
