//! [`FaultyStore`]: a store whose calls can be watched and made to fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::store::Record;
use session_core::{StoreError, StoreErrorKind};

use crate::intercept::{Intercept, Intercepted, StoreCall};

/// A correct store until a fault is injected. Yields before and after each operation, so that requests interleave and
/// can be dropped there.
pub(super) type FaultyStore = Intercepted<Connection>;

/// How a store fails.
#[derive(Clone, Debug)]
pub(super) enum InjectedFault {
    /// Every operation fails before it is executed.
    Unavailable,
    /// The operation of this name fails before it is executed.
    UnavailableAt(&'static str),
    /// No operation ever returns.
    Hang,
    /// Every operation is executed, and its reply lost.
    LoseReplies,
    /// The next operation is executed, and its reply lost.
    LoseNextReply,
    /// No record can be decoded.
    Corrupt,
    /// Replies are mixed up: every load returns this record.
    WrongRecord(Box<Record>),
}

/// The connection of a node to its store.
#[derive(Debug, Default)]
pub(super) struct Connection {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<InjectedFault>,
    calls: Vec<&'static str>,
}

impl Connection {
    /// Makes operations fail from now on.
    pub(super) fn inject(&self, fault: InjectedFault) {
        self.state().fault = Some(fault);
    }

    /// Makes operations work again.
    pub(super) fn heal(&self) {
        self.state().fault = None;
    }

    /// The names of the operations since the last call of this, in order.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    /// Records a call, and returns the fault it meets.
    fn begin(&self, operation: &'static str) -> Option<InjectedFault> {
        let mut state = self.state();
        state.calls.push(operation);
        let fault = state.fault.clone();
        if let Some(InjectedFault::LoseNextReply) = fault {
            state.fault = None;
        }
        fault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Connection {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let failed = |kind| Err(StoreError::new(kind, "injected fault"));
        let fault = self.begin(call.operation);
        tokio::task::yield_now().await;
        let result = match fault {
            Some(InjectedFault::Unavailable) => failed(StoreErrorKind::Unavailable),
            Some(InjectedFault::UnavailableAt(other)) if other == call.operation => failed(StoreErrorKind::Unavailable),
            Some(InjectedFault::Hang) => std::future::pending().await,
            Some(InjectedFault::LoseReplies) => execute.await.and(failed(StoreErrorKind::Timeout)),
            Some(InjectedFault::LoseNextReply) => execute.await.and(failed(StoreErrorKind::Unavailable)),
            Some(InjectedFault::Corrupt) => failed(StoreErrorKind::Corrupt),
            Some(InjectedFault::UnavailableAt(_) | InjectedFault::WrongRecord(_)) | None => execute.await,
        };
        tokio::task::yield_now().await;
        result
    }

    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        if let Some(InjectedFault::WrongRecord(other)) = &self.state().fault { Some((**other).clone()) } else { record }
    }
}
