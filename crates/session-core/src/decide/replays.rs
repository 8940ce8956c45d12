//! How many refresh tokens of one session may be replayed: those that were replaced already, and get their successor again
//! in their grace window. Pure.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::Error;
use crate::model::record::Record;
use crate::model::reserved::Replays;
use crate::policy::rules::Policy;

/// One replay is forgiven in so much time.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// What a replay may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// It gets the successor. The token was replayed before, and that was counted.
    Counted,
    /// It gets the successor when this is stored.
    Count(Replays),
    /// It gets nothing: the budget is spent.
    Spent,
}

/// Decides on a replay of the token whose successor has this `generation`, with a budget of `max` tokens.
///
/// Tokens are counted, and not how often each of them comes: its holders get the same successor each time, be they five tabs
/// that woke up at once or a client that asks until an answer arrives. A thief who follows each refresh replays each token.
///
/// Any clock will do that differs by less than the hour: `since` never moves back, so one that is behind forgives nothing, and
/// what one that is ahead forgave is not forgiven again.
pub(crate) fn allow(before: Option<Replays>, generation: u64, max: u32, now: Timestamp) -> Allowance {
    let Some(before) = before.filter(|_| max > 0) else {
        let first = Replays { spent: 1, since: now, generation };
        return if max > 0 { Allowance::Count(first) } else { Allowance::Spent };
    };
    if before.generation == generation {
        return Allowance::Counted;
    }
    let hours = now.since(before.since).as_secs() / FORGIVEN_AFTER.as_secs();
    let forgiven = u32::try_from(hours).unwrap_or(u32::MAX).min(before.spent);
    let spent = before.spent - forgiven;
    if spent >= max {
        return Allowance::Spent;
    }
    // While there is something to forgive, the hour that has begun goes on.
    let since = if spent > 0 { before.since + FORGIVEN_AFTER * forgiven } else { before.since.max(now) };
    Allowance::Count(Replays { spent: spent + 1, since, generation })
}

/// The record of a session after a replay. It is no activity: a copy of a token that was used up keeps nothing alive.
pub(crate) fn replayed(
    record: &Record,
    replays: Replays,
    policy: &Policy,
    entropy: &dyn Entropy,
) -> Result<Record, Error> {
    let (version, format) = (record.version.next(entropy)?, policy.record_format());
    let mut replayed = Record { version, format, ..record.clone() };
    replays.write(&mut replayed.data);
    Ok(replayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Replays a token for each of `times`; how many of them are allowed.
    fn allowed(max: u32, times: impl IntoIterator<Item = Timestamp>) -> usize {
        let mut state = None;
        let allowances = (1..).zip(times).map(|(generation, now)| {
            let allowance = allow(state, generation, max, now);
            if let Allowance::Count(next) = allowance {
                state = Some(next);
                assert_eq!(allow(state, generation, max, now), Allowance::Counted);
            }
            allowance
        });
        allowances.filter(|allowance| *allowance != Allowance::Spent).count()
    }

    #[test]
    fn one_is_forgiven_each_hour_and_none_in_advance() {
        let each = |every: Duration, count: u32| (0..count).map(move |number| START + every * number);
        for max in [1, 5, 20] {
            assert_eq!(allowed(max, each(Duration::ZERO, 100)), max as usize);
            // 6 h 40 min: 6 were forgiven.
            assert_eq!(allowed(max, each(4 * MINUTE, 101)), max as usize + 6, "{max}");
            assert_eq!(allowed(max, each(60 * MINUTE, 1000)), 1000, "one an hour is for ever");
            // A day without any is no more than a full budget.
            let late = each(Duration::ZERO, 100).map(|at| at + 1440 * MINUTE);
            assert_eq!(allowed(max, [START].into_iter().chain(late)), 1 + max as usize);
        }
        assert_eq!(allowed(0, each(60 * MINUTE, 10)), 0);
    }

    #[test]
    fn clocks_that_differ_forgive_nothing_twice() {
        // The clocks of two nodes, in turns.
        for skew in [Duration::from_secs(30), 59 * MINUTE] {
            let turns =
                (0..200_u32).map(|turn| START + MINUTE * turn + if turn % 2 == 0 { skew } else { Duration::ZERO });
            // 3 h 20 min, and the skew.
            assert!((23..=24).contains(&allowed(20, turns)), "{skew:?}");
        }
        // A clock that is days ahead forgives once, and then there is nothing until the others have caught up.
        let days = (0..400_u32)
            .map(|turn| START + MINUTE * turn + if turn == 20 { 4 * 1440 * MINUTE } else { Duration::ZERO });
        assert_eq!(allowed(20, days), 20 + 20);
        // One that is far behind, for ever.
        assert_eq!(allowed(20, (0..100).map(|turn| START - MINUTE * turn)), 20);
        assert_eq!(allowed(2, [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX].map(Timestamp::from_millis)), 3);
    }

    #[test]
    fn a_smaller_budget_holds_at_once() {
        let before = Some(Replays { spent: 20, since: START, generation: 7 });
        assert_eq!(allow(before, 8, 5, START + 15 * 60 * MINUTE), Allowance::Spent);
        let next = Replays { spent: 5, since: START + 16 * 60 * MINUTE, generation: 8 };
        assert_eq!(allow(before, 8, 5, START + 16 * 60 * MINUTE), Allowance::Count(next));
        assert_eq!(allow(before, 7, 5, START), Allowance::Counted, "what was promised is kept");
        assert_eq!(allow(before, 7, 0, START), Allowance::Spent, "but not by a policy without replays");
        assert_eq!(
            allow(Some(Replays { spent: u32::MAX, since: START, generation: 1 }), 2, 1000, START),
            Allowance::Spent
        );
    }
}
