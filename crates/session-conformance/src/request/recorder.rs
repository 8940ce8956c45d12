//! [`Recorder`]: an observer that keeps the events it receives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use session_core::{Event, SessionObserver};

/// Keeps all events. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    is_broken: Arc<AtomicBool>,
}

impl Recorder {
    /// The events since the last call of this.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes every later event panic.
    pub(super) fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }
}

impl SessionObserver for Recorder {
    fn on_event(&self, event: &Event) {
        if self.is_broken.load(Ordering::SeqCst) {
            // A panic without the panic hook: it is intended, and must not show in the output of the suite.
            std::panic::resume_unwind(Box::new("the audit sink is broken"));
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}
