//! Random calls of several tasks at once: some order of the calls must explain their answers.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use session_core::store::{CreateOutcome, Record, UpdateOutcome, Version};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};

use super::support::limit;
use crate::history::{Answer, Call, Copies, Log, Rng, Seen};
use crate::outcome::{Failure, Outcome};
use crate::table::cases;
use crate::test_store::{TestStore, run_concurrently};

cases! {
    pub(super) const CASES: TestStore;

    /// Whatever several tasks ask about one session at once: their answers are those of some order of the calls.
    "history/of-a-session" [] catches at least [
        CreateNotAtomic, UpdateNotAtomic, UpdateLockedPerHandle, UpdateDeletesFirst, TouchNotAtomic, TouchWritesBack,
        DeleteNotAtomic, HandleCaches,
    ] => |store| histories(store, 4, one_session);
    /// Whatever several tasks ask about the sessions of one user at once: their answers are those of some order.
    // Fewer tasks, because logins that evict each other have many explanations.
    "history/of-a-user" [] catches at least [
        ReplaceNotAtomic, LimitNotAtomic, LimitLockedPerHandle, IndexNotAtomic, RevokeOneByOne, HandleIndex,
    ] => |store| histories(store, 3, |task, _| one_user(task));
    /// A copy that a node gives is as old as the store says at most, and never older than what that node knows; changes that are
    /// based on it are those of some order, as others are.
    "history/of-copies" [] catches at least [UpdateNotAtomic, HandleCaches] => |store| histories(store, 4, read_session);
}

/// How many histories a case records, and how many of them at once.
const HISTORIES: usize = 200;
const AT_ONCE: usize = 8;

/// One task of a history.
struct Task {
    number: usize,
    store: TestStore,
    user: UserId,
    log: Log,
    rng: Rng,
}

impl Task {
    async fn invoke(&self, call: Call) -> Result<Answer, Failure> {
        self.log.invoke(self.number, self.store.handle(), call, self.store.now()).await
    }

    /// A time within the last minute. There are few of them, so that ties are common.
    fn moment(&mut self) -> Timestamp {
        self.store.now() - Duration::from_secs(10 * self.rng.below(6))
    }

    /// A record with a random beginning, and a value that no other call writes.
    fn record(&mut self, id: Option<SessionId>) -> Result<Arc<Record>, Failure> {
        let began = self.moment();
        let value = format!("{}/{}", self.number, self.rng.below(1_000_000));
        let record = self.store.session_of(&self.user).created_at(began).last_seen(began).value("n", value);
        Ok(Arc::new(if let Some(id) = id { record.id(id) } else { record }.build()?))
    }

    fn limit(&mut self) -> Option<SessionLimit> {
        let policies = [LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent, LimitPolicy::Reject];
        self.rng.pick(&policies).map(|at_limit| limit(2, at_limit))
    }
}

/// Records histories of `tasks` tasks each, and checks them. `work` is what a task does, with an id that all tasks of its
/// history share; it returns the ids it used. The tasks take turns at two nodes, if the backend can have two.
async fn histories<F>(store: TestStore, tasks: usize, work: impl Fn(Task, SessionId) -> F) -> Outcome
where
    F: Future<Output = Result<Vec<SessionId>, Failure>> + Send + 'static,
{
    let other = if store.is_shared() { store.open_node().await? } else { store.clone() };
    let copies = Copies { staleness: store.staleness(), nodes: if store.is_shared() { 2 } else { 1 } };
    let nodes = [store, other];
    let histories = (0..HISTORIES).map(|history| {
        let (nodes, work) = (&nodes, &work);
        async move {
            let (seed, log, user) = (Rng::seed()?, Log::new(copies), nodes[0].user(&format!("user {history}"))?);
            let id = SessionId::generate(Some(&user), &OsEntropy)?;
            let task = |number| {
                let (log, user, rng) = (log.clone(), user.clone(), Rng::new(seed, number));
                Task { number, store: nodes[number % 2].clone(), user, log, rng }
            };
            let first = task(0);
            first.invoke(Call::List(user.clone())).await?;
            first.invoke(Call::DeleteByUser(user.clone(), None)).await?;
            let used = run_concurrently((0..tasks).map(|number| work(task(number), id)).collect()).await?.concat();
            // The final state is an answer, too.
            first.invoke(Call::List(user.clone())).await?;
            for id in used {
                first.invoke(Call::Load(id)).await?;
            }
            first.invoke(Call::DeleteByUser(user, None)).await?;
            log.check(seed, nodes[0].now()).await
        }
    });
    stream::iter(histories).buffer_unordered(AT_ONCE).try_collect().await
}

