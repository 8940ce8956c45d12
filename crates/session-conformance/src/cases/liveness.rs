//! Which sessions are alive: operation × {never stored, deleted, expired}, and the deadline to the millisecond.

use std::time::Duration;

use session_core::store::{CreateOutcome, Record, TouchOutcome, UpdateOutcome};
use session_core::{LimitPolicy, Timestamp};

use super::support::{DAY, HOUR, MILLI, MINUTE, limit};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::table::cases;
use crate::test_store::{CREATED, TestStore, next};

cases! {
    pub(super) const CASES: TestStore;

    /// `update`: alive 1 ms before the deadline, dead at it.
    "boundary/update" [] catches [UpdateRevivesExpired, ExpiresLate, ExpiresEarly]
        => |store| dies_at_the_deadline(store, Operation::Update, USUAL);
    /// `touch`: alive 1 ms before the deadline, dead at it.
    "boundary/touch" [] catches [TouchRevivesExpired, ExpiresLate, ExpiresEarly]
        => |store| dies_at_the_deadline(store, Operation::Touch, USUAL);
    /// `list_by_user`: alive 1 ms before the deadline, dead at it.
    "boundary/list" [] catches [ListShowsExpired, ExpiresLate, ExpiresEarly] => list;
    /// `create` of an id that is taken: alive 1 ms before the deadline, dead at it.
    "boundary/duplicate" [] catches [CreateOverwrites, CreateIgnoresNonce, ExpiredKeepsId, ExpiresLate, ExpiresEarly]
        => |store| dies_at_the_deadline(store, Operation::Create, USUAL);
    /// Login in exchange for a session: alive 1 ms before the deadline, dead at it.
    "boundary/replaced" [] catches [ReplaceIgnoresAbsence, ReplaceAcceptsExpired, ExpiresLate, ExpiresEarly]
        => |store| dies_at_the_deadline(store, Operation::Replace, USUAL);
    /// The limit counts a session 1 ms before the deadline, and not at it.
    "boundary/counted" [] catches [LimitCountsExpired, ExpiresLate, ExpiresEarly] => counted;
    /// `delete_expired` takes nothing that lives for another millisecond.
    "boundary/sweep" [] catches [SweepTakesLive, SweepReportsLimit, ExpiresEarly] => sweep;
    /// The absolute deadline is as exact as the idle one.
    "boundary/absolute" [] catches [TouchRevivesExpired, ExpiresLate, ExpiresEarly]
        => |store| dies_at_the_deadline(store, Operation::Touch, (10 * MINUTE + MILLI, 10 * MINUTE));
    /// Timeouts are kept to the millisecond.
    "boundary/sub-second" [] catches [UpdateRevivesExpired, ExpiresLate, ExpiresEarly, WholeSeconds]
        => |store| dies_at_the_deadline(store, Operation::Update, (250 * MILLI, 750 * MILLI));
    /// Timeouts of up to 400 days are kept.
    "boundary/far-future" [] catches [ListShowsExpired, ThirtyTwoBits] => far_future;
}

/// An operation whose answer depends on whether a session is alive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Update,
    Touch,
    /// `create` of the same id.
    Create,
    /// `create` in exchange for the session.
    Replace,
}

impl Operation {
    /// Whether the operation takes the session to be alive.
    async fn finds(self, store: &TestStore, record: &Record) -> Result<bool, Failure> {
        let other = store.session();
        let (alive, dead) = match self {
            Self::Update => {
                let answer = store.update(&next(record)?.touched(store.now()), record.version).await?;
                (answer == UpdateOutcome::Applied, answer == UpdateOutcome::Absent)
            }
            Self::Touch => {
                let answer = store.touch(record).await?;
                (answer == TouchOutcome::Applied, answer == TouchOutcome::Absent)
            }
            Self::Create => {
                let answer = store.create(&other.id(record.id()).build()?).await?;
                (answer == CreateOutcome::IdTaken, answer == CREATED)
            }
            Self::Replace => {
                let answer = store.replace(record, &other.build()?).await?;
                (answer == CREATED, answer == CreateOutcome::ReplacedAbsent)
            }
        };
        ensure!(alive || dead, "{self:?}: the answer fits neither a live session nor an absent one");
        Ok(alive)
    }
}

/// Why there is no live session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Absence {
    NeverStored,
    Deleted,
    Expired,
}

