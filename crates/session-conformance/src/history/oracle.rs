//! Our checker agrees with stateright's on short histories. Ours is used because it visits each state once: on the
//! histories of the suite, stateright's takes up to half a minute each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_core::store::Record;
use session_core::{OsEntropy, SessionId, Timestamp, UserId};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};

use super::call::{Answer, Call, Event};
use super::linearize::{self, Copies};
use super::rng::Rng;
use crate::record::RecordBuilder;
use crate::reference::Sessions;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
const NO_COPIES: Copies = Copies { staleness: Duration::ZERO, nodes: 1 };
const TASKS: usize = 3;
const CALLS: usize = 3;

impl SequentialSpec for Sessions {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        call.apply(self, NOW)
    }

    fn is_valid_step(&mut self, call: &Call, answer: &Answer) -> bool {
        call.admits(answer, self, NOW)
    }
}

/// What a task is doing.
enum Doing {
    Nothing,
    /// In progress since the sessions were these.
    InProgress(Call, Sessions),
    Answered(Answer),
}

/// A history of a store that sometimes gives a stale answer.
fn record(rng: &mut Rng) -> Vec<Event> {
    let user = UserId::new("alice").unwrap();
    let ids: Vec<SessionId> = (0..2).map(|_| SessionId::generate(Some(&user), &OsEntropy).unwrap()).collect();
    let mut known: Vec<Arc<Record>> = Vec::new();
    for id in &ids {
        known.push(Arc::new(RecordBuilder::new(NOW).of(&user).id(*id).build().unwrap()));
    }
    let (mut events, mut sessions) = (Vec::new(), Sessions::default());
    let mut tasks: Vec<(Doing, usize)> = (0..TASKS).map(|_| (Doing::Nothing, CALLS)).collect();
    while tasks.iter().any(|(doing, left)| *left > 0 || !matches!(doing, Doing::Nothing)) {
        let number = usize::try_from(rng.below(TASKS as u64)).unwrap();
        let (doing, left) = &mut tasks[number];
        *doing = match std::mem::replace(doing, Doing::Nothing) {
            Doing::Nothing if *left == 0 => Doing::Nothing,
            Doing::Nothing => {
                *left -= 1;
                let which = usize::try_from(rng.below(2)).unwrap();
                let call = call(rng, &user, &mut known[which]);
                events.push(Event::Begin(number, call.clone()));
                Doing::InProgress(call, sessions.clone())
            }
            Doing::InProgress(call, mut before) => Doing::Answered(if rng.below(6) == 0 {
                call.apply(&mut before, NOW)
            } else {
                call.apply(&mut sessions, NOW)
            }),
            Doing::Answered(answer) => {
                events.push(Event::End(number, answer));
                Doing::Nothing
            }
        };
    }
    events
}

fn call(rng: &mut Rng, user: &UserId, known: &mut Arc<Record>) -> Call {
    match rng.below(7) {
        0 | 1 => Call::Create(Arc::clone(known), None, None),
        2 => Call::Load(known.summary.id),
        3 => {
            let version = known.version;
            let change = Record { version: version.next(&OsEntropy).unwrap(), ..Record::clone(known) };
            *known = Arc::new(change);
            Call::Update(Arc::clone(known), version)
        }
        4 => Call::Touch(known.summary.id, user.clone(), NOW + Duration::from_secs(rng.below(3))),
        5 => Call::Delete(known.summary.id, user.clone()),
        _ => Call::List(user.clone()),
    }
}

fn by_stateright(events: &[Event]) -> bool {
    let mut tester = LinearizabilityTester::new(Sessions::default());
    for event in events {
        match event {
            Event::Begin(task, call) => tester.on_invoke(*task, call.clone()).map(drop).unwrap(),
            Event::End(task, answer) => tester.on_return(*task, answer.clone()).map(drop).unwrap(),
        }
    }
    tester.is_consistent()
}

#[test]
fn both_checkers_agree() {
    let mut verdicts = [0, 0];
    for seed in 0..2_000 {
        let events = record(&mut Rng::new(seed, 0));
        let timed: Vec<_> = events.iter().map(|event| (Duration::ZERO, event.clone())).collect();
        let ours = linearize::check(&timed, NO_COPIES, seed, NOW).is_ok();
        assert_eq!(ours, by_stateright(&events), "seed {seed}: {events:?}");
        verdicts[usize::from(ours)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 200), "{verdicts:?} of each kind");
}
