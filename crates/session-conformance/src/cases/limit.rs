//! The session limit of a user: who has to go, who counts, and logins at once.

use session_core::store::{CreateOutcome, Record, UpdateOutcome};
use session_core::{Kind, LimitPolicy, SessionId, SessionLimit, UserId};

use super::support::{HOUR, MINUTE, limit};
use crate::compare::ensure_same_ids;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::record::RecordBuilder;
use crate::table::cases;
use crate::test_store::{CREATED, TestStore, next, run_concurrently};

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

    /// A login that is refused changes nothing.
    "limit/reject-changes-nothing" [] catches [RejectStores] => reject_changes_nothing;
    /// A limit of N admits N.
    "limit/room-is-used" [] catches [EvictLeastRecentOffByOne] => room_is_used;
    /// Expired sessions do not count.
    "limit/expired-do-not-count" [] catches [LimitCountsExpired] => expired_do_not_count;
    /// Sessions of others, and anonymous ones, neither count nor go.
    "limit/others-do-not-count" [] catches [LimitCountsAnonymous, UserIsPrefix, UserFoldsCase] => others_do_not_count;
    /// Anonymous sessions have no limit.
    "limit/ignored-for-visitors" [] catches [LimitsAnonymous] => ignored_for_anonymous;
    /// Sessions of every kind count.
    "limit/counts-every-kind" [] catches [LimitPerKind] => counts_every_kind;
    /// Logout and revocation make room at once.
    "limit/logout-makes-room" [] catches [LimitForgetsLogout] => logout_makes_room;

    /// After K logins at once under an evicting limit of N, exactly N live, and the others are reported.
    "limit/evicting-holds-under-concurrent-logins" [] catches [EvictLeastRecentOffByOne, LimitNotAtomic, IndexNotAtomic]
        => evicting_holds;
    /// Of K logins at once under a rejecting limit of N, exactly N are admitted.
    "limit/rejecting-holds-under-concurrent-logins" [] catches [RejectStores, LimitNotAtomic, IndexNotAtomic]
        => rejecting_holds;
    /// Devices that log in again at once, at the limit, do not evict each other.
    "limit/repeated-logins-keep-every-device" [] catches [ReplaceLeavesOwnShard, LimitCountsReplaced, ReplaceNotAtomic]
        => repeated_logins_keep_every_device;
    /// The limit holds under logins at once on two nodes.
    "limit/holds-across-nodes" [Shared] catches [
        RejectStores, LimitNotAtomic, LimitLockedPerHandle, IndexNotAtomic, HandleIndex, OpenStartsEmpty,
    ] => holds_across_nodes;
}

/// How the session that was used least recently is used once more.
#[derive(Clone, Copy)]
enum Use {
    Touch,
    Update,
}

