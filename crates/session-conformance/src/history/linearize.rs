//! [`Log`]: what happened in a history, in the order in which it happened, and whether that is linearizable.
//!
//! A copy is a read of the past: of a moment that is at most as long ago as the store says, and not before what its node knew.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use session_core::Timestamp;
use session_core::store::SessionStore;

use super::call::{Answer, Call, Event};
use super::render::Names;
use crate::outcome::{Failure, Outcome};
use crate::reference::{Sessions, Snapshot};

/// The log of one history, shared by its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    begin: Instant,
    /// In real time since it began.
    events: Arc<Mutex<Vec<(Duration, Event)>>>,
    copies: Copies,
}

/// What the copies that a store gives may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copies {
    /// How old, in real time.
    pub(crate) staleness: Duration,
    /// The tasks take turns at so many nodes.
    pub(crate) nodes: usize,
}

impl Log {
    pub(crate) fn new(copies: Copies) -> Self {
        Self { begin: Instant::now(), events: Arc::default(), copies }
    }

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
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push((self.begin.elapsed(), event));
    }

    /// Checks that the answers are linearizable, on a thread for blocking work.
    pub(crate) async fn check(&self, seed: u64, now: Timestamp) -> Outcome {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let copies = self.copies;
        tokio::task::spawn_blocking(move || check(&events, copies, seed, now)).await?
    }
}

/// One call of a history, and its beginning and end as positions in the log.
struct CompletedCall<'h> {
    task: usize,
    call: &'h Call,
    begin: usize,
    end: usize,
    answer: &'h Answer,
    /// The calls that come before it, whatever positions say: one bit each.
    after: u64,
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
            let is_early = candidate.begin > deadline || candidate.after & !done != 0;
            if done & (1 << number) != 0 || is_early {
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

pub(super) fn check(events: &[(Duration, Event)], copies: Copies, seed: u64, now: Timestamp) -> Outcome {
    let (mut begun, mut calls) = (HashMap::new(), Vec::new());
    for (at, (_, event)) in events.iter().enumerate() {
        match event {
            Event::Begin(task, call) => drop(begun.insert(*task, (at, call))),
            Event::End(task, answer) => {
                let Some((begin, call)) = begun.remove(task) else { continue };
                calls.push(CompletedCall { task: *task, call, begin, end: at, answer, after: 0 });
            }
        }
    }
    if calls.len() > 64 {
        return Err("a history has more than 64 calls".into());
    }
    for number in 0..calls.len() {
        if let Answer::Copied(..) = calls[number].answer {
            date_back(number, &mut calls, events, copies);
        }
    }
    let mut search = Search { calls, now, visited: HashSet::new() };
    if search.explains(0, &Sessions::default()) {
        return Ok(());
    }
    let history = Names::default().render(events, now);
    Err(Failure::new(format!("no order of these calls explains their answers (seed {seed:#x}):\n{history}")))
}

/// A copy may have been read earlier than its call began.
fn date_back(number: usize, calls: &mut [CompletedCall<'_>], events: &[(Duration, Event)], copies: Copies) {
    let CompletedCall { task, begin, .. } = calls[number];
    let is_known = |other: &CompletedCall<'_>| {
        other.task % copies.nodes == task % copies.nodes && other.end < begin && other.call.informs(other.answer)
    };
    calls[number].after = (0..).zip(&*calls).filter(|(_, other)| is_known(other)).map(|(at, _)| 1 << at).sum();
    let (begun, _) = events[begin];
    calls[number].begin = events.partition_point(|(time, _)| *time + copies.staleness < begun);
}
