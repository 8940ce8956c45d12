//! Disruptions that a store survives: what was acknowledged before holds after them, on every node.

use std::time::Duration;

use session_core::UserId;
use session_core::store::{Record, TouchOutcome};

use super::support::{MINUTE, TIMEOUT, assert_all_operations_work, full_session, launch, retry};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::Disruption;
use crate::test_store::{CREATED, TestStore};

/// Enough users for some to be on every shard.
const USERS: usize = 12;

/// One user: a session that is there, one that was logged out, and one that the first one replaced.
struct Fixture {
    user: UserId,
    there: Record,
    logged_out: Record,
    replaced: Record,
}

impl Fixture {
    /// Spreads the calls over both nodes.
    async fn new([a, b]: [&TestStore; 2], number: usize) -> Result<Self, Failure> {
        let user = a.user(&format!("user {number}"))?;
        let replaced = a.insert(a.anonymous()).await?;
        let there = full_session(b).of(&user).build()?;
        ensure_eq!(b.replace(&replaced, &there).await?, CREATED, "login before the disruption");
        let there = a.updated(&there).await?;
        let seen = a.now() + 3 * MINUTE;
        let touched = b.touch_at(&there, seen).await?;
        ensure_eq!(touched, TouchOutcome::Applied, "`touch` before the disruption");
        let logged_out = b.insert(b.session_of(&user)).await?;
        a.deleted(&logged_out).await?;
        Ok(Self { user, there: there.touched(seen), logged_out, replaced })
    }

    async fn assert_unchanged(&self, node: &TestStore) -> Outcome {
        let Self { user, there, logged_out, replaced } = self;
        // The node has to be connected to both shards before the answers count.
        retry("`load`", || node.load(there.id())).await?;
        retry("`load`", || node.load(replaced.id())).await?;
        retry("`list_by_user`", || node.list(user)).await?;
        node.assert_stored(there, "after the disruption").await?;
        node.assert_gone(logged_out, "after the disruption: a session that was logged out").await?;
        node.assert_gone(replaced, "after the disruption: a session that was replaced").await?;
        node.assert_lists(user, [there], "after the disruption").await
    }
}

pub(super) async fn survives(env: Env, disruption: Disruption) -> Outcome {
    let (service, [a, b]) = launch(&env, disruption).await?;
    let orders = [[&a, &b], [&b, &a]];
    let mut fixtures = Vec::new();
    for (number, nodes) in orders.into_iter().cycle().take(USERS).enumerate() {
        fixtures.push(Fixture::new(nodes, number).await?);
    }
    tokio::select! {
        begun = service.begin() => begun?,
        watched = watch(&fixtures, [&a, &b]) => return watched,
    }
    service.end().await?;
    for fixture in &fixtures {
        fixture.assert_unchanged(&a).await?;
        fixture.assert_unchanged(&b).await?;
    }
    for (fixture, nodes) in fixtures.iter().zip(orders.into_iter().cycle()) {
        assert_all_operations_work(nodes, &fixture.user, &fixture.there).await?;
    }
    Ok(())
}

/// During the disruption, loads may fail, but no session looks absent. Returns only if one does.
async fn watch(fixtures: &[Fixture], nodes: [&TestStore; 2]) -> Outcome {
    for fixture in fixtures.iter().cycle() {
        for node in nodes {
            if let Ok(Ok(loaded)) = tokio::time::timeout(TIMEOUT, node.load(fixture.there.id())).await {
                ensure!(loaded.is_some(), "during the disruption, a session was reported as absent");
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
