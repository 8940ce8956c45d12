//! `create` in exchange for another session: login.

use session_core::store::{CreateOutcome, Record, UpdateOutcome};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, UserId};

use super::support::{HOUR, MINUTE, limit, only_winner};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{CREATED, TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// Login moves a visitor to a session in the shard of the user: one is gone, the other there.
    "replace/across-shards" [] catches [ReplaceLeavesOtherShard] => |store| swaps(store, Old::InAnotherShard);
    /// Login in exchange for a session of the same user: one is gone, the other there.
    "replace/within-a-shard" [] catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex]
        => |store| swaps(store, Old::InSameShard);
    /// Login of another user takes the session out of the index of the first one.
    "replace/another-user" [] catches [ReplaceLeavesOtherShard, ReplaceKeepsIndex] => another_user;
    /// Login in exchange for a session that was changed meanwhile is `ReplacedChanged`, and nothing changes.
    "replace/changed-is-refused" [] catches [ReplaceIgnoresVersion, ListShowsAnonymous, ListUnknownFails]
        => changed_is_refused;
    /// Login in exchange for a session that is not there is `ReplacedAbsent`, and nothing changes.
    "replace/absent-is-refused" [] catches [ReplaceIgnoresAbsence, ListUnknownFails] => absent_is_refused;
    /// To a login in exchange, an expired session is absent.
    "replace/expired-is-absent" [] catches [ReplaceIgnoresAbsence, ReplaceAcceptsExpired] => expired_is_absent;
    /// A login that the limit refuses leaves the session it would have replaced.
    "replace/refused-by-the-limit-keeps-the-old" [] catches [ReplaceBeforeLimit, RejectStores, ListShowsAnonymous]
        => refused_by_the_limit_keeps_the_old;
    /// A login whose session to replace was changed evicts nobody.
    "replace/refused-evicts-nobody" [] catches [ReplaceIgnoresVersion, EvictsBeforeReplace] => refused_evicts_none;
    /// The session that is replaced does not count towards the limit.
    "replace/replaced-does-not-count" [] catches [ReplaceLeavesOwnShard, ReplaceKeepsIndex, LimitCountsReplaced]
        => replaced_does_not_count;
    /// Of 16 logins at once in exchange for the same visitor's session, one wins.
    "replace/race-across-shards" [] catches [ReplaceLeavesOtherShard, ReplaceIgnoresAbsence, ReplaceNotAtomic]
        => |store| race(store, Old::InAnotherShard);
    /// Of 16 logins at once in exchange for the same session of the user, one wins.
    "replace/race-within-a-shard" [] catches [
        ReplaceLeavesOwnShard, ReplaceKeepsIndex, ReplaceIgnoresAbsence, ReplaceNotAtomic,
    ] => |store| race(store, Old::InSameShard);
    /// Of a login and an update that expect the same version, exactly one succeeds.
    "replace/login-and-update-exclude-each-other" [] catches [
        ReplaceLeavesOtherShard, ReplaceIgnoresVersion, ReplaceNotAtomic, UpdateInserts, UpdateNotAtomic,
        UpdateLockedPerHandle,
    ] => login_and_update_exclude_each_other;
}

/// The session that a login replaces, seen from that of the user who logs in.
#[derive(Clone, Copy)]
enum Old {
    /// Anonymous.
    InAnotherShard,
    /// Of the same user.
    InSameShard,
}

impl Old {
    async fn insert(self, store: &TestStore, user: &UserId) -> Result<Record, Failure> {
        match self {
            Self::InAnotherShard => {
                let mut id = *SessionId::generate(None, &OsEntropy)?.as_bytes();
                id[..2].copy_from_slice(&(user.shard() ^ 0x5555).to_be_bytes());
                store.insert(store.anonymous().id(SessionId::from_bytes(id)).value("cart", "3 apples")).await
            }
            Self::InSameShard => store.insert(store.session_of(user)).await,
        }
    }
}

async fn swaps(store: TestStore, old: Old) -> Outcome {
    let old = old.insert(&store, &store.alice).await?;
    let new = store.session().value("cart", "3 apples").build()?;
    ensure_eq!(store.replace(&old, &new).await?, CREATED, "login");
    store.assert_stored(&new, "after the login").await?;
    store.assert_gone(&old, "the replaced session, after the login").await?;
    store.assert_lists(&store.alice, [&new], "after the login").await
}

async fn another_user(store: TestStore) -> Outcome {
    let bob = store.user("bob")?;
    let (old, new) = (store.insert(store.session()).await?, store.session_of(&bob).build()?);
    ensure_eq!(store.replace(&old, &new).await?, CREATED, "login of another user");
    store.assert_lists(&store.alice, [], "the user who was replaced").await?;
    store.assert_lists(&bob, [&new], "the user who logged in").await?;
    let revoked = store.revoke(&store.alice).await?;
    ensure!(revoked.is_empty(), "the replaced session is still found by its user");
    store.assert_stored(&new, "after revoking the sessions of the replaced user").await
}

