//! Servers that are down or do not answer: every operation is an error, which is not the same as absence.

use futures::future::{BoxFuture, join_all};
use session_core::UserId;
use session_core::store::Record;

use super::support::{MINUTE, TIMEOUT, assert_all_operations_work, full_session, launch, retry};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure};
use crate::service::Disruption;
use crate::test_store::{TestStore, next};

/// The sessions that one node uses. Each write has its own, so that its effect shows.
struct Fixture {
    node: TestStore,
    user: UserId,
    kept: Record,
    /// The user of the sessions that are written.
    writer: UserId,
    updated: Record,
    touched: Record,
    deleted: Record,
    /// Not stored yet.
    new: Record,
    /// The user of the session that is revoked.
    other: UserId,
    revoked: Record,
}

impl Fixture {
    async fn new(node: TestStore, number: usize) -> Result<Self, Failure> {
        let user = |name: &str| node.user(&format!("{name} {number}"));
        let (user, writer, other) = (user("user")?, user("writer")?, user("other")?);
        Ok(Self {
            kept: node.insert(full_session(&node).of(&user)).await?,
            updated: node.insert(node.session_of(&writer)).await?,
            touched: node.insert(node.session_of(&writer)).await?,
            deleted: node.insert(node.session_of(&writer)).await?,
            new: node.session_of(&writer).build()?,
            revoked: node.insert(node.session_of(&other)).await?,
            node,
            user,
            writer,
            other,
        })
    }

    /// Every operation at once is an error. `delete_expired` is not among them: a store whose server expires records has
    /// nothing to ask.
    async fn every_operation_fails(&self) -> Outcome {
        let (node, change) = (&self.node, next(&self.updated)?);
        let calls: [(&str, BoxFuture<'_, Outcome>); 9] = [
            ("load", Box::pin(async { node.load(self.kept.id()).await.map(drop) })),
            ("create", Box::pin(async { node.create(&self.new).await.map(drop) })),
            ("update", Box::pin(async { node.update(&change, self.updated.version).await.map(drop) })),
            ("touch", Box::pin(async { node.touch_at(&self.touched, self.later()).await.map(drop) })),
            ("delete", Box::pin(async { node.delete(&self.deleted).await.map(drop) })),
            ("list_by_user", Box::pin(async { node.list(&self.user).await.map(drop) })),
            ("delete_by_user", Box::pin(async { node.revoke(&self.other).await.map(drop) })),
            ("list_all", Box::pin(async { Ok(node.page(None, 100).await.map(drop)?) })),
            ("count", Box::pin(async { node.count().await.map(drop) })),
        ];
        let answers = calls.map(|(name, call)| async move { (name, tokio::time::timeout(TIMEOUT, call).await) });
        for (name, answer) in join_all(answers).await {
            let Ok(answer) = answer else {
                return Err(Failure::new(format!("`{name}` without servers: no answer within {TIMEOUT:?}")));
            };
            ensure!(answer.is_err(), "`{name}` without servers: expected an error, got an answer");
        }
        Ok(())
    }

    fn later(&self) -> session_core::Timestamp {
        self.node.now() + MINUTE
    }

    /// No write was executed: not during the outage, and not later.
    async fn assert_unchanged(&self) -> Outcome {
        let node = &self.node;
        for record in [&self.kept, &self.updated, &self.touched, &self.deleted, &self.revoked] {
            retry("`load`", || node.load(record.id())).await?;
            node.assert_stored(record, "after the outage").await?;
        }
        node.assert_gone(&self.new, "a session that could not be created during the outage").await?;
        retry("`list_by_user`", || node.list(&self.writer)).await?;
        node.assert_lists(&self.writer, [&self.updated, &self.touched, &self.deleted], "after the outage").await
    }

    /// Each write was executed once or not at all; other sessions are unchanged.
    async fn assert_changed_at_most_once(&self) -> Outcome {
        let node = &self.node;
        retry("`load`", || node.load(self.kept.id())).await?;
        node.assert_stored(&self.kept, "after the servers answered again").await?;
        let updated = retry("`load`", || node.load(self.updated.id())).await?;
        let number = updated.ok_or("a session that was to be updated is gone")?.version.number;
        ensure!(number <= self.updated.version.number + 1, "one `update` was executed twice");
        let touched = retry("`load`", || node.load(self.touched.id())).await?;
        let seen = touched.ok_or("a session that was to be touched is gone")?.summary.last_seen;
        ensure!(seen == self.touched.summary.last_seen || seen == self.later(), "`touch` wrote another time");
        Ok(())
    }
}

pub(super) async fn is_an_error(env: Env, disruption: Disruption) -> Outcome {
    let (service, [a, b]) = launch(&env, disruption).await?;
    let fixtures = [Fixture::new(a, 0).await?, Fixture::new(b, 1).await?];
    service.begin().await?;
    // Twice: the first time, there are connections to lose.
    for _ in 0..2 {
        join_all(fixtures.iter().map(Fixture::every_operation_fails)).await.into_iter().collect::<Outcome>()?;
    }
    service.end().await?;
    for fixture in &fixtures {
        if disruption == Disruption::Outage {
            fixture.assert_unchanged().await?;
        } else {
            // A server may execute later what it received while it was frozen.
            fixture.assert_changed_at_most_once().await?;
        }
    }
    for fixture in &fixtures {
        let Fixture { node, user, kept, .. } = fixture;
        assert_all_operations_work([node, node], user, kept).await?;
    }
    Ok(())
}
