//! [`Log`]: what happened in a history, in the order in which it happened, and whether that is linearizable.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use session_core::Timestamp;
use session_core::store::SessionStore;

use super::call::{Answer, Call, Event};
use super::render::Names;
use crate::outcome::{Failure, Outcome};
use crate::reference::{Sessions, Snapshot};

/// The log of one history, shared by its tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Log {
    /// Calls `store`, and records when that begins and ends. An error fails the case: no server is disrupted here.
    pub(crate) async fn invoke(
        &self,
        task: usize,
        store: &dyn SessionStore,
        call: Call,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        self.push(Event::Begin(task, call.clone()));
        let answer = call.invoke(store, now).await?;
        self.push(Event::End(task, answer.clone()));
        Ok(answer)
    }

    fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Checks that the answers are linearizable, on a thread for blocking work.
    pub(crate) async fn check(&self, seed: u64, now: Timestamp) -> Outcome {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::task::spawn_blocking(move || check(&events, seed, now)).await?
    }
}

/// One call of a history, and its beginning and end as positions in the log.
struct CompletedCall<'h> {
    call: &'h Call,
    begin: usize,
    end: usize,
    answer: &'h Answer,
}

/// Searches for an order, one call at a time (the algorithm of Wing and Gong), and never continues twice from the same
/// state: the same calls done, the same sessions stored (Lowe).
struct Search<'h> {
    calls: Vec<CompletedCall<'h>>,
    now: Timestamp,
    visited: HashSet<(u64, Snapshot)>,
}

impl Search<'_> {
    /// Whether the calls that are not `done` (one bit each) can follow when `sessions` are stored.
    fn explains(&mut self, done: u64, sessions: &Sessions) -> bool {
        let open = |(number, _): &(usize, &CompletedCall<'_>)| done & (1 << number) == 0;
        let Some(deadline) = self.calls.iter().enumerate().filter(open).map(|(_, call)| call.end).min() else {
            return true;
        };
        for number in 0..self.calls.len() {
            let candidate = &self.calls[number];
            // A call that had ended before this one began comes first.
            if done & (1 << number) != 0 || candidate.begin > deadline {
                continue;
            }
            let mut sessions = sessions.clone();
            if candidate.call.admits(candidate.answer, &mut sessions, self.now)
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
                calls.push(CompletedCall { call, begin, end: at, answer });
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
    let history = Names::default().render(events, now);
    Err(Failure::new(format!("no order of these calls explains their answers (seed {seed:#x}):\n{history}")))
}
