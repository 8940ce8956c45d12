//! A model of one family of refresh tokens, explored state by state: two requests of an honest client and those of a thief,
//! cut where they can be overtaken, with lost answers, a logout and a clock. The decisions are those of the library.
//!
//! Nothing but the record outlives a step, so a restart between any two, or another node, changes nothing.
//!
//! The honest client refreshes when its access token expires, which is later than the grace window of the refresh that it
//! came with; or again, when an answer is late or lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::clock::Timestamp;
use crate::decide::intent::Login;
use crate::decide::plan::{Draft, new_record, rotated};
use crate::decide::replays::{Allowance, allow, replayed};
use crate::decide::verdict::{TokenStatus, TokenVerdict, judge};
use crate::entropy::{Entropy, EntropyError};
use crate::model::id::UserId;
use crate::model::record::Record;
use crate::model::reserved::Replays;
use crate::model::token::{Kind, PresentedToken, SessionToken};
use crate::policy::rules::Policy;

const BEGIN: i64 = 1_000_000;
/// Milliseconds of one step of the clock: half a grace window.
const STEP: i64 = 5_000;
const WINDOW: i64 = 2 * STEP;
/// When the model ends: one step after the session does.
const ABSOLUTE: i64 = 4 * STEP;
const REQUESTS: usize = 3;

/// What could be wrong, to see that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// A rotation overwrites whatever is stored.
    NoCompare,
    /// A rotation brings a session back that was logged out.
    Upsert,
    /// A superseded token is replaced once more.
    ReplayRotates,
    /// A superseded token gets its successor, and nobody counts.
    ReplayUncounted,
    /// The grace window counts from the last replay.
    ReplayMovesTheWindow,
    /// The grace window has no end.
    NoWindow,
    /// Reuse is refused, and the session goes on.
    ReuseIsForgiven,
    /// An old token is unknown, like one that never was.
    OldIsUnknown,
    /// A rotation begins the session anew.
    RotationExtends,
}

struct Family {
    bug: Bug,
    policy: Policy,
    first: (Record, String),
}

/// Always the same bytes, different ones for each number.
#[derive(Debug)]
struct Numbered(u8);

impl Entropy for Numbered {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(self.0);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Client,
    Thief,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// On its way to the store.
    Sent,
    /// Found good; its successor is about to be stored. The window counts from here.
    Planned { next: Bytes, expected: u32, successor: String, at: i64 },
    /// Found to be a replay; it is about to be counted.
    Counting { next: Bytes, expected: u32, successor: String },
    /// Found to be reuse; the session is about to be deleted.
    Ending,
    /// The answer is on its way.
    Answered(Option<String>),
    /// Delivered, or lost.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    who: Who,
    token: String,
    stage: Stage,
}

/// What went wrong, if anything did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Wrong {
    /// A token was replaced twice, or by two successors.
    fork: bool,
    /// A grant after the session had ended.
    revival: bool,
    /// A consumed token got something outside its window.
    late_grant: bool,
    /// A consumed token got something that is not counted.
    uncounted: bool,
    /// An old token was not recognised as one.
    forgotten: bool,
    /// The session lived longer than it was to.
    extended: bool,
    /// Reuse was noticed, and the session still lives after it was dealt with.
    unpunished: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: i64,
    stored: Option<Bytes>,
    /// The tokens in the order of their generations, and when each was replaced.
    chain: Vec<(String, Option<i64>)>,
    /// What the honest client holds, and when it got it.
    jar: (String, i64),
    /// What the thief copied.
    stolen: Option<String>,
    requests: Vec<Request>,
    /// By logout or reuse.
    ended: bool,
    reuse: bool,
    /// The honest client used a token later than the window allows.
    late: bool,
    wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Send(Who),
    Steal,
    Step(usize),
    Lose(usize),
    Logout,
    Tick,
}

