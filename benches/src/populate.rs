//! Stores with many sessions.

use std::sync::Arc;

use session_core::store::{CreateOutcome, CreateRequest, Data, Record, SessionStore};
use session_core::{Clock as _, SessionId, SystemClock};
use tokio::task::JoinSet;

use crate::op::Failure;
use crate::payload::{Payload, record, user};

/// How many fill a store at once.
pub(crate) const WRITERS: usize = 64;

/// Which sessions a store is populated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Population {
    /// Anonymous ones, which are in no index by user.
    Anonymous,
    /// One for each user.
    Users,
}

impl Population {
    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "visitors, no index by user",
            Self::Users => "one of each user, with index",
        }
    }
}

/// Adds `count` sessions, numbered from `first` on, and returns their ids.
pub(crate) async fn populate(
    store: &Arc<dyn SessionStore>,
    population: Population,
    count: usize,
    first: usize,
) -> Result<Vec<SessionId>, Failure> {
    let data = Payload::new()?.data()?;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let numbers = (first..first + count).skip(writer).step_by(WRITERS);
        tasks.spawn(add(Arc::clone(store), data.clone(), population, numbers));
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
    population: Population,
    numbers: impl Iterator<Item = usize> + Send,
) -> Result<Vec<SessionId>, Failure> {
    let mut ids = Vec::new();
    for number in numbers {
        let user = user(number)?;
        let record = record((population == Population::Users).then_some(&user), &data, SystemClock.now())?;
        create(&*store, &record).await?;
        ids.push(record.id());
    }
    Ok(ids)
}

/// Stores a new session, under no limit.
pub(crate) async fn create(store: &dyn SessionStore, record: &Record) -> Result<(), Failure> {
    let request = CreateRequest::new(record);
    let outcome = store.create(request, SystemClock.now()).await?;
    if outcome == (CreateOutcome::Created { evicted: Vec::new() }) {
        return Ok(());
    }
    Err(format!("create: {outcome:?}").into())
}
