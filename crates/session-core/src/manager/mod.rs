//! What is done: sessions are opened, committed, listed and revoked. The only callers of a store.

pub(crate) mod background;
pub(crate) mod builder;
pub(crate) mod handle;
pub(crate) mod refresh;

mod backing;
mod client_side;
mod commit;
mod devices;
mod once;
mod open;
mod patience;
mod presented;
mod provider;
mod queue;
mod revoke;
mod several;
mod spans;
mod sweep;
mod ticket;
mod together;
mod watches;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use self::background::{Background, Persistent};
use self::backing::Backing;
use self::patience::Stopwatch;
use self::queue::{CommitQueue, RecentTouches};
use self::watches::Watches;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{EventKind, Reporter, RequestContext, Termination};
use crate::gate::VisitorGate;
use crate::measurement::Measurement;
use crate::model::id::{SessionId, UserId};
use crate::policy::rules::Policy;
use crate::session::{Context, Owner};
use crate::store::contract::{DeleteOutcome, Freshness, SessionStore};

/// How often the end of a session is tried: for some ten minutes.
const END_ATTEMPTS: u32 = 64;
/// The longest pause between two tries.
const END_PAUSE: Duration = Duration::from_secs(10);

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
    /// The request that it works for, if its events are to say so.
    request: Option<Arc<RequestContext>>,
}

struct Inner {
    backing: Backing,
    context: Context,
    entropy: Arc<dyn Entropy>,
    reporter: Arc<Reporter>,
    background: Arc<Background>,
    queue: CommitQueue,
    touches: RecentTouches,
    watches: Watches,
    gate: Option<Arc<dyn VisitorGate>>,
    wants_request: bool,
    reports_new_devices: bool,
}

impl Owner for Inner {
    fn context(&self) -> &Context {
        &self.context
    }

    fn end_unreceived(self: Arc<Self>, id: SessionId, user: Option<UserId>) {
        SessionManager { inner: self, request: None }.end_unreceived(id, user, Existence::Certain);
    }
}