/// Calls about one session: created, read, changed, touched and deleted, again and again.
async fn one_session(mut task: Task, id: SessionId) -> Result<Vec<SessionId>, Failure> {
    let mut known = task.record(Some(id))?;
    for _ in 0..6 {
        match task.rng.below(10) {
            0 | 1 => {
                let record = task.record(Some(id))?;
                let answer = task.invoke(Call::Create(Arc::clone(&record), None, None)).await?;
                if let Answer::Created(CreateOutcome::Created { .. }) = answer {
                    known = record;
                }
            }
            2 | 3 => {
                if let Answer::Loaded(Some(seen)) = task.invoke(Call::Load(id)).await? {
                    let mut record = Record { version: seen.version, ..Record::clone(&known) };
                    record.summary.last_seen = seen.last_seen;
                    known = Arc::new(record);
                }
            }
            4..=6 => {
                let mut change = Record { version: known.version.next(&OsEntropy)?, ..Record::clone(&known) };
                change.summary.last_seen = change.summary.last_seen.max(task.moment());
                change.data = task.record(Some(id))?.data.clone();
                let change = Arc::new(change);
                let answer = task.invoke(Call::Update(Arc::clone(&change), known.version)).await?;
                if answer == Answer::Updated(UpdateOutcome::Applied) {
                    known = change;
                }
            }
            7 | 8 => {
                let seen = task.moment();
                task.invoke(Call::Touch(id, task.user.clone(), seen)).await?;
            }
            _ => {
                task.invoke(Call::Delete(id, task.user.clone())).await?;
            }
        }
    }
    Ok(vec![id])
}

/// Calls of requests about one session, which is created by the first task, ends once, and is mostly read.
async fn read_session(mut task: Task, id: SessionId) -> Result<Vec<SessionId>, Failure> {
    let mut known = task.record(Some(id))?;
    if task.number == 0 {
        task.invoke(Call::Create(Arc::clone(&known), None, None)).await?;
    }
    for _ in 0..10 {
        // So that some copies become too old.
        let pause = task.store.staleness().mul_f64(task.rng.below(100) as f64 / 100.0);
        if task.rng.below(4) == 0 && pause > Duration::ZERO {
            tokio::time::sleep(pause).await;
        }
        match task.rng.below(20) {
            0 => drop(task.invoke(Call::Load(id)).await?),
            1..=3 => {
                let mut change = Record { version: known.version.next(&OsEntropy)?, ..Record::clone(&known) };
                change.data = task.record(Some(id))?.data.clone();
                let change = Arc::new(change);
                let answer = task.invoke(Call::Update(Arc::clone(&change), known.version)).await?;
                if answer == Answer::Updated(UpdateOutcome::Applied) {
                    known = change;
                }
            }
            4 => {
                let seen = task.moment();
                task.invoke(Call::Touch(id, task.user.clone(), seen)).await?;
            }
            5 if task.rng.below(3) == 0 => drop(task.invoke(Call::Delete(id, task.user.clone())).await?),
            _ => {
                let answer = task.invoke(Call::Read(id)).await?;
                if let Answer::Loaded(Some(Seen { version, .. })) | Answer::Copied(version, _) = answer {
                    known = Arc::new(Record { version, ..Record::clone(&known) });
                }
            }
        }
    }
    Ok(vec![id])
}

/// Calls about the sessions of one user, of which there may be two at once.
async fn one_user(mut task: Task) -> Result<Vec<SessionId>, Failure> {
    // The latest session of this task, and all of them.
    let mut latest: Option<(SessionId, Version)> = None;
    let mut created = Vec::new();
    for _ in 0..5 {
        let call = match (task.rng.below(10), latest) {
            (0..=2, _) | (3..=8, None) => {
                let (record, limit) = (task.record(None)?, task.limit());
                Call::Create(record, None, limit)
            }
            (3..=5, Some(old)) => Call::Create(task.record(None)?, Some(old), task.limit()),
            (6, Some((id, _))) => Call::Delete(id, task.user.clone()),
            (7, Some((id, _))) => {
                let seen = task.moment();
                Call::Touch(id, task.user.clone(), seen)
            }
            (8, Some((id, _))) => {
                let keep = task.rng.pick(&[None, Some(id)]).flatten();
                Call::DeleteByUser(task.user.clone(), keep)
            }
            _ => Call::List(task.user.clone()),
        };
        let answer = task.invoke(call.clone()).await?;
        if let (Call::Create(record, ..), Answer::Created(CreateOutcome::Created { .. })) = (call, answer) {
            latest = Some((record.id(), record.version));
            created.push(record.id());
        }
    }
    Ok(created)
}
