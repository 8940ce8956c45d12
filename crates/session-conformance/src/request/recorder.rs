//! [`Recorder`]: an observer that keeps what it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::{Event, EventKind, SessionObserver};

use super::fault::RequestFault;

/// Keeps all events. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    fault: Option<RequestFault>,
    log: Arc<Mutex<Log>>,
    broken: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    taken: usize,
}

impl Recorder {
    pub(super) fn new(fault: Option<RequestFault>) -> Self {
        Self { fault, log: Arc::default(), broken: Arc::default() }
    }

    /// The events since this was asked last.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut log = self.log();
        let len = log.events.len();
        let taken = std::mem::replace(&mut log.taken, len);
        log.events[taken..].to_vec()
    }

    /// How many events there have been.
    pub(super) fn len(&self) -> usize {
        self.log().events.len()
    }

    /// The events but the first `len` ones.
    pub(super) fn since(&self, len: usize) -> Vec<Event> {
        self.log().events[len..].to_vec()
    }

    /// From now on panics at each event.
    pub(super) fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionObserver for Recorder {
    fn on_event(&self, event: &Event) {
        if self.is_broken() {
            // A panic without the panic hook: this one is wanted, and is no news to whoever runs the suite.
            std::panic::resume_unwind(Box::new("the audit sink is broken"));
        }
        let times = match (self.fault, &event.kind) {
            (Some(RequestFault::EventsLost), EventKind::Terminated(_)) => 0,
            (Some(RequestFault::EventsTwice), _) => 2,
            (Some(_) | None, _) => 1,
        };
        self.log().events.extend(std::iter::repeat_n(event.clone(), times));
    }
}