impl Family {
    fn new(bug: Bug) -> Self {
        let timeout = Duration::from_millis(ABSOLUTE.unsigned_abs());
        let builder = Policy::standard().to_builder().absolute_timeout(timeout).idle_timeout(timeout);
        // All requests go by one clock.
        let policy = builder.max_clock_skew(Duration::ZERO).build().unwrap();
        assert_eq!(policy.refresh_grace(), Duration::from_millis(WINDOW.unsigned_abs()));
        let login = Login::new(UserId::new("alice").unwrap());
        let begin = Timestamp::from_millis(BEGIN);
        let draft = Draft::logged_in(&login, begin, &policy);
        let (record, token) = new_record(Kind::Refresh, &draft, &policy, begin, &Numbered(200)).unwrap();
        Self { bug, policy, first: (record, text(&token)) }
    }

    fn decode(&self, stored: &Bytes) -> Record {
        Record::decode(self.first.0.id(), stored).unwrap()
    }

    fn load(&self, state: &mut State, request: usize) {
        let token = state.requests[request].token.clone();
        let now = Timestamp::from_millis(state.now);
        let generation = state.chain.iter().position(|(known, _)| *known == token).unwrap();
        let replaced = state.chain[generation].1;
        if state.requests[request].who == Who::Client && replaced.is_some_and(|at| state.now >= at + WINDOW) {
            state.late = true;
        }
        let Some(stored) = &state.stored else {
            state.requests[request].stage = Stage::Answered(None);
            return;
        };
        let record = self.decode(stored);
        let presented = PresentedToken::parse(token.as_bytes()).unwrap();
        let age = state.chain.len() - 1 - generation;
        let token_verdict = match (self.bug, judge(&record, Kind::Refresh, &presented, &self.policy, now)) {
            (Bug::NoWindow, TokenVerdict::Reuse) if age == 1 => TokenVerdict::Accepted(TokenStatus::Superseded),
            (Bug::OldIsUnknown, TokenVerdict::Reuse) if age > 1 => TokenVerdict::Unknown,
            (Bug::ReplayRotates, TokenVerdict::Accepted(_)) => TokenVerdict::Accepted(TokenStatus::Current),
            (_, token_verdict) => token_verdict,
        };
        state.wrong.forgotten |= age > 0 && token_verdict == TokenVerdict::Unknown;
        state.requests[request].stage = match token_verdict {
            TokenVerdict::Accepted(TokenStatus::Current) => {
                let entropy = Numbered(u8::try_from(request).unwrap() + 16 * u8::try_from(age).unwrap());
                let (mut next, successor) = rotated(&record, &presented, &self.policy, now, &entropy).unwrap();
                if self.bug == Bug::RotationExtends {
                    next.summary.created_at = now;
                }
                state.wrong.extended |=
                    next.summary.created_at + next.summary.timeouts.absolute != self.first.0.deadline();
                let (next, expected) = (next.encode().unwrap(), record.version.number);
                Stage::Planned { next, expected, successor: text(&successor), at: state.now }
            }
            TokenVerdict::Accepted(TokenStatus::Superseded) => {
                state.wrong.late_grant |= age != 1 || replaced.is_none_or(|at| state.now >= at + WINDOW);
                let successor = text(&record.credential.successor(&presented).unwrap());
                state.wrong.fork |= state.chain.get(generation + 1).is_none_or(|(known, _)| *known != successor);
                if self.bug == Bug::ReplayMovesTheWindow {
                    // As if the replay were the rotation.
                    let moved = Record { credential: record.credential.anchored_at(now), ..record };
                    state.stored = Some(moved.encode().unwrap());
                    return state.requests[request].stage = Stage::Answered(Some(successor));
                }
                self.replay(state, &record, request, successor)
            }
            TokenVerdict::Accepted(TokenStatus::Consumed)
            | TokenVerdict::Unknown
            | TokenVerdict::Expired(_)
            | TokenVerdict::Raced => Stage::Answered(None),
            TokenVerdict::Reuse => Stage::Ending,
        };
    }