/// A login of alice in exchange for `old` is refused with this answer, and leaves no session.
async fn is_refused(store: &TestStore, old: &Record, limit: Option<SessionLimit>, expected: CreateOutcome) -> Outcome {
    let new = store.session().build()?;
    let answer = match limit {
        Some(limit) => store.replace_within(limit, old, &new).await?,
        None => store.replace(old, &new).await?,
    };
    ensure_eq!(answer, expected, "login in exchange for a session");
    store.assert_gone(&new, "the new session, after the refused login").await
}

async fn changed_is_refused(store: TestStore) -> Outcome {
    let anonymous = Old::InAnotherShard.insert(&store, &store.alice).await?;
    let of_another = store.insert(store.session_of(&store.user("bob")?)).await?;
    for old in [anonymous, of_another] {
        let changed = store.updated(&old).await?;
        is_refused(&store, &old, None, CreateOutcome::ReplacedChanged).await?;
        store.assert_stored(&changed, "the changed session, after the refused login").await?;
        store.assert_lists(&store.alice, [], "after the refused login").await?;
    }
    Ok(())
}

async fn absent_is_refused(store: TestStore) -> Outcome {
    is_refused(&store, &store.anonymous().build()?, None, CreateOutcome::ReplacedAbsent).await?;
    store.assert_lists(&store.alice, [], "after the refused login").await
}

async fn expired_is_absent(store: TestStore) -> Outcome {
    let old = Old::InAnotherShard.insert(&store, &store.alice).await?;
    store.advance(HOUR);
    is_refused(&store, &old, None, CreateOutcome::ReplacedAbsent).await
}

async fn refused_by_the_limit_keeps_the_old(store: TestStore) -> Outcome {
    let other = store.insert(store.session()).await?;
    let old = Old::InAnotherShard.insert(&store, &store.alice).await?;
    is_refused(&store, &old, Some(limit(1, LimitPolicy::Reject)), CreateOutcome::LimitReached).await?;
    store.assert_stored(&old, "the session to replace, after the refused login").await?;
    store.assert_lists(&store.alice, [&other], "after the refused login").await
}

async fn refused_evicts_none(store: TestStore) -> Outcome {
    let other = store.insert(store.session()).await?;
    let old = Old::InAnotherShard.insert(&store, &store.alice).await?;
    store.updated(&old).await?;
    let one = limit(1, LimitPolicy::EvictOldest);
    is_refused(&store, &old, Some(one), CreateOutcome::ReplacedChanged).await?;
    store.assert_stored(&other, "a session of the user, after the refused login").await
}

async fn replaced_does_not_count(store: TestStore) -> Outcome {
    for (name, at_limit) in [("alice", LimitPolicy::Reject), ("bob", LimitPolicy::EvictOldest)] {
        let (user, two) = (store.user(name)?, limit(2, at_limit));
        let old = store.insert(store.session_of(&user)).await?;
        store.advance(MINUTE);
        let other = store.insert(store.session_of(&user)).await?;
        let new = store.session_of(&user).build()?;
        let answer = store.replace_within(two, &old, &new).await?;
        ensure_eq!(answer, CREATED, "login at the limit under {at_limit:?}, in exchange for an own session");
        store.assert_lists(&user, [&other, &new], "after that login").await?;
    }
    Ok(())
}

/// 16 logins at once in exchange for the same session.
async fn race(store: TestStore, old: Old) -> Outcome {
    for name in ["alice", "bob", "carol", "dave"] {
        let user = store.user(name)?;
        let old = old.insert(&store, &user).await?;
        let rivals = (0..16).map(|_| (old.clone(), user.clone()));
        let log_in = |store: TestStore, (old, user)| async move {
            let new = store.session_of(&user).build()?;
            Ok((store.replace(&old, &new).await?, new))
        };
        let answers = store.run_concurrently(rivals, log_in).await?;
        let what = "logins in exchange for the same session";
        let winner = only_winner(answers, &CREATED, &CreateOutcome::ReplacedAbsent, what)?;
        store.assert_lists(&user, [&winner], "after the race").await?;
        store.assert_gone(&old, "the replaced session, after the race").await?;
    }
    Ok(())
}

async fn login_and_update_exclude_each_other(store: TestStore) -> Outcome {
    for round in 0..16 {
        let old = Old::InAnotherShard.insert(&store, &store.alice).await?;
        // Each goes first in every other round.
        let turns = (0..2).map(|turn| ((round + turn) % 2, old.clone()));
        let answers = store.run_concurrently(turns, |store, (turn, old)| async move {
            Ok(match turn {
                0 => store.replace(&old, &store.session().build()?).await? == CREATED,
                _ => store.update(&next(&old)?, old.version).await? == UpdateOutcome::Applied,
            })
        });
        let answers = answers.await?;
        ensure!(answers[0] != answers[1], "login and update of the same version: exactly one of them must succeed");
    }
    Ok(())
}