/// `n` sessions of alice. The one that began first was used last.
async fn devices(store: &TestStore, n: u32) -> Result<Vec<Record>, Failure> {
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

async fn reject_changes_nothing(store: TestStore) -> Outcome {
    let (devices, new) = (devices(&store, 2).await?, store.session().build()?);
    let answer = store.login(&new, limit(2, LimitPolicy::Reject)).await?;
    ensure_eq!(answer, CreateOutcome::LimitReached, "login at the limit under Reject");
    store.assert_gone(&new, "the rejected session").await?;
    store.assert_all_stored(&devices, "a session of the user, after the refused login").await?;
    store.assert_lists(&store.alice, &devices, "after the refused login").await
}

async fn room_is_used(store: TestStore) -> Outcome {
    for at_limit in [LimitPolicy::Reject, LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent] {
        let user = store.user(&format!("{at_limit:?}"))?;
        let mut records = Vec::new();
        for turn in 1..=3 {
            let record = store.session_of(&user).build()?;
            let answer = store.login(&record, limit(3, at_limit)).await?;
            ensure_eq!(answer, CREATED, "login {turn} under a limit of 3, {at_limit:?}");
            records.push(record);
        }
        store.assert_lists(&user, &records, "with as many sessions as the limit allows").await?;
    }
    Ok(())
}

/// A login of `user` succeeds and evicts nothing.
async fn assert_admits(store: &TestStore, user: &UserId, limit: SessionLimit, when: &str) -> Outcome {
    ensure_eq!(store.login(&store.session_of(user).build()?, limit).await?, CREATED, "login {when}");
    Ok(())
}

async fn expired_do_not_count(store: TestStore) -> Outcome {
    devices(&store, 2).await?;
    store.advance(9 * HOUR);
    let two = limit(2, LimitPolicy::Reject);
    for _ in 1..=2 {
        assert_admits(&store, &store.alice, two, "beside expired sessions").await?;
    }
    let answer = store.login(&store.session().build()?, two).await?;
    ensure_eq!(answer, CreateOutcome::LimitReached, "login at the limit");
    Ok(())
}

async fn others_do_not_count(store: TestStore) -> Outcome {
    let anonymous = store.insert(store.anonymous()).await?;
    for name in ["bob", "alice:2", "Alice"] {
        assert_admits(&store, &store.user(name)?, limit(1, LimitPolicy::Reject), "of another user, the first").await?;
    }
    let first = store.session().build()?;
    let answer = store.login(&first, limit(1, LimitPolicy::Reject)).await?;
    ensure_eq!(answer, CREATED, "the first login, beside other users");
    store.advance(MINUTE);
    let answer = store.login(&store.session().build()?, limit(1, LimitPolicy::EvictOldest)).await?;
    let expected = CreateOutcome::Created { evicted: vec![first.id()] };
    ensure_eq!(answer, expected, "the second login, beside other users");
    store.assert_stored(&anonymous, "an anonymous session, after the eviction").await
}

async fn ignored_for_anonymous(store: TestStore) -> Outcome {
    let mut sessions = Vec::new();
    for at_limit in [LimitPolicy::Reject, LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent] {
        let session = store.anonymous().build()?;
        let answer = store.login(&session, limit(1, at_limit)).await?;
        ensure_eq!(answer, CREATED, "`create` of an anonymous session under {at_limit:?}");
        sessions.push(session);
    }
    store.assert_all_stored(&sessions, "one of three anonymous sessions").await
}

async fn counts_every_kind(store: TestStore) -> Outcome {
    let one = limit(1, LimitPolicy::Reject);
    assert_admits(&store, &store.alice, one, "below the limit").await?;
    let answer = store.login(&store.session().kind(Kind::Refresh).build()?, one).await?;
    ensure_eq!(answer, CreateOutcome::LimitReached, "login of a session of another kind at the limit");
    Ok(())
}

async fn logout_makes_room(store: TestStore) -> Outcome {
    let two = limit(2, LimitPolicy::Reject);
    assert_admits(&store, &store.alice, two, "below the limit").await?;
    let leaving = store.session().build()?;
    ensure_eq!(store.login(&leaving, two).await?, CREATED, "login below the limit");
    store.deleted(&leaving).await?;
    assert_admits(&store, &store.alice, two, "after a logout made room").await?;
    store.revoke(&store.alice).await?;
    for _ in 0..2 {
        assert_admits(&store, &store.alice, two, "after all were revoked").await?;
    }
    Ok(())
}

/// `k` logins of `user` at once, on `nodes` in turn, under a limit of `n`.
async fn logins(
    nodes: &[&TestStore],
    user: &UserId,
    k: usize,
    n: u32,
    at_limit: LimitPolicy,
) -> Result<Vec<(Record, CreateOutcome)>, Failure> {
    let login = |node: TestStore, user: UserId| async move {
        let record = node.session_of(&user).build()?;
        let answer = node.login(&record, limit(n, at_limit)).await?;
        Ok((record, answer))
    };
    run_concurrently(nodes.iter().cycle().take(k).map(|node| login((*node).clone(), user.clone())).collect()).await
}

/// `k` logins at once under an evicting limit of `n`: all succeed, `n` are alive, the others are reported as evicted.
async fn evicts_all_but(nodes: &[&TestStore], user: &UserId, k: usize, n: u32, at_limit: LimitPolicy) -> Outcome {
    let (mut all, mut accounted) = (Vec::new(), Vec::new());
    for (record, answer) in logins(nodes, user, k, n, at_limit).await? {
        let CreateOutcome::Created { evicted } = answer else {
            return Err(Failure::new(format!("login under an evicting limit: expected Created, got {answer:?}")));
        };
        all.push(record.id());
        accounted.extend(evicted);
    }
    for id in &accounted {
        ensure!(nodes[0].load(*id).await?.is_none(), "a session that was reported as evicted is still there");
    }
    let listed: Vec<SessionId> = nodes[0].list(user).await?.iter().map(|session| session.id).collect();
    ensure_eq!(listed.len(), n as usize, "live sessions after {k} logins at once, under a limit of {n}");
    accounted.extend(listed);
    ensure_same_ids(accounted, all, "evicted and live sessions together")
}

/// `k` logins at once under a rejecting limit of `n`: `n` succeed, the others do not.
async fn rejects_all_but(nodes: &[&TestStore], user: &UserId, k: usize, n: u32) -> Outcome {
    let logins = logins(nodes, user, k, n, LimitPolicy::Reject).await?;
    let rejected = logins.iter().filter(|(_, answer)| *answer == CreateOutcome::LimitReached).count();
    let admitted: Vec<&Record> = logins.iter().filter(|(_, answer)| *answer == CREATED).map(|(new, _)| new).collect();
    ensure_eq!(admitted.len(), n as usize, "admitted of {k} logins at once, under a limit of {n}");
    ensure_eq!(rejected + admitted.len(), k, "logins that got Created or LimitReached");
    nodes[0].assert_lists(user, admitted, "after the logins").await
}

async fn evicting_holds(store: TestStore) -> Outcome {
    for (n, k, at_limit) in [
        (1, 16, LimitPolicy::EvictOldest),
        (2, 16, LimitPolicy::EvictLeastRecent),
        (3, 16, LimitPolicy::EvictOldest),
        (1, 64, LimitPolicy::EvictLeastRecent),
        (3, 64, LimitPolicy::EvictOldest),
    ] {
        evicts_all_but(&[&store], &store.user(&format!("user {n} {k}"))?, k, n, at_limit).await?;
    }
    Ok(())
}

async fn rejecting_holds(store: TestStore) -> Outcome {
    for (n, k) in [(1, 16), (2, 16), (3, 16), (1, 64), (3, 64)] {
        rejects_all_but(&[&store], &store.user(&format!("user {n} {k}"))?, k, n).await?;
    }
    Ok(())
}

async fn holds_across_nodes(store: TestStore) -> Outcome {
    let nodes = [&store, &store.open_node().await?];
    evicts_all_but(&nodes, &store.alice, 32, 1, LimitPolicy::EvictOldest).await?;
    evicts_all_but(&nodes, &store.user("bob")?, 32, 3, LimitPolicy::EvictOldest).await?;
    rejects_all_but(&nodes, &store.user("carol")?, 32, 2).await
}

async fn repeated_logins_keep_every_device(store: TestStore) -> Outcome {
    let three = limit(3, LimitPolicy::EvictOldest);
    for name in ["alice", "bob", "carol", "dave"] {
        let session = store.session_of(&store.user(name)?);
        let old = store.insert_many(3, &session).await?;
        let log_in_again = |store: TestStore, (old, session): (Record, RecordBuilder)| async move {
            let new = session.build()?;
            let answer = store.replace_within(three, &old, &new).await?;
            ensure_eq!(answer, CREATED, "one of three devices that log in again at once, at a limit of three");
            Ok(new)
        };
        let devices = old.iter().map(|old| (old.clone(), session.clone()));
        let new = store.run_concurrently(devices, log_in_again).await?;
        store.assert_all_gone(&old, "the old session of a device").await?;
        store.assert_all_stored(&new, "the new session of a device").await?;
    }
    Ok(())
}
