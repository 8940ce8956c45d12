//! What core asks of a store, and what it makes of the answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::PresentedCookie;
use session_core::store::Freshness;
use session_core::{
    DeleteOutcome, Error, Key, KeyError, LimitPolicy, Login, Policy, Session, SessionManager, StoreError,
    StoreErrorKind, UserId,
};

const N: Key<u64> = Key::new("n");

/// Notes how fresh loads must be, and fails on request.
#[derive(Debug, Default)]
struct Watch {
    loads: Mutex<Vec<Freshness>>,
    is_down: AtomicBool,
}

impl Intercept for Watch {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.loads.lock().unwrap().extend(call.freshness);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the cable is out").with_source("unplugged"));
        }
        execute.await
    }
}

/// A manager over a watched store, and the cookie of `alice`, who is logged in.
async fn logged_in() -> (Arc<Intercepted<Watch>>, SessionManager, PresentedCookie) {
    let store = Arc::new(Intercepted::new(ReferenceStore::new(), Watch::default()));
    let manager = SessionManager::new(Arc::clone(&store), Policy::standard());
    let request = session_core::adapter::RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().login(Login::new(UserId::new("alice").unwrap())).unwrap();
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let cookie = headers.set_cookie.unwrap();
    let presented = manager.read_cookie([cookie.expose().split(';').next().unwrap().as_bytes()]);
    (store, manager, presented)
}

#[tokio::test]
async fn decisions_reach_the_store_and_requests_may_be_answered_by_a_copy() {
    let (store, manager, cookie) = logged_in().await;
    let loads = || std::mem::take(&mut *store.hook().loads.lock().unwrap());
    let session = manager.open(&cookie).await.unwrap();
    assert_eq!(loads(), [Freshness::Cached]);
    manager.reload(&session).await.unwrap();
    assert_eq!(loads(), [Freshness::Latest]);
    let (id, user) = (session.id().unwrap(), session.user().unwrap());
    assert!(manager.find_live(&id, &user).await.unwrap().is_some());
    assert!(manager.find_live(&id, &UserId::new("bob").unwrap()).await.unwrap().is_none());
    assert_eq!(loads(), [Freshness::Latest; 2]);

    // Another request is faster: the commit loads what it wrote.
    session.update(N, |n| *n += 1).unwrap();
    let faster: Session = manager.open(&cookie).await.unwrap();
    faster.update(N, |n| *n += 1).unwrap();
    manager.commit(&faster).await.unwrap();
    let _ = loads();
    manager.commit(&session).await.unwrap();
    assert_eq!(loads(), [Freshness::Latest]);
    assert_eq!(session.get(N).unwrap(), Some(2));

    let issued = manager.issue_refresh_token(Login::new(user), None).await.unwrap();
    let text = issued.token.encode();
    let token = session_core::PresentedToken::parse(text.expose().as_bytes()).unwrap();
    let _ = manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert_eq!(manager.revoke_refresh_token(&token).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(loads(), [Freshness::Latest; 2]);
}

#[tokio::test]
async fn an_error_of_a_store_says_which_store_which_operation_and_why() {
    let (store, manager, cookie) = logged_in().await;
    let user = UserId::new("alice").unwrap();
    store.hook().is_down.store(true, Ordering::SeqCst);
    let Error::Store(error) = manager.open(&cookie).await.unwrap_err() else { panic!("another error") };
    assert_eq!(error.to_string(), "reference: load: unavailable: the cable is out");
    assert_eq!((error.kind(), error.operation()), (StoreErrorKind::Unavailable, "load"));
    assert_eq!(error.source().unwrap().to_string(), "unplugged");
    let Error::Store(error) = manager.list(&user).await.unwrap_err() else { panic!("another error") };
    assert_eq!(error.operation(), "list_by_user");
    let Error::Store(error) = manager.revoke_all(&user).await.unwrap_err() else { panic!("another error") };
    assert_eq!(error.operation(), "delete_by_user");
    let bare = StoreError::new(StoreErrorKind::Timeout, "too slow");
    assert_eq!((bare.to_string().as_str(), bare.operation()), ("timed out: too slow", ""));
    for (kind, is_retryable) in [
        (StoreErrorKind::Unavailable, true),
        (StoreErrorKind::Timeout, true),
        (StoreErrorKind::Corrupt, false),
        (StoreErrorKind::Full, false),
        (StoreErrorKind::Unsupported, false),
        (StoreErrorKind::Other, false),
    ] {
        assert_eq!(StoreError::new(kind, "").is_retryable(), is_retryable, "{kind:?}");
    }
}

#[test]
fn a_key_has_between_1_and_128_bytes() {
    let key = |length| Key::<u8>::dynamic("k".repeat(length));
    assert_eq!(key(0).unwrap_err(), KeyError);
    assert_eq!(key(1).unwrap().name(), "k");
    assert_eq!(key(Key::<u8>::MAX_LEN).unwrap().name().len(), 128);
    assert_eq!(key(Key::<u8>::MAX_LEN + 1).unwrap_err(), KeyError);
}

#[test]
fn a_limit_names_what_it_evicts() {
    let policy = Policy::standard().to_builder().session_limit(2, LimitPolicy::EvictLeastRecent).build().unwrap();
    assert_eq!(policy.session_limit().max.get(), 2);
    assert_eq!(policy.session_limit().at_limit, LimitPolicy::EvictLeastRecent);
}