/// Whether a session is known to have been stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existence {
    Certain,
    Possible,
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

    /// Whether sessions can be read here: for a health check. Loads a session that there is not, which takes all that a request with
    /// a cookie takes: a connection, the tables, the right to read. One round trip, past every cache, within the store timeout; in a
    /// Cluster, always to the same one of its shards. None where clients keep their sessions and there is no deny list.
    ///
    /// It does not say whether sessions can be written: a replica, or a server without memory, can be read.
    ///
    /// # Errors
    /// [`Error::Store`]: its [`source`](std::error::Error::source), a [`StoreError`], names the store and what failed, and has the
    /// driver's own error as source. It is reported and logged as any failure of the store.
    pub async fn ping(&self) -> Result<(), Error> {
        let Some(store) = self.inner.backing.any_store() else { return Ok(()) };
        // Sixteen zeros: ids are random.
        let nobody = SessionId::from_bytes([0; 16]);
        self.store_call("load", store.load(&nobody, Freshness::Latest)).await.map(drop)
    }

    /// Tells the observers. For adapters, which see what core cannot: a request refused as cross-origin.
    pub fn report(&self, kind: EventKind, session: Option<SessionId>, user: Option<UserId>) {
        if let (EventKind::Terminated(_), Some(id)) = (&kind, &session) {
            self.inner.watches.end(id);
        }
        self.inner.reporter.report(kind, session, user, self.request.clone());
    }

    /// Whether events that happen in a request are to say in which.
    pub(crate) fn wants_request(&self) -> bool {
        self.inner.wants_request
    }

    /// The same manager; its events happen in this request.
    pub(crate) fn with_request(&self, request: RequestContext) -> Self {
        Self { inner: Arc::clone(&self.inner), request: Some(Arc::new(request)) }
    }

    /// Waits for what goes on in the background, at most for `patience`: commits whose requests went away, and the end of
    /// logins that no client received. Call it at shutdown, when no request is left. Returns how many are unfinished; what
    /// they left undone ends with its session.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.inner.background.drain(patience).await
    }

    /// Work that is finished even if its caller goes away.
    fn persist<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Persistent<T> {
        Persistent::new(&self.inner.background, work)
    }

    /// Ends a session whose token no client has, in the background: repeated until the store confirms it.
    fn end_unreceived(&self, id: SessionId, user: Option<UserId>, existence: Existence) {
        let mut unsettled = user.as_ref().map(|user| self.inner.background.unsettled(user));
        let manager = self.clone();
        let work = async move {
            let patience = manager.policy().store_timeout();
            let mut existence = existence;
            for attempt in 0..END_ATTEMPTS {
                let (now, longest) = (manager.now(), manager.policy().longest_timeout());
                let delete = manager.inner.backing.delete(&id, user.as_ref(), now + longest, now);
                let pause = match manager.store_call("delete", delete).await {
                    Ok(DeleteOutcome::Deleted) => {
                        return manager.report(EventKind::Terminated(Termination::Unreceived), Some(id), user);
                    }
                    Ok(DeleteOutcome::Absent) if existence == Existence::Certain => return,
                    // Its creation may still be under way.
                    Ok(DeleteOutcome::Absent) => {
                        existence = Existence::Certain;
                        patience
                    }
                    Err(_) => (patience / 8 * (1 << attempt.min(6))).min(END_PAUSE),
                };
                drop(unsettled.take());
                tokio::time::sleep(pause).await;
            }
            manager.report(EventKind::Abandoned, Some(id), user);
        };
        self.inner.background.spawn(work);
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
        let (reporter, store) = (&self.inner.reporter, self.inner.backing.name());
        let span = spans::store(store, operation);
        let stopwatch = reporter.is_measured().then(Stopwatch::start);
        let mut answer = pin!(answer);
        // Set when it is first waited for: a store that answers at once pays for no timer.
        let mut timer = pin!(None);
        let answered = poll_fn(|context| {
            let _entered = span.enter();
            if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                return Poll::Ready(Some(answered));
            }
            if timer.is_none() {
                timer.set(Some(tokio::time::sleep(self.policy().store_timeout())));
            }
            timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(context).map(|()| None))
        });
        let answer = answered
            .await
            .unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Timeout, "no answer within the store timeout")));
        if let Some(stopwatch) = stopwatch {
            let (failure, took) = (answer.as_ref().err().map(StoreError::kind), stopwatch.read());
            reporter.measure(&Measurement::StoreCall { store, operation, failure, took });
        }
        answer.map_err(|error| {
            let error = self.store_failed(operation, error);
            spans::failed(&span, &error);
            error
        })
    }

    /// Tells who counts such things.
    fn measure(&self, measurement: Measurement) {
        self.inner.reporter.measure(&measurement);
    }

    /// One store operation that writes. If it failed, and may have been applied all the same, it is repeated as it is, once, for
    /// every operation is idempotent: then the first error comes with the answer. Within the store timeout. If the repetition
    /// fails too, the first error is the answer: what may have been applied stays so, although the second was never sent.
    async fn store_write<T, F>(
        &self,
        operation: &'static str,
        call: impl Fn() -> F,
    ) -> Result<(T, Option<Error>), Error>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut first = None;
        let answer = async {
            match call().await {
                Err(error) if error.may_be_applied() => {
                    first = Some(self.store_failed(operation, error));
                    call().await
                }
                answer => answer,
            }
        };
        match (self.store_call(operation, answer).await, first) {
            (Ok(answer), first) => Ok((answer, first)),
            (Err(_), Some(first)) => Err(first),
            (Err(error), None) => Err(error),
        }
    }

    /// Names what failed, and reports it.
    fn store_failed(&self, operation: &'static str, error: StoreError) -> Error {
        self.report(EventKind::StoreFailed { operation, kind: error.kind() }, None, None);
        let store = self.inner.backing.name();
        let error = error.in_context(store, operation);
        tracing::error!(
            target: "session",
            {
                db.system.name = spans::system(store),
                db.operation.name = operation,
                error.type = error.kind().as_str(),
                error = error.with_causes(),
            },
            "the session store failed"
        );
        Error::Store(error)
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
