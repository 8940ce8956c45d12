//! What cases have in common.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::Record;
use session_core::{Assurance, Device, Kind, LimitPolicy, Persistence, SessionLimit};

use crate::outcome::{Failure, ensure_eq};
use crate::record::RecordBuilder;
use crate::test_store::TestStore;

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
        .renewed_at(now + MINUTE)
        .last_seen(now + 2 * MINUTE)
        .timeouts(2 * HOUR, 9 * HOUR)
        .persistence(Persistence::Persistent)
        .device(device)
        .value("cart", "3 apples")
        .value("theme", "dark")
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
