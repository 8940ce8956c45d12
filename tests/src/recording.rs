//! [`Recorder`]: records what is asked of a store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use session_conformance::{Intercept, Intercepted, StoreCall};
use session_core::{SessionId, StoreError, StoreErrorKind};

/// A store with a [`Recorder`]. Share it with an `Arc`.
pub type RecordingStore = Intercepted<Recorder>;

/// Records the operations and every record written, and fails on demand.
#[derive(Debug, Default)]
pub struct Recorder {
    calls: Mutex<Vec<&'static str>>,
    written: Mutex<Vec<(SessionId, Bytes)>>,
    failing: AtomicBool,
}

impl Recorder {
    /// The operations since the last call of this method, in order. Each is one round trip.
    #[must_use]
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut lock(&self.calls))
    }

    /// Every record that was ever passed to the store: its id, and its encoding as a backend stores it.
    #[must_use]
    pub fn written(&self) -> Vec<(SessionId, Bytes)> {
        lock(&self.written).clone()
    }

    /// Makes every operation fail from now on, or none.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }
}

impl Intercept for Recorder {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        lock(&self.calls).push(call.operation);
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "injected failure").with_source("its cause"));
        }
        if let Some(record) = call.written {
            lock(&self.written).push((record.id(), record.encode()?));
        }
        execute.await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
