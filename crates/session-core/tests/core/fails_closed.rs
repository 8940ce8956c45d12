//! A check that fails denies: whatever the store does, nobody is let in by it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{RejectionKind, RequestSession, require_fresh};
use session_core::store::SessionStore;
use session_core::{
    Assurance, Error, Key, Login, ManualClock, Policy, PresentedToken, Session, SessionHandle, SessionManager,
    StoreError, StoreErrorKind, UserId,
};

use crate::plain::Plain;

const N: Key<u64> = Key::new("n");

/// How loads fail.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Error(StoreErrorKind),
    Hangs,
}

/// What loads do: `None`, what they should. Clones are the same.
#[derive(Clone, Debug, Default)]
struct Loads(Arc<Mutex<Option<Failure>>>);

impl Loads {
    fn set(&self, failure: Option<Failure>) {
        *self.0.lock().unwrap() = failure;
    }
}

impl Intercept for Loads {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let failure = *self.0.lock().unwrap();
        match failure.filter(|_| call.operation == "load") {
            None => execute.await,
            Some(Failure::Error(kind)) => Err(StoreError::new(kind, "told to fail")),
            Some(Failure::Hangs) => std::future::pending().await,
        }
    }
}

/// Every way in which a store can fail, but for one: a record that cannot be decoded says something.
const FAILURES: [Failure; 7] = [
    Failure::Error(StoreErrorKind::Unavailable),
    Failure::Error(StoreErrorKind::Timeout),
    Failure::Error(StoreErrorKind::Full),
    Failure::Error(StoreErrorKind::Unsupported),
    Failure::Error(StoreErrorKind::InvalidCursor),
    Failure::Error(StoreErrorKind::Other),
    Failure::Hangs,
];

struct Site {
    manager: SessionManager,
    loads: Loads,
    cookie: String,
}

impl Site {
    /// Alice is logged in: with a session in a store, or in her cookie and a deny list beside it.
    async fn new(is_client_side: bool) -> Self {
        let loads = Loads::default();
        let store: Arc<dyn SessionStore> = Arc::new(Intercepted::new(ReferenceStore::new(), loads.clone()));
        let builder = if is_client_side {
            SessionManager::client_side(Plain, Some(store))
        } else {
            SessionManager::builder(store)
        };
        let manager = builder.policy(Policy::standard()).clock(ManualClock::default()).build();
        let mut site = Self { manager, loads, cookie: String::new() };
        let request = site.begin().await;
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        site.cookie = headers.set_cookie.unwrap().expose().split(';').next().unwrap().to_owned();
        site
    }

    async fn begin(&self) -> RequestSession {
        RequestSession::new(self.manager.clone(), self.manager.read_cookie([self.cookie.as_bytes()]))
    }

    async fn open(&self) -> Result<Session, Error> {
        self.manager.open(&self.manager.read_cookie([self.cookie.as_bytes()])).await
    }

