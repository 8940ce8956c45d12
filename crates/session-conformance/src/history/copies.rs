//! What a history may say of copies.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_core::store::{CreateOutcome, Record, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, OsEntropy, Timestamp, UserId};

use super::call::{Answer, Call, Event};
use super::linearize::{Copies, check};
use crate::record::RecordBuilder;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
const COPIES: Copies = Copies { staleness: Duration::from_millis(100), nodes: 3 };
/// Tasks on three nodes, one after the other.
const HERE: usize = 0;
const THERE: usize = 1;
const ELSEWHERE: usize = 2;
const ALSO_HERE: usize = 3;
const ALSO_THERE: usize = 4;

/// One call after the other, at these milliseconds.
struct History {
    first: Record,
    second: Record,
    user: UserId,
    events: Vec<(Duration, Event)>,
}

impl History {
    /// The first version is there.
    fn new() -> Self {
        let user = UserId::new("alice").unwrap();
        let first = RecordBuilder::new(NOW).of(&user).value("n", "1").build().unwrap();
        let changed = RecordBuilder::new(NOW).of(&user).id(first.id()).value("n", "2").build().unwrap();
        let second = Record { version: first.version.next(&OsEntropy).unwrap(), ..changed };
        let mut history = Self { first, second, user, events: Vec::new() };
        let create = Call::Create(Arc::new(history.first.clone()), None, None);
        history.at(0, HERE, create, Answer::Created(CreateOutcome::Created { evicted: Vec::new() }));
        history
    }

    fn at(&mut self, millis: u64, task: usize, call: Call, answer: Answer) {
        let time = Duration::from_millis(millis);
        self.events.extend([(time, Event::Begin(task, call)), (time, Event::End(task, answer))]);
    }

    fn changes(&mut self, millis: u64, task: usize) {
        let update = Call::Update(Arc::new(self.second.clone()), self.first.version);
        self.at(millis, task, update, Answer::Updated(UpdateOutcome::Applied));
    }

    fn ends(&mut self, millis: u64, task: usize) {
        let delete = Call::Delete(self.first.id(), self.user.clone());
        self.at(millis, task, delete, Answer::Deleted(DeleteOutcome::Deleted));
    }

    fn gives(&mut self, millis: u64, task: usize, copy: &Record) {
        let copied = Answer::Copied(copy.version, copy.data.get(b"n").cloned());
        self.at(millis, task, Call::Read(copy.id()), copied);
    }

    fn holds(&self) -> bool {
        check(&self.events, COPIES, 0, NOW).is_ok()
    }
}

#[test]
fn a_copy_is_as_old_as_is_said_and_not_a_moment_older() {
    for end in [History::changes, History::ends] {
        for (millis, holds) in [(10, true), (110, true), (111, false)] {
            let mut history = History::new();
            end(&mut history, 10, HERE);
            let first = history.first.clone();
            history.gives(millis, THERE, &first);
            assert_eq!(history.holds(), holds, "after {millis} ms");
        }
    }
}

#[test]
fn what_a_node_did_itself_it_knows() {
    for (task, holds) in [(HERE, false), (ALSO_HERE, false), (THERE, true)] {
        let mut history = History::new();
        history.changes(10, HERE);
        let first = history.first.clone();
        history.gives(10, task, &first);
        assert_eq!(history.holds(), holds, "task {task}");
    }
}

#[test]
fn what_a_node_has_given_it_does_not_take_back() {
    for (task, holds) in [(THERE, false), (ALSO_THERE, false), (HERE, true)] {
        let mut history = History::new();
        history.changes(10, ELSEWHERE);
        let (first, second) = (history.first.clone(), history.second.clone());
        history.gives(20, THERE, &second);
        history.gives(30, task, &first);
        assert_eq!(history.holds(), holds, "task {task}");
    }
}

#[test]
fn what_a_node_has_found_to_be_over_does_not_come_back_there() {
    for (task, holds) in [(ALSO_THERE, false), (HERE, true)] {
        let mut history = History::new();
        history.ends(10, ELSEWHERE);
        let first = history.first.clone();
        history.at(20, THERE, Call::Read(first.id()), Answer::Loaded(None));
        history.gives(30, task, &first);
        assert_eq!(history.holds(), holds, "task {task}");
    }
}

#[test]
fn that_nothing_is_there_no_copy_says() {
    let mut history = History::new();
    history.at(20, THERE, Call::Read(history.first.id()), Answer::Loaded(None));
    history.ends(30, HERE);
    assert!(!history.holds());
}

#[test]
fn a_version_that_was_never_there_is_no_copy() {
    let mut history = History::new();
    let second = history.second.clone();
    history.gives(20, THERE, &second);
    assert!(!history.holds(), "before it was written");
    history.changes(30, HERE);
    assert!(!history.holds(), "nor long before it is");
}

#[test]
fn a_touch_says_nothing_of_versions() {
    let mut history = History::new();
    history.changes(10, HERE);
    let (first, user) = (history.first.clone(), history.user.clone());
    history.at(20, THERE, Call::Touch(first.id(), user, NOW), Answer::Touched(TouchOutcome::Applied));
    history.gives(30, THERE, &first);
    assert!(history.holds());
}
