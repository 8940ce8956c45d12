//! Random calls of several tasks at once: the answers are those of some order of the calls.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use session_core::store::{CreateOutcome, Record, SessionStore, UpdateOutcome, Version};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};

use super::support::{limit, together};
use crate::env::Env;
use crate::history::{Answer, Call, Dice, Log};
use crate::outcome::{Failure, Outcome};

/// How many histories a case records, and how many of them at once.
const HISTORIES: usize = 200;
const AT_ONCE: usize = 8;

/// One task of a history.
struct Task {
    number: usize,
    env: Env,
    store: Arc<dyn SessionStore>,
    user: UserId,
    log: Log,
    dice: Dice,
}

impl Task {
    async fn ask(&self, call: Call) -> Result<Answer, Failure> {
        self.log.ask(self.number, &*self.store, call, self.env.now()).await
    }

    /// Some moment of the last minute. Few enough that there are ties in many histories.
    fn moment(&mut self) -> Timestamp {
        self.env.now() - Duration::from_secs(10 * self.dice.below(6))
    }

    /// A record that began at some moment, and whose value nobody else writes.
    fn record(&mut self, id: Option<SessionId>) -> Result<Arc<Record>, Failure> {
        let began = self.moment();
        let record = self.env.record().of(&self.user).created_at(began).last_seen(began);
        let record = if let Some(id) = id { record.id(id) } else { record };
        let record = record.value("n", format!("{}/{}", self.number, self.dice.below(1_000_000)));
        Ok(Arc::new(record.build()?))
    }
}

/// Records histories of so many tasks and checks each. `work` is what one task does; the id is one that all tasks of a history know.
/// The tasks take turns at two nodes, if the backend can have two.
async fn histories<F>(env: &Env, tasks: usize, work: impl Fn(Task, SessionId) -> F) -> Outcome
where
    F: Future<Output = Result<Vec<SessionId>, Failure>> + Send + 'static,
{
    let node = env.store().await?;
    let nodes = if env.is_shared() { [node, env.open_node().await?] } else { [Arc::clone(&node), node] };
    let histories = (0..HISTORIES).map(|history| {
        let (nodes, work) = (&nodes, &work);
        async move {
            let (seed, log, user) = (Dice::seed()?, Log::default(), env.user(&format!("user {history}"))?);
            let id = SessionId::generate(Some(&user), &OsEntropy)?;
            let task = |number| {
                let (env, log, user, dice) = (env.clone(), log.clone(), user.clone(), Dice::new(seed, number));
                Task { number, env, store: Arc::clone(&nodes[number % 2]), user, log, dice }
            };
            let first = task(0);
            first.ask(Call::List(user.clone())).await?;
            first.ask(Call::DeleteByUser(user.clone(), None)).await?;
            let mentioned = together(tasks, |number| work(task(number), id)).await?.concat();
            // What is left in the end is an answer, too.
            first.ask(Call::List(user.clone())).await?;
            for id in mentioned {
                first.ask(Call::Load(id)).await?;
            }
            first.ask(Call::DeleteByUser(user, None)).await?;
            log.check(seed, env.now()).await
        }
    });
    stream::iter(histories).buffer_unordered(AT_ONCE).try_collect().await
}

pub(super) async fn of_a_session(env: Env) -> Outcome {
    histories(&env, 4, one_session).await
}

/// Calls about one session: created, read, changed, touched and deleted, again and again.
async fn one_session(mut task: Task, id: SessionId) -> Result<Vec<SessionId>, Failure> {
    let mut known = task.record(Some(id))?;
    for _ in 0..6 {
        match task.dice.below(10) {
            0 | 1 => {
                let record = task.record(Some(id))?;
                if let Answer::Created(CreateOutcome::Created { .. }) =
                    task.ask(Call::Create(Arc::clone(&record), None, None)).await?
                {
                    known = record;
                }
            }
            2 | 3 => {
                if let Answer::Loaded(Some(seen)) = task.ask(Call::Load(id)).await? {
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
                let call = Call::Update(Arc::clone(&change), known.version);
                if task.ask(call).await? == Answer::Updated(UpdateOutcome::Applied) {
                    known = change;
                }
            }
            7 | 8 => {
                let seen = task.moment();
                task.ask(Call::Touch(id, task.user.clone(), seen)).await?;
            }
            _ => {
                task.ask(Call::Delete(id, task.user.clone())).await?;
            }
        }
    }
    Ok(vec![id])
}

pub(super) async fn of_a_user(env: Env) -> Outcome {
    // Fewer, because logins that evict each other could have come about in many ways.
    histories(&env, 3, |task, _| one_user(task)).await
}

/// Calls about the sessions of one user, of whom there may be two at once.
async fn one_user(mut task: Task) -> Result<Vec<SessionId>, Failure> {
    // The last session that this task has begun, and all of them.
    let mut mine: Option<(SessionId, Version)> = None;
    let mut begun = Vec::new();
    for _ in 0..5 {
        let call = match (task.dice.below(10), mine) {
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
                let keep = task.dice.pick(&[None, Some(id)]).flatten();
                Call::DeleteByUser(task.user.clone(), keep)
            }
            _ => Call::List(task.user.clone()),
        };
        let answer = task.ask(call.clone()).await?;
        if let (Call::Create(record, ..), Answer::Created(CreateOutcome::Created { .. })) = (call, answer) {
            mine = Some((record.summary.id, record.version));
            begun.push(record.summary.id);
        }
    }
    Ok(begun)
}

impl Task {
    fn limit(&mut self) -> Option<SessionLimit> {
        self.dice
            .pick(&[LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent, LimitPolicy::Reject])
            .map(|rule| limit(2, rule))
    }
}