    async fn handle(&self) -> SessionHandle {
        self.manager.handle(&self.open().await.unwrap()).unwrap()
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

#[track_caller]
fn denied<T>(outcome: Result<T, Error>, what: &str) {
    assert!(matches!(outcome, Err(Error::Store(_))), "{what}");
}

/// With a store, and with a deny list: whoever asks learns that nothing is known.
#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_by_a_store_that_fails() {
    for is_client_side in [false, true] {
        let site = Site::new(is_client_side).await;
        let (opened, handle) = (site.open().await.unwrap(), site.handle().await);
        for failure in FAILURES {
            let what = |asked: &str| format!("{asked}, client-side: {is_client_side}, {failure:?}");
            site.loads.set(Some(failure));
            denied(site.open().await.map(drop), &what("open"));
            denied(site.manager.reload(&opened).await, &what("reload"));
            let guard = require_fresh(&site.manager, &opened, Duration::from_secs(300), Assurance::Aal1).await;
            let denies = matches!(guard, Err(RejectionKind::StoreUnavailable | RejectionKind::Unsupported));
            assert!(denies, "{}: {guard:?}", what("require_fresh"));
            denied(handle.is_live().await, &what("is_live"));
            denied(handle.open().await.map(drop), &what("open of a handle"));
            denied(handle.touch().await, &what("touch of a handle"));

            // A whole request: no session, no cookie.
            let request = site.begin().await;
            denied(request.session().await.map(drop), &what("session"));
            let (_, headers) = request.finish().await;
            assert!(headers.set_cookie.is_none(), "{}", what("a response"));

            site.loads.set(None);
            assert_eq!(site.open().await.unwrap().user(), Some(alice()), "{}: the cookie stays good", what("later"));
            assert!(handle.is_live().await.unwrap());
        }
    }
}

/// A session that ended does not come back with the failure of the list that says so.
#[tokio::test(start_paused = true)]
async fn what_is_denied_stays_so_while_the_deny_list_is_down() {
    let site = Site::new(true).await;
    let (before, handle) = (site.open().await.unwrap(), site.handle().await);
    let session = site.open().await.unwrap();
    session.logout().unwrap();
    site.manager.commit(&session).await.unwrap();
    for failure in FAILURES {
        site.loads.set(Some(failure));
        denied(site.open().await.map(drop), &format!("open, {failure:?}"));
        denied(handle.is_live().await, &format!("is_live, {failure:?}"));
        // Neither does a request that was under way write.
        let writes = before.clone();
        writes.insert(N, &1).unwrap();
        assert!(site.manager.commit(&writes).await.is_err(), "{failure:?}");
    }
    site.loads.set(None);
    assert_eq!(site.open().await.unwrap().user(), None);
}

/// An entry that cannot be decoded is an entry.
#[tokio::test]
async fn an_unreadable_entry_of_the_deny_list_denies() {
    let site = Site::new(true).await;
    let (opened, handle) = (site.open().await.unwrap(), site.handle().await);
    site.loads.set(Some(Failure::Error(StoreErrorKind::Corrupt)));
    assert_eq!(site.open().await.unwrap().user(), None);
    assert!(matches!(site.manager.reload(&opened).await, Err(Error::Gone)));
    assert!(!handle.is_live().await.unwrap());
}

/// A socket does not act for a session of which nothing is known, and is not closed for it either: unavailable is not ended.
#[tokio::test(start_paused = true)]
async fn a_handle_does_nothing_while_the_store_is_down() {
    let site = Site::new(false).await;
    let handle = site.handle().await;
    let current = handle.open().await.unwrap();
    current.insert(N, &1).unwrap();
    site.loads.set(Some(Failure::Hangs));
    denied(handle.open().await.map(drop), "open");
    let ended = tokio::time::timeout(Duration::from_secs(60), handle.ended()).await;
    assert!(ended.is_err(), "it is not known to have ended");
    let _ = site.manager.revoke_all(&alice()).await.unwrap();
    assert!(matches!(handle.commit(&current).await, Err(Error::Gone | Error::Store(_))), "nor is anything written");
    site.loads.set(None);
    handle.ended().await;
}

/// Neither an access token nor a refresh token says that its session lives.
#[tokio::test(start_paused = true)]
async fn refresh_tokens_and_live_access_tokens_are_refused_while_the_store_is_down() {
    let site = Site::new(false).await;
    let issued = site.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = || PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    for failure in FAILURES {
        site.loads.set(Some(failure));
        denied(site.manager.find_live(&issued.session.id, &alice()).await, "find_live");
        denied(site.manager.verify_refresh_token(&token()).await, "verify_refresh_token");
        denied(site.manager.revoke_refresh_token(&token()).await, "revoke_refresh_token");
        let login = site.manager.issue_refresh_token(Login::new(alice()), Some(&token())).await;
        denied(login, "a login that replaces a token");
    }
    site.loads.set(None);
    assert!(site.manager.verify_refresh_token(&token()).await.unwrap().is_some(), "it was not used up");
}
