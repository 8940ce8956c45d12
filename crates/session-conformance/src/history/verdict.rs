//! Whether a history can be explained by the contract.

use std::collections::{HashMap, HashSet};

use session_core::Timestamp;

use super::call::{Answer, Call};
use super::log::Event;
use super::names::Names;
use crate::outcome::{Failure, Outcome};
use crate::reference::{Sessions, Snapshot};

/// One call of a history: when it began and ended, as places in the log.
struct Made<'h> {
    call: &'h Call,
    begin: usize,
    end: usize,
    answer: &'h Answer,
}

/// Looks for an order, one call further at a time (the algorithm of Wing and Gong).
///
/// There are too many orders to try, but most lead to where another one has led already: the same calls are done, and
/// the sessions are the same. What followed from there was no explanation, or the search would be over (Lowe).
struct Search<'h> {
    calls: Vec<Made<'h>>,
    now: Timestamp,
    visited: HashSet<(u64, Snapshot)>,
}

impl Search<'_> {
    /// Whether the calls that are not `done` (a bit for each) can follow, from these sessions on.
    fn explains(&mut self, done: u64, sessions: &Sessions) -> bool {
        let open = |(number, _): &(usize, &Made<'_>)| done & (1 << number) == 0;
        let Some(deadline) = self.calls.iter().enumerate().filter(open).map(|(_, made)| made.end).min() else {
            return true;
        };
        for number in 0..self.calls.len() {
            let made = &self.calls[number];
            // Not before a call that had ended when this one began.
            if done & (1 << number) != 0 || made.begin > deadline {
                continue;
            }
            let mut sessions = sessions.clone();
            if made.call.apply(&mut sessions, self.now) == *made.answer
                && self.visited.insert((done | 1 << number, sessions.snapshot()))
                && self.explains(done | 1 << number, &sessions)
            {
                return true;
            }
        }
        false
    }
}

pub(super) fn check(events: &[Event], seed: u64, now: Timestamp) -> Outcome {
    let (mut begun, mut calls) = (HashMap::new(), Vec::new());
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Begin(task, call) => drop(begun.insert(task, (at, call))),
            Event::End(task, answer) => {
                let Some((begin, call)) = begun.remove(task) else { continue };
                calls.push(Made { call, begin, end: at, answer });
            }
        }
    }
    if calls.len() > 64 {
        return Err("a history has more than 64 calls".into());
    }
    let mut search = Search { calls, now, visited: HashSet::new() };
    if search.explains(0, &Sessions::default()) {
        return Ok(());
    }
    let story = Names::default().tell(events, now);
    Err(Failure::new(format!("no order of these calls explains their answers (seed {seed:#x}):\n{story}")))
}
