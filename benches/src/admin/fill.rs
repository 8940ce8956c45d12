//! A store as one finds it in production: users and visitors, cookies and refresh tokens, some of them idle for long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest};
use session_core::store::{Record, SessionStore};
use session_core::{Clock as _, Device, Kind, SessionId, SystemClock, Timestamp, UserId};
use tokio::task::JoinSet;

use crate::op::Failure;
use crate::payload::Payload;
use crate::populate::WRITERS;

const DAY: Duration = Duration::from_secs(24 * 3600);
const USER_AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
];

/// Adds `count` sessions: three quarters of them of users with one or two, a tenth of those with a refresh token; one of ten was not
/// used for 40 days.
pub(crate) async fn fill(
    store: &Arc<dyn SessionStore>,
    count: usize,
    progress: &ProgressBar,
) -> Result<HashSet<SessionId>, Failure> {
    let records = |number: usize| {
        let now = SystemClock.now();
        let is_idle = number % 10 == 7;
        let seen = now - if is_idle { 40 * DAY } else { Duration::from_secs(number as u64 % 3600) };
        let builder = RecordBuilder::new(seen).timeouts(60 * DAY, 90 * DAY);
        let kind = if !number.is_multiple_of(4) && number % 10 == 3 { Kind::Refresh } else { Kind::Cookie };
        (builder.kind(kind), now)
    };
    add(store, count, records, progress).await
}

/// Adds `count` sessions that have expired.
pub(crate) async fn fill_expired(
    store: &Arc<dyn SessionStore>,
    count: usize,
    progress: &ProgressBar,
) -> Result<(), Failure> {
    let long_ago = SystemClock.now() - 10 * DAY;
    let records = move |_| (RecordBuilder::new(long_ago).timeouts(Duration::from_secs(60), DAY), long_ago);
    add(store, count, records, progress).await.map(drop)
}

async fn add(
    store: &Arc<dyn SessionStore>,
    count: usize,
    describe: impl Fn(usize) -> (RecordBuilder, Timestamp) + Clone + Send + 'static,
    progress: &ProgressBar,
) -> Result<HashSet<SessionId>, Failure> {
    let data = Payload::new()?.data()?;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, data, describe, progress) = (Arc::clone(store), data.clone(), describe.clone(), progress.clone());
        tasks.spawn(async move {
            let mut ids = Vec::with_capacity(count / WRITERS + 1);
            for number in (writer..count).step_by(WRITERS) {
                let (builder, now) = describe(number);
                let builder = builder.device(Device::new().with_user_agent(USER_AGENTS[number % USER_AGENTS.len()]));
                let builder = match number % 4 {
                    0 => builder,
                    _ => builder.of(&UserId::new(format!("user-{}", number / 2))?),
                };
                let record = builder.build().map_err(|failure| failure.to_string())?;
                let record = Record { data: data.clone(), ..record };
                let outcome = store.create(CreateRequest::new(&record), now).await?;
                if outcome != (CreateOutcome::Created { evicted: Vec::new() }) {
                    return Err(format!("create: {outcome:?}").into());
                }
                ids.push(record.id());
                progress.inc(1);
            }
            Ok::<_, Failure>(ids)
        });
    }
    let mut ids = HashSet::with_capacity(count);
    while let Some(added) = tasks.join_next().await {
        ids.extend(added??);
    }
    Ok(ids)
}

/// How far something is with `total` things: on a terminal, and nowhere else.
pub(crate) fn progress(what: String, total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg}: {human_pos} of {human_len}, {elapsed}, {eta} to go") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
