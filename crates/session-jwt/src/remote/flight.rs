//! Single flight: at most one fetch at a time, and a minimum interval between two.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::Timestamp;
use tokio::sync::watch;

use super::fetch::FetchError;

/// The result of a fetch, once there is one.
type Outcome = Option<Result<(), FetchError>>;

/// Who may fetch.
#[derive(Default)]
pub(super) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the latest fetch began.
    began: Option<Timestamp>,
    /// The fetch that is under way.
    current: Option<watch::Receiver<Outcome>>,
    /// Why the latest fetch failed.
    failure: Option<FetchError>,
}

/// It is too early for another fetch. This is why the latest failed, if it did.
pub(super) struct TooEarly(pub(super) Option<FetchError>);

/// A fetch that is under way.
pub(super) struct Flight {
    outcome: watch::Receiver<Outcome>,
    /// The fetch before this one failed.
    pub(super) follows_failure: bool,
}

impl Flight {
    pub(super) async fn landed(mut self) -> Result<(), FetchError> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(FetchError::Aborted)),
            Err(_) => Err(FetchError::Aborted),
        }
    }
}

/// The sending half of a [`Flight`].
pub(super) struct Departure(watch::Sender<Outcome>);

impl Flights {
    /// The fetch that is under way; or else one that the caller begins, with its sending half.
    pub(super) fn board(
        &self,
        now: Timestamp,
        min_interval: Duration,
    ) -> Result<(Flight, Option<Departure>), TooEarly> {
        let mut state = self.state();
        let follows_failure = state.failure.is_some();
        if let Some(outcome) = state.current.clone() {
            return Ok((Flight { outcome, follows_failure }, None));
        }
        // A clock that was set back by more than the interval does not block all fetches until it has caught up.
        let is_early = |began: Timestamp| now.since(began) < min_interval && began.since(now) <= min_interval;
        if state.began.is_some_and(is_early) {
            return Err(TooEarly(state.failure.clone()));
        }
        let (sender, outcome) = watch::channel(None);
        state.began = Some(now);
        state.current = Some(outcome.clone());
        Ok((Flight { outcome, follows_failure }, Some(Departure(sender))))
    }

    /// Ends the flight of `departure`.
    pub(super) fn land(&self, departure: &Departure, outcome: Result<(), FetchError>) {
        let mut state = self.state();
        state.current = None;
        state.failure = outcome.as_ref().err().cloned();
        drop(state);
        departure.0.send_replace(Some(outcome));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
