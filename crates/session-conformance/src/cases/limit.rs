//! The session limit of a user: which sessions count.

use session_core::store::CreateOutcome;
use session_core::{Kind, LimitPolicy, SessionLimit, UserId};

use super::evict::devices;
use super::support::{HOUR, MINUTE, limit};
use crate::outcome::{Outcome, ensure_eq};
use crate::table::cases;
use crate::test_store::{CREATED, TestStore};

cases! {
    pub(super) const CASES: TestStore;

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