    fn replay(&self, state: &mut State, record: &Record, request: usize, successor: String) -> Stage {
        let (before, generation) = (Replays::read(&record.data).unwrap(), record.credential.generation());
        match allow(before, generation, self.policy.refresh_replays(), Timestamp::from_millis(state.now)) {
            Allowance::Count(replays) if self.bug != Bug::ReplayUncounted => {
                let entropy = Numbered(u8::try_from(request).unwrap() + 100);
                let next = replayed(record, replays, &self.policy, &entropy).unwrap().encode().unwrap();
                Stage::Counting { next, expected: record.version.number, successor }
            }
            Allowance::Count(_) | Allowance::Counted => {
                state.wrong.uncounted |= before.is_none_or(|before| before.generation != generation);
                Stage::Answered(Some(successor))
            }
            Allowance::Spent => unreachable!("there are few requests"),
        }
    }

    fn store(&self, state: &mut State, request: usize) {
        let (next, expected, successor, rotated_at) = match state.requests[request].stage.clone() {
            Stage::Planned { next, expected, successor, at } => (next, expected, successor, Some(at)),
            Stage::Counting { next, expected, successor } => (next, expected, successor, None),
            Stage::Sent | Stage::Ending | Stage::Answered(_) | Stage::Over => unreachable!("nothing to store"),
        };
        let stored = state.stored.as_ref().map(|stored| self.decode(stored));
        let matches = match &stored {
            Some(stored) => stored.version.number == expected || self.bug == Bug::NoCompare,
            None => self.bug == Bug::Upsert,
        };
        if !matches {
            // Absent, or a conflict: read again.
            state.requests[request].stage = if stored.is_none() { Stage::Answered(None) } else { Stage::Sent };
            return;
        }
        state.wrong.revival |= state.ended;
        let Some(at) = rotated_at else {
            state.stored = Some(next);
            state.requests[request].stage = Stage::Answered(Some(successor));
            return;
        };
        let token = state.requests[request].token.clone();
        let generation = state.chain.iter().position(|(known, _)| *known == token).unwrap();
        state.wrong.fork |= generation + 1 != state.chain.len() || state.chain[generation].1.is_some();
        state.chain[generation].1.get_or_insert(at);
        state.chain.truncate(generation + 1);
        state.chain.push((successor.clone(), None));
        state.stored = Some(next);
        state.requests[request].stage = Stage::Answered(Some(successor));
    }

    fn step(&self, state: &mut State, request: usize) {
        match state.requests[request].stage.clone() {
            Stage::Sent => self.load(state, request),
            Stage::Planned { .. } | Stage::Counting { .. } => self.store(state, request),
            Stage::Ending => {
                state.reuse = true;
                if self.bug != Bug::ReuseIsForgiven {
                    state.stored = None;
                    state.ended = true;
                }
                state.wrong.unpunished |= state.stored.is_some();
                state.requests[request].stage = Stage::Answered(None);
            }
            Stage::Answered(answer) => {
                match (state.requests[request].who, answer) {
                    (Who::Client, Some(token)) if token != state.jar.0 => state.jar = (token, state.now),
                    (Who::Thief, Some(token)) => state.stolen = Some(token),
                    (Who::Client, _) | (Who::Thief, None) => {}
                }
                state.requests[request].stage = Stage::Over;
            }
            Stage::Over => {}
        }
    }
}

fn text(token: &SessionToken) -> String {
    token.encode().expose().to_owned()
}

