//! What is done: sessions are opened, committed, listed and revoked. The only callers of a store.

pub(crate) mod builder;
pub(crate) mod refresh;

mod backing;
mod commit;
mod open;
mod queue;
mod revoke;
mod sweep;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use self::backing::Backing;
use self::queue::CommitQueue;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{Event, EventKind, SessionObserver};
use crate::model::id::{SessionId, UserId};
use crate::policy::rules::Policy;
use crate::session::context::Context;
use crate::store::contract::SessionStore;

/// Opens, commits, lists and revokes sessions. Cheap to clone; one per application.
///
/// ```
/// # use session_core::{Policy, SessionManager, store::SessionStore};
/// # fn demo(store: impl SessionStore) {
/// let sessions = SessionManager::new(store, Policy::standard());
/// # }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    inner: Arc<Inner>,
}

struct Inner {
    backing: Backing,
    context: Arc<Context>,
    entropy: Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SessionObserver>>,
    queue: CommitQueue,
}

impl SessionManager {
    /// A manager with the clock and the random generator of the operating system, and no observer.
    #[must_use]
    pub fn new(store: impl SessionStore, policy: Policy) -> Self {
        Self::builder(Arc::new(store)).policy(policy).build()
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.context.policy
    }

    /// The time, by the manager's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.context.now()
    }

    /// Tells the observers. For adapters, which see what core cannot: a request refused as cross-origin.
    pub fn report(&self, kind: EventKind, session: Option<SessionId>, user: Option<UserId>) {
        if self.inner.observers.is_empty() {
            return;
        }
        let event = Event { at: self.now(), session, user, kind };
        for observer in &self.inner.observers {
            // An audit sink that fails must not keep a session alive.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.on_event(&event)));
        }
    }

    /// The store, for an operation that client-side sessions do not have.
    fn store(&self, operation: &'static str) -> Result<&dyn SessionStore, Error> {
        self.inner.backing.store().map_err(|error| self.store_failed(operation, error))
    }

    /// One store operation, within the store timeout.
    async fn store_call<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        let mut answer = pin!(answer);
        // Set when it is first waited for: a store that answers at once pays for no timer.
        let mut timer = pin!(None);
        let answered = poll_fn(|context| {
            if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                return Poll::Ready(Some(answered));
            }
            if timer.is_none() {
                timer.set(Some(tokio::time::sleep(self.policy().store_timeout())));
            }
            timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(context).map(|()| None))
        });
        match answered.await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.store_failed(operation, error)),
            None => {
                let error = StoreError::new(StoreErrorKind::Timeout, "no answer within the store timeout");
                Err(self.store_failed(operation, error))
            }
        }
    }

    /// Names what failed, and reports it.
    fn store_failed(&self, operation: &'static str, error: StoreError) -> Error {
        self.report(EventKind::StoreFailed { operation, kind: error.kind() }, None, None);
        Error::Store(error.in_context(self.inner.backing.name(), operation))
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("store", &self.inner.backing.name())
            .field("policy", self.policy())
            .finish_non_exhaustive()
    }
}
