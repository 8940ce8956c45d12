//! What the cases have in common.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The answer to a `create` that evicted nobody.
pub(super) const CREATED: CreateOutcome = CreateOutcome::Created { evicted: Vec::new() };

/// Stores a record, without a limit.
pub(super) async fn insert(store: &dyn SessionStore, record: &Record, now: Timestamp) -> Outcome {
    ensure_eq!(create(store, record, now).await?, CREATED, "`create` of a new session");
    Ok(())
}

/// `create`, without a limit.
pub(super) async fn create(
    store: &dyn SessionStore,
    record: &Record,
    now: Timestamp,
) -> Result<CreateOutcome, Failure> {
    Ok(store.create(CreateRequest { record, replaces: None, limit: None }, now).await?)
}

/// `create`, under a limit.
pub(super) async fn login(
    store: &dyn SessionStore,
    record: &Record,
    limit: SessionLimit,
    now: Timestamp,
) -> Result<CreateOutcome, Failure> {
    Ok(store.create(CreateRequest { record, replaces: None, limit: Some(limit) }, now).await?)
}

/// `create` in exchange for `old`, at the version `old` has.
pub(super) async fn replace(
    store: &dyn SessionStore,
    record: &Record,
    old: &Record,
    limit: Option<SessionLimit>,
    now: Timestamp,
) -> Result<CreateOutcome, Failure> {
    let replaces = Some(Replacement { id: old.summary.id, user: old.user(), version: old.version });
    Ok(store.create(CreateRequest { record, replaces, limit }, now).await?)
}

/// A limit of `max` sessions.
pub(super) fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN), at_limit }
}

/// The record of the next update: the same content, the following version.
pub(super) fn next(record: &Record) -> Result<Record, Failure> {
    Ok(Record { version: record.version.next(&OsEntropy)?, ..record.clone() })
}

/// Updates `record` and returns it as it is stored then.
pub(super) async fn updated(store: &dyn SessionStore, record: &Record, now: Timestamp) -> Result<Record, Failure> {
    let next = next(record)?;
    ensure_eq!(
        store.update(&next, record.version, now).await?,
        UpdateOutcome::Applied,
        "`update` of the current version"
    );
    Ok(next)
}

/// The record of `id`, which must be there.
pub(super) async fn stored(store: &dyn SessionStore, id: &SessionId, when: &str) -> Result<Record, Failure> {
    store.load(id, Freshness::Latest).await?.ok_or_else(|| Failure::new(format!("{when}: the session is gone")))
}

/// The session is stored exactly as `expected`.
pub(super) async fn is_stored(store: &dyn SessionStore, expected: &Record, when: &str) -> Outcome {
    let actual = stored(store, &expected.summary.id, when).await?;
    match difference(&actual, expected)? {
        Some(field) => Err(Failure::new(format!("{when}: the stored {field} is not the expected one"))),
        None => Ok(()),
    }
}

/// The session cannot be loaded.
pub(super) async fn is_gone(store: &dyn SessionStore, id: &SessionId, when: &str) -> Outcome {
    ensure!(store.load(id, Freshness::Latest).await?.is_none(), "{when}: the session is still there");
    Ok(())
}

/// `list_by_user` shows exactly these sessions, each once.
pub(super) async fn lists(
    store: &dyn SessionStore,
    user: &UserId,
    expected: impl IntoIterator<Item = SessionId>,
    now: Timestamp,
    when: &str,
) -> Outcome {
    let listed = store.list_by_user(user, now).await?;
    same_ids(listed.iter().map(|session| session.id), expected, &format!("{when}: the list"))
}

/// Both are the same ids, each once.
pub(super) fn same_ids(
    actual: impl IntoIterator<Item = SessionId>,
    expected: impl IntoIterator<Item = SessionId>,
    what: &str,
) -> Outcome {
    let expected: BTreeSet<SessionId> = expected.into_iter().collect();
    let mut once = BTreeSet::new();
    let twice = actual.into_iter().filter(|id| !once.insert(*id)).count();
    let missing = expected.difference(&once).count();
    let foreign = once.difference(&expected).count();
    ensure!(
        missing + foreign + twice == 0,
        "{what}: of {} expected sessions {missing} are missing; {foreign} are there that should not be, and {twice} \
         more than once",
        expected.len()
    );
    Ok(())
}

/// The first field in which two records differ.
fn difference(actual: &Record, expected: &Record) -> Result<Option<&'static str>, Failure> {
    let (a, e) = (actual, expected);
    let authentication = |record: &Record| {
        record
            .summary
            .authentication
            .as_ref()
            .map(|auth| (auth.user.clone(), auth.at, auth.methods.clone(), auth.level))
    };
    let device = |record: &Record| {
        let device = &record.summary.device;
        (device.label().map(str::to_owned), device.user_agent().map(str::to_owned), device.ip())
    };
    let same = [
        ("id", a.summary.id == e.summary.id),
        ("version", a.version == e.version),
        ("kind", a.summary.kind == e.summary.kind),
        ("created_at", a.summary.created_at == e.summary.created_at),
        ("last_seen", a.summary.last_seen == e.summary.last_seen),
        ("lifetime", a.summary.timeouts == e.summary.timeouts),
        ("persistence", a.summary.persistence == e.summary.persistence),
        ("authentication", authentication(a) == authentication(e)),
        ("device", device(a) == device(e)),
        ("data", a.data.same_as(&e.data)),
        // Digests cannot be compared, by design; the encoding of a record that is otherwise equal can.
        ("credential", a.encode()? == e.encode()?),
    ];
    Ok(same.into_iter().find(|(_, same)| !same).map(|(field, _)| field))
}

/// Runs `task(0)` to `task(n - 1)` at once, each in a task of its own that waits for all others to be ready. Returns
/// the results in the order of the tasks.
pub(super) async fn together<T, F>(n: usize, task: impl Fn(usize) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(n));
    let mut tasks = JoinSet::new();
    for turn in 0..n {
        let (start, work) = (Arc::clone(&start), task(turn));
        tasks.spawn(async move {
            start.wait().await;
            (turn, work.await)
        });
    }
    let mut results = Vec::with_capacity(n);
    while let Some(joined) = tasks.join_next().await {
        results.push(joined?);
    }
    results.sort_by_key(|(turn, _)| *turn);
    results.into_iter().map(|(_, result)| result).collect()
}
