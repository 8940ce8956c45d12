//! The session limit of a user under concurrent logins.

use session_core::store::{CreateOutcome, Record};
use session_core::{LimitPolicy, SessionId, UserId};

use super::support::limit;
use crate::compare::ensure_same_ids;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{CREATED, TestStore, run_concurrently};

cases! {
    pub(super) const CASES: TestStore;

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
        let log_in_again = |store: TestStore, (old, session): (Record, crate::record::RecordBuilder)| async move {
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
