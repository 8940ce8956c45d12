//! [`Log`]: what happened in a history, in the order in which it happened.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::Timestamp;
use session_core::store::SessionStore;

use super::call::{Answer, Call};
use super::verdict;
use crate::outcome::{Failure, Outcome};

/// A call begins, or ends. A task makes one call after the other.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Begin(usize, Call),
    End(usize, Answer),
}

/// The log of one history, shared by its tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Log {
    /// Asks `store`, and writes down when that begins and ends. An error ends the history: nothing is disturbed here.
    pub(crate) async fn ask(
        &self,
        task: usize,
        store: &dyn SessionStore,
        call: Call,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        self.push(Event::Begin(task, call.clone()));
        let answer = call.ask(store, now).await?;
        self.push(Event::End(task, answer.clone()));
        Ok(answer)
    }

    fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Whether the answers can be explained. Takes time, so not where other tasks wait.
    pub(crate) async fn check(&self, seed: u64, now: Timestamp) -> Outcome {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::task::spawn_blocking(move || verdict::check(&events, seed, now)).await?
    }
}
