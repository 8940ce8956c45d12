//! Stores with many sessions.

use std::sync::Arc;

use session_core::store::{CreateOutcome, CreateRequest, Data, Record, SessionStore};
use session_core::{Clock as _, SessionId, SystemClock, UserId};
use tokio::task::JoinSet;

use crate::op::Failure;
use crate::payload::{Payload, record};

/// How many write at once.
const WRITERS: usize = 64;

/// Whose sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Not in an index by user.
    Visitors,
    /// One for each user.
    Users,
}

impl Whose {
    /// As the report says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Visitors => "visitors, no index by user",
            Self::Users => "one of each user, with index",
        }
    }
}

/// Adds `count` sessions, numbered from `first` on.
pub(crate) async fn fill(
    store: &Arc<dyn SessionStore>,
    whose: Whose,
    count: usize,
    first: usize,
) -> Result<Vec<SessionId>, Failure> {
    let data = Payload::new()?.data()?;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let numbers = (first..first + count).skip(writer).step_by(WRITERS);
        tasks.spawn(add(Arc::clone(store), data.clone(), whose, numbers));
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(added) = tasks.join_next().await {
        ids.append(&mut added??);
    }
    Ok(ids)
}

async fn add(
    store: Arc<dyn SessionStore>,
    data: Data,
    whose: Whose,
    numbers: impl Iterator<Item = usize> + Send,
) -> Result<Vec<SessionId>, Failure> {
    let mut ids = Vec::new();
    for number in numbers {
        let user = UserId::new(format!("user-{number}"))?;
        let record = record((whose == Whose::Users).then_some(&user), &data, SystemClock.now())?;
        create(&*store, &record).await?;
        ids.push(record.summary.id);
    }
    Ok(ids)
}

/// A new session, under no limit.
pub(crate) async fn create(store: &dyn SessionStore, record: &Record) -> Result<(), Failure> {
    let admission = CreateRequest { record, replaces: None, limit: None };
    let admitted = store.create(admission, SystemClock.now()).await?;
    if admitted == (CreateOutcome::Created { evicted: Vec::new() }) {
        return Ok(());
    }
    Err(format!("create: {admitted:?}").into())
}