/// `operation` takes a session that is not there to be absent, and changes nothing.
pub(super) async fn is_absent(store: TestStore, operation: Operation, why: Absence) -> Outcome {
    let record = match why {
        Absence::NeverStored => store.session().build()?,
        Absence::Deleted | Absence::Expired => store.insert(store.session()).await?,
    };
    match why {
        Absence::NeverStored => {}
        Absence::Deleted => store.deleted(&record).await?,
        Absence::Expired => store.advance(HOUR),
    }
    let when = format!("{operation:?} of a session that is {why:?}");
    ensure!(!operation.finds(&store, &record).await?, "{when}: takes it to be alive");
    match why {
        Absence::NeverStored | Absence::Deleted => store.assert_gone(&record, &when).await?,
        // It may be stored until it is swept.
        Absence::Expired => {}
    }
    store.assert_lists(&store.alice, [], &when).await
}

const USUAL: (Duration, Duration) = (Duration::from_secs(30 * 60), Duration::from_secs(8 * 60 * 60));

/// A time at which a session is alive or not.
struct Moment {
    at: Timestamp,
    alive: bool,
    when: &'static str,
}

/// The moments around a deadline.
fn around(deadline: Timestamp) -> [Moment; 3] {
    [
        Moment { at: deadline - MILLI, alive: true, when: "1 ms before the deadline" },
        Moment { at: deadline, alive: false, when: "at the deadline" },
        Moment { at: deadline + MILLI, alive: false, when: "1 ms after the deadline" },
    ]
}

/// `operation` finds a session with these timeouts, idle and absolute, until its deadline.
async fn dies_at_the_deadline(
    store: TestStore,
    operation: Operation,
    (idle, absolute): (Duration, Duration),
) -> Outcome {
    let records = store.insert_many(3, &store.session().timeouts(idle, absolute)).await?;
    for (record, Moment { at, alive, when }) in records.iter().zip(around(store.now() + idle.min(absolute))) {
        store.set_time(at);
        let found = operation.finds(&store, record).await?;
        ensure_eq!(found, alive, "{operation:?} {when}: whether it takes the session to be alive");
    }
    Ok(())
}

async fn list(store: TestStore) -> Outcome {
    let record = store.insert(store.session()).await?;
    for Moment { at, alive, when } in around(record.deadline()) {
        store.set_time(at);
        store.assert_lists(&store.alice, alive.then_some(&record), when).await?;
    }
    Ok(())
}

async fn counted(store: TestStore) -> Outcome {
    let (mut users, begin) = (Vec::new(), store.now());
    for name in ["alice", "bob", "carol"] {
        let user = store.user(name)?;
        store.insert(store.session_of(&user)).await?;
        users.push(user);
    }
    for (user, Moment { at, alive, when }) in users.iter().zip(around(begin + USUAL.0)) {
        store.set_time(at);
        let answer = store.login(&store.session_of(user).build()?, limit(1, LimitPolicy::Reject)).await?;
        let expected = if alive { CreateOutcome::LimitReached } else { CREATED };
        ensure_eq!(answer, expected, "login at a limit of one, with a session {when}");
    }
    Ok(())
}

async fn sweep(store: TestStore) -> Outcome {
    let record = store.insert(store.anonymous()).await?;
    store.set_time(record.deadline() - MILLI);
    ensure_eq!(store.delete_expired(u32::MAX).await?, 0, "deletions 1 ms before the deadline");
    store.assert_stored(&record, "1 ms before the deadline, after `delete_expired`").await?;
    store.set_time(record.deadline());
    if store.delete_expired(u32::MAX).await? > 0 {
        store.assert_gone(&record, "at the deadline, after `delete_expired` deleted it").await?;
    }
    Ok(())
}

async fn far_future(store: TestStore) -> Outcome {
    let record = store.insert(store.session().timeouts(400 * DAY, 400 * DAY)).await?;
    let begin = store.now();
    for days in [1, 24, 25, 30, 49, 50, 365, 399] {
        store.set_time(begin + days * DAY);
        store.assert_lists(&store.alice, [&record], "before its deadline in 400 days").await?;
        store.assert_stored(&record, "before its deadline in 400 days").await?;
    }
    store.set_time(begin + 400 * DAY + HOUR);
    store.assert_lists(&store.alice, [], "after 400 days").await
}
