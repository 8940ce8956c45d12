//! What cases have in common.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use session_core::store::{Record, TouchOutcome, UpdateOutcome};
use session_core::{Assurance, Device, Kind, LimitPolicy, Persistence, SessionLimit, UserId};

use crate::compare::ensure_same_ids;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure_eq};
use crate::record::RecordBuilder;
use crate::service::{Cluster, Disruption, Service};
use crate::test_store::{CREATED, TestStore, next};

pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A limit of `max` sessions.
pub(super) fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN), at_limit }
}

/// A session of alice in which every field has a value of its own.
pub(super) fn full_session(store: &TestStore) -> RecordBuilder {
    let now = store.now();
    let device = Device::new()
        .with_label("Zoë's phone \u{1F4F1}")
        .with_user_agent("Mozilla/5.0 (test)")
        .with_ip(IpAddr::V6(Ipv6Addr::LOCALHOST));
    store
        .session()
        .kind(Kind::Refresh)
        .authenticated(now + MINUTE, &["pwd", "hwk"], Assurance::Aal3)
        .authenticated(now + 2 * MINUTE, &["pwd"], Assurance::Aal1)
        .renewed_at(now + MINUTE)
        .last_seen(now + 2 * MINUTE)
        .timeouts(2 * HOUR, 9 * HOUR)
        .persistence(Persistence::Persistent)
        .device(device)
        .value("cart", "3 apples")
        .value("theme", "dark")
        .binding(&b"\0key\xff"[..])
}

/// Of competing tasks, exactly one got the answer `wins` and all others got `loses`. Returns what the winner wrote.
pub(super) fn only_winner<A: PartialEq + fmt::Debug>(
    answers: Vec<(A, Record)>,
    wins: &A,
    loses: &A,
    what: &str,
) -> Result<Record, Failure> {
    let tasks = answers.len();
    let losers = answers.iter().filter(|(answer, _)| answer == loses).count();
    let mut winners = answers.into_iter().filter(|(answer, _)| answer == wins).map(|(_, written)| written);
    let winner = winners.next().ok_or_else(|| Failure::new(format!("{what}: none of {tasks} got {wins:?}")))?;
    ensure_eq!(1 + winners.count(), 1, "{what}: winners among {tasks}");
    ensure_eq!(losers, tasks - 1, "{what}: losers that got {loses:?}");
    Ok(winner)
}

/// How many tasks write.
const WRITERS: usize = 8;

/// What the other tasks do.
#[derive(Clone, Copy)]
pub(super) enum Write {
    Update,
    Touch,
}

/// Runs `end` while several tasks write to `records`, which stop when it has returned.
pub(super) async fn among_writes<T>(
    store: &TestStore,
    records: &[Record],
    write: Write,
    end: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writers = records.iter().cloned().cycle().take(WRITERS);
    let writing = store.run_concurrently(writers, |store, record| {
        let (started, ended) = (Arc::clone(&started), Arc::clone(&ended));
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            for turn in 1.. {
                write.run(&store, &record, turn).await?;
                tokio::task::yield_now().await;
                if ended.load(Ordering::SeqCst) {
                    break;
                }
            }
            Ok(())
        }
    });
    let ending = async {
        while started.load(Ordering::SeqCst) < WRITERS {
            tokio::task::yield_now().await;
        }
        let answer = end.await;
        ended.store(true, Ordering::SeqCst);
        answer
    };
    let (written, answer) = tokio::join!(writing, ending);
    written?;
    answer
}

impl Write {
    /// Writes once, at a time that moves with `turn`.
    pub(super) async fn run(self, store: &TestStore, record: &Record, turn: u32) -> Outcome {
        match self {
            Self::Update => {
                if let Some(current) = store.load(record.id()).await? {
                    tokio::task::yield_now().await;
                    let _ = store.update(&next(&current)?, current.version).await?;
                }
            }
            Self::Touch => {
                let _ = store.touch_at(record, store.now() + turn * MILLI).await?;
            }
        }
        Ok(())
    }
}

/// Longer than an operation may take on a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Starts servers for `disruption`, and opens two nodes.
pub(super) async fn launch(env: &Env, disruption: Disruption) -> Result<(Box<dyn Service>, [TestStore; 2]), Failure> {
    let Cluster { nodes: [a, b], service } = env.launch(disruption).await?;
    Ok((service, [TestStore::over(env, a)?, TestStore::over(env, b)?]))
}

/// The answer of `call`, which is retried while it fails: the store may need a moment to reconnect.
pub(super) async fn retry<T, F>(what: &str, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut last = String::new();
    for _ in 0..200 {
        match tokio::time::timeout(TIMEOUT, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => return Err(Failure::new(format!("{what}: no answer, and no error either"))),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new(format!("{what}: nothing but errors, long after the disruption; the last: {last}")))
}

/// Every operation works on node `a`, and `b` sees its effect. `session` is the only one of `user`.
pub(super) async fn assert_all_operations_work([a, b]: [&TestStore; 2], user: &UserId, session: &Record) -> Outcome {
    let (change, new, seen) = (next(session)?, a.session_of(user).build()?, a.now() + 4 * MINUTE);
    let answer = retry("`update`", || a.update(&change, session.version)).await?;
    ensure_eq!(answer, UpdateOutcome::Applied, "`update` after the disruption");
    let answer = retry("`touch`", || a.touch_at(&change, seen)).await?;
    ensure_eq!(answer, TouchOutcome::Applied, "`touch` after the disruption");
    let change = change.touched(seen);
    b.assert_stored(&change, "after the disruption, on another node").await?;
    ensure_eq!(retry("`create`", || a.create(&new)).await?, CREATED, "login after the disruption");
    b.assert_lists(user, [&change, &new], "after the disruption, on another node").await?;
    let _ = retry("`delete`", || a.delete(&new)).await?;
    b.assert_gone(&new, "a session that was logged out on another node, after the disruption").await?;
    let revoked = retry("`delete_by_user`", || a.revoke(user)).await?;
    ensure_same_ids(revoked, [change.id()], "the sessions that were revoked, after the disruption")?;
    b.assert_gone(&change, "a session that was revoked on another node, after the disruption").await
}
