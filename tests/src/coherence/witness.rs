//! [`Witness`]: asks a node without end, and remembers when it served which session last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::http::Connection;
use super::node::{Login, Node, Verdict};

/// How many questions are under way at once: one that waits for the store must not keep the others waiting.
const LANES: usize = 4;

/// How long an answer is waited for. A node may have answered others from its copies meanwhile.
const ANSWER: Duration = Duration::from_secs(1);

/// The longest time that a node served what was revoked, from the revocation until …
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    /// … the last question was asked that it answered so. What it did, it did later.
    pub(super) asked: Duration,
    /// … it had answered it. What it did, it did before.
    pub(super) answered: Duration,
    /// The session of the former.
    pub(super) session: Option<usize>,
}

impl Longest {
    /// Of several.
    pub(super) fn max(self, other: Self) -> Self {
        let session = if self.asked < other.asked { other.session } else { self.session };
        Self { asked: self.asked.max(other.asked), answered: self.answered.max(other.answered), session }
    }
}

/// Asks one node.
pub(super) struct Witness {
    board: Arc<Mutex<Board>>,
    /// Aborted when dropped.
    lanes: JoinSet<()>,
}

struct Board {
    sessions: Vec<Seen>,
    answers: u64,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// Of the last answer with which it was served: when the question was asked, and answered.
    last: Option<(Instant, Instant)>,
    /// Of the first answer after that with which it was refused.
    refused: Option<Instant>,
    times: u64,
    /// To be asked at all.
    is_asked: bool,
    /// To be asked more often, as long as it is served.
    is_of_interest: bool,
    is_served: bool,
}

impl Witness {
    /// Prepares to ask for these sessions. A lane pauses between two questions.
    pub(super) fn watch(node: &Node, logins: &Arc<Vec<Login>>, pause: Duration) -> Self {
        let board = Arc::new(Mutex::new(Board { sessions: vec![Seen::default(); logins.len()], answers: 0 }));
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            lanes.spawn(ask(node.connect(), Arc::clone(logins), Arc::clone(&board), lane, pause));
        }
        Self { board, lanes }
    }

    /// Begins to ask for a session.
    pub(super) fn begin(&self, number: usize) {
        if let Some(seen) = lock(&self.board).sessions.get_mut(number) {
            seen.is_asked = true;
        }
    }

    /// Whether every session that is asked for was served twice.
    pub(super) fn is_warm(&self) -> bool {
        lock(&self.board).sessions.iter().all(|seen| !seen.is_asked || seen.times >= 2)
    }

    /// This session is to be asked for more often, as long as it is served.
    pub(super) fn look_at(&self, number: usize) {
        if let Some(seen) = lock(&self.board).sessions.get_mut(number) {
            seen.is_of_interest = true;
        }
    }

    /// Since when a session has been refused, if it is.
    pub(super) fn refused(&self, number: usize) -> Option<Instant> {
        lock(&self.board).sessions.get(number)?.refused
    }

    /// Asks no more. How many answers there were.
    pub(super) async fn stop(&mut self) -> u64 {
        self.lanes.shutdown().await;
        lock(&self.board).answers
    }

    /// The longest time that one of these was served after its end.
    pub(super) fn longest(&self, revoked: &BTreeMap<usize, Instant>) -> Longest {
        lock(&self.board).longest(revoked)
    }
}

impl Board {
    fn longest(&self, revoked: &BTreeMap<usize, Instant>) -> Longest {
        let served_for = |(number, at): (&usize, &Instant)| {
            let (asked, answered) = self.sessions.get(*number)?.last?;
            // A question from before the end may be answered as it was then, however late.
            (asked > *at).then(|| Longest { asked: asked - *at, answered: answered - *at, session: Some(*number) })
        };
        revoked.iter().filter_map(served_for).fold(Longest::default(), Longest::max)
    }
}

async fn ask(
    mut connection: Connection,
    logins: Arc<Vec<Login>>,
    board: Arc<Mutex<Board>>,
    lane: usize,
    pause: Duration,
) {
    for turn in 0.. {
        let number = next(&lock(&board), lane, turn);
        let Some(number) = number else {
            sleep(pause).await;
            continue;
        };
        let asked = Instant::now();
        if let Ok(Ok(verdict)) = timeout(ANSWER, logins[number].ask(&mut connection)).await {
            let (mut board, answered) = (lock(&board), Instant::now());
            board.answers += 1;
            let seen = &mut board.sessions[number];
            seen.is_served = verdict == Verdict::Served;
            if seen.is_served {
                (seen.last, seen.refused) = (Some((asked, answered)), None);
                seen.times += 1;
            } else if verdict == Verdict::Refused {
                seen.refused.get_or_insert(answered);
            }
        }
        sleep(pause).await;
    }
}

/// In turn all sessions of the lane; in between, of those that are of interest, as long as they are served.
fn next(board: &Board, lane: usize, turn: usize) -> Option<usize> {
    let ours = || (lane..board.sessions.len()).step_by(LANES).filter(|number| board.sessions[*number].is_asked);
    let interesting: Vec<usize> = match turn % 2 {
        0 => Vec::new(),
        _ => ours()
            .filter(|number| board.sessions[*number].is_of_interest && board.sessions[*number].is_served)
            .collect(),
    };
    let from = if interesting.is_empty() { ours().collect() } else { interesting };
    from.get(turn / 2 % from.len().max(1)).copied()
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::{Board, LANES, Seen, next};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_counts_was_asked_after_the_end() {
        let begin = Instant::now();
        let seen = |asked: u32, answered: u32| Seen {
            last: Some((begin + SECOND * asked, begin + SECOND * answered)),
            ..Seen::default()
        };
        // The first was stopped with a question in its hands.
        let sessions = vec![seen(1, 30), seen(4, 5), seen(3, 9), Seen::default(), seen(20, 21)];
        let board = Board { sessions, answers: 0 };
        let revoked = BTreeMap::from([0, 1, 2, 3].map(|number| (number, begin + SECOND * 2)));
        let longest = board.longest(&revoked);
        assert_eq!((longest.asked, longest.answered, longest.session), (SECOND * 2, SECOND * 7, Some(1)));
        assert_eq!(board.longest(&BTreeMap::new()).answered, Duration::ZERO);
    }

    #[test]
    fn all_are_asked_for_in_turn_and_those_of_interest_in_between() {
        let mut sessions = vec![Seen { is_asked: true, ..Seen::default() }; 3 * LANES];
        sessions[LANES + 1].is_asked = false;
        sessions[1] = Seen { is_of_interest: true, is_served: true, ..sessions[1] };
        sessions[2 * LANES + 1].is_of_interest = true;
        let board = Board { sessions, answers: 0 };
        let asked: Vec<_> = (0..6).map(|turn| next(&board, 1, turn)).collect();
        assert_eq!(asked, [1, 1, 2 * LANES + 1, 1, 1, 1].map(Some));
        let elsewhere: Vec<_> = (0..6).map(|turn| next(&board, 0, turn)).collect();
        assert_eq!(elsewhere, [0, 0, LANES, LANES, 2 * LANES, 2 * LANES].map(Some));
    }
}