impl Model for Family {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let (record, token) = &self.first;
        vec![State {
            now: BEGIN,
            stored: Some(record.encode().unwrap()),
            chain: vec![(token.clone(), None)],
            jar: (token.clone(), BEGIN - WINDOW),
            stolen: None,
            requests: Vec::new(),
            ended: false,
            reuse: false,
            late: false,
            wrong: Wrong::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong != Wrong::default() {
            return;
        }
        let under_way = |who| {
            let requests = state.requests.iter();
            requests.filter(|request| request.who == who && request.stage != Stage::Over).count()
        };
        if state.requests.len() < REQUESTS {
            // Its access token has expired; or it asks once more while nothing has come.
            if under_way(Who::Client) < 2 && state.now >= state.jar.1 + WINDOW {
                actions.push(Action::Send(Who::Client));
            }
            if state.stolen.is_some() && under_way(Who::Thief) == 0 {
                actions.push(Action::Send(Who::Thief));
            }
        }
        if state.stolen.is_none() {
            actions.push(Action::Steal);
        }
        for (number, request) in state.requests.iter().enumerate() {
            if request.stage != Stage::Over {
                actions.push(Action::Step(number));
            }
            if matches!(request.stage, Stage::Answered(_)) {
                actions.push(Action::Lose(number));
            }
        }
        if !state.ended {
            actions.push(Action::Logout);
        }
        if state.now <= BEGIN + ABSOLUTE {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(who) => {
                let token = match who {
                    Who::Client => state.jar.0.clone(),
                    Who::Thief => state.stolen.clone()?,
                };
                state.requests.push(Request { who, token, stage: Stage::Sent });
            }
            Action::Steal => state.stolen = Some(state.jar.0.clone()),
            Action::Step(request) => self.step(&mut state, request),
            Action::Lose(request) => state.requests[request].stage = Stage::Over,
            Action::Logout => {
                state.stored = None;
                state.ended = true;
            }
            Action::Tick => state.now += STEP,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a token has one successor", |_, state: &State| !state.wrong.fork),
            Property::always("what ended stays so", |_, state: &State| {
                !state.wrong.revival && (!state.ended || state.stored.is_none())
            }),
            Property::always("the window is anchored and ends", |_, state: &State| !state.wrong.late_grant),
            Property::always("a replay is counted", |_, state: &State| !state.wrong.uncounted),
            Property::always("a consumed token is remembered", |_, state: &State| !state.wrong.forgotten),
            Property::always("reuse ends the session", |_, state: &State| !state.wrong.unpunished),
            Property::always("rotation extends nothing", |_, state: &State| !state.wrong.extended),
            // Liveness and absence of false alarms: the pair that is easily got wrong.
            Property::always("an honest client raises no alarm", |_, state: &State| {
                let honest = state.requests.iter().all(|request| request.who == Who::Client);
                !honest || state.late || !state.reuse
            }),
            Property::sometimes("a thief is noticed", |_, state: &State| state.reuse && !state.late),
            Property::sometimes("a lost answer is asked for again", |_, state: &State| {
                let (_, replaced) = &state.chain[0];
                replaced.is_some() && state.requests.len() == 2 && state.jar.0 == state.chain[1].0
            }),
            Property::sometimes("two rotations", |_, state: &State| state.chain.len() == 3),
        ]
    }
}

fn explore(bug: Bug) -> Vec<&'static str> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // All there is, or the first thing that is wrong.
    let checker =
        Family::new(bug).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let properties = checker.model().properties().into_iter();
    let failures = properties.filter(|property| match (&property.expectation, checker.discovery(property.name)) {
        (Expectation::Always, discovered) => discovered.is_some(),
        // A search that ended early has not seen yet what may happen.
        (_, discovered) => bug == Bug::None && discovered.is_none(),
    });
    let failures: Vec<_> = failures.map(|property| property.name).collect();
    println!("{bug:?}: {} states, violated: {failures:?}", checker.unique_state_count());
    for name in &failures {
        // The shortest way there.
        println!("{name}: {:?}", checker.discovery(name).map(stateright::Path::into_actions));
    }
    failures
}

#[test]
fn the_family_keeps_its_laws() {
    assert_eq!(explore(Bug::None), Vec::<&str>::new());
}

#[test]
fn each_bug_is_caught() {
    for (bug, law) in [
        (Bug::NoCompare, "a token has one successor"),
        (Bug::Upsert, "what ended stays so"),
        (Bug::ReplayRotates, "a token has one successor"),
        (Bug::ReplayUncounted, "a replay is counted"),
        (Bug::ReplayMovesTheWindow, "the window is anchored and ends"),
        (Bug::NoWindow, "the window is anchored and ends"),
        (Bug::ReuseIsForgiven, "reuse ends the session"),
        (Bug::OldIsUnknown, "a consumed token is remembered"),
        (Bug::RotationExtends, "rotation extends nothing"),
    ] {
        assert!(explore(bug).contains(&law), "{bug:?}");
    }
}
