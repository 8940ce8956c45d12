//! A manager over a store whose weather can be set.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{RequestSession, ResponseHeaders};
use session_core::store::SessionStore;
use session_core::{
    Event, EventKind, Key, Login, ManualClock, Policy, Session, SessionManager, SessionObserver, StoreError,
    StoreErrorKind, UserId,
};
use tokio::time::sleep;

pub(crate) const N: Key<u64> = Key::new("n");

/// What happens to the calls of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Executed, and answered after so many milliseconds.
    Slow(u64),
    /// Executed after so many milliseconds, then answered.
    Late(u64),
    /// Executed, and never answered.
    LosesAnswer,
    /// Neither executed nor answered.
    Hangs,
    /// Refused.
    Fails,
    /// Executed, and answered with an error.
    FailsAfterwards,
    /// The same, once; what comes next meets another fate.
    FailsAfterwardsThen(&'static Self),
    /// The same, once.
    FailsAfterwardsOnce,
    /// Refused, once.
    FailsOnce,
    /// Refused, for the store is full.
    IsFull,
    /// Nothing was sent.
    IsNotSent,
    /// The record cannot be decoded.
    Unreadable,
}

/// The fate of each operation, and how often it was called.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    fates: Mutex<HashMap<&'static str, Fate>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Weather {
    pub(crate) fn set(&self, operation: &'static str, fate: Fate) {
        self.fates.lock().unwrap().insert(operation, fate);
    }

    pub(crate) fn clear(&self) {
        self.fates.lock().unwrap().clear();
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| **call == operation).count()
    }
}

impl Intercept for Weather {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push(call.operation);
        let fate = self.fates.lock().unwrap().get(call.operation).copied();
        let down = || StoreError::new(StoreErrorKind::Unavailable, "bad weather");
        match fate {
            None => execute.await,
            Some(Fate::Slow(millis)) => {
                let answer = execute.await;
                sleep(Duration::from_millis(millis)).await;
                answer
            }
            Some(Fate::Late(millis)) => {
                sleep(Duration::from_millis(millis)).await;
                execute.await
            }
            Some(Fate::LosesAnswer) => {
                let _ = execute.await;
                std::future::pending().await
            }
            Some(Fate::Hangs) => std::future::pending().await,
            Some(Fate::Fails) => Err(down()),
            Some(Fate::IsNotSent) => Err(down().unsent()),
            Some(Fate::IsFull) => Err(StoreError::new(StoreErrorKind::Full, "bad weather")),
            Some(Fate::FailsOnce) => {
                self.fates.lock().unwrap().remove(call.operation);
                Err(down())
            }
            Some(Fate::FailsAfterwardsThen(next)) => {
                self.set(call.operation, *next);
                execute.await.and(Err(down()))
            }
            Some(Fate::Unreadable) => Err(StoreError::new(StoreErrorKind::Corrupt, "a newer format")),
            Some(Fate::FailsAfterwards) => execute.await.and(Err(down())),
            Some(Fate::FailsAfterwardsOnce) => {
                self.fates.lock().unwrap().remove(call.operation);
                execute.await.and(Err(down()))
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Log {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Log {
    pub(crate) fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub(crate) struct Bed {
    pub(crate) store: Arc<Intercepted<Weather>>,
    pub(crate) clock: ManualClock,
    pub(crate) log: Log,
    pub(crate) manager: SessionManager,
}

impl Bed {
    pub(crate) fn new(policy: Policy) -> Self {
        let store = Arc::new(Intercepted::new(ReferenceStore::new(), Weather::default()));
        let (clock, log) = (ManualClock::default(), Log::default());
        let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
        let manager = builder.policy(policy).clock(clock.clone()).observer(log.clone()).build();
        Self { store, clock, log, manager }
    }

    pub(crate) fn weather(&self) -> &Weather {
        self.store.hook()
    }

    pub(crate) fn begin(&self, cookie: Option<&str>) -> RequestSession {
        let presented = self.manager.read_cookie(cookie.map(str::as_bytes));
        RequestSession::new(self.manager.clone(), presented)
    }

    /// One request; returns the cookie of its response.
    pub(crate) async fn request(&self, cookie: Option<&str>, act: impl FnOnce(&Session)) -> Option<String> {
        let request = self.begin(cookie);
        act(request.session().await.unwrap());
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        pair(&headers)
    }

    pub(crate) async fn logged_in(&self) -> String {
        self.request(None, |session| session.login(Login::new(alice())).unwrap()).await.unwrap()
    }

    pub(crate) async fn count(&self) -> usize {
        self.manager.list(&alice()).await.unwrap().len()
    }

    pub(crate) async fn number(&self, cookie: &str) -> Option<u64> {
        let mut number = None;
        self.request(Some(cookie), |session| number = session.get(N).unwrap()).await;
        number
    }

    pub(crate) async fn is_logged_in(&self, cookie: &str) -> bool {
        let mut user = None;
        self.request(Some(cookie), |session| user = session.user()).await;
        user.is_some()
    }
}

pub(crate) fn pair(headers: &ResponseHeaders) -> Option<String> {
    let cookie = headers.set_cookie.as_ref()?;
    Some(cookie.expose().split(';').next().unwrap().to_owned())
}

pub(crate) fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

pub(crate) const MS: Duration = Duration::from_millis(1);
