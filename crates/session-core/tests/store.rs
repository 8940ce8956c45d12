//! What core asks of a store, and what it makes of the answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::error::Error as _;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, RecordBuilder, ReferenceStore, StoreCall};
use session_core::adapter::PresentedCookie;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, Error, Key, KeyError, LimitPolicy, Login, OsEntropy, Policy, Session, SessionManager, StoreError,
    StoreErrorKind, Timestamp, UserId,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const N: Key<u64> = Key::new("n");

#[tokio::test]
async fn a_shared_store_is_the_store() {
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let shared = Arc::clone(&store);
    let user = UserId::new("alice").unwrap();
    let record = |seconds| RecordBuilder::new(NOW + Duration::from_secs(seconds)).of(&user).build().unwrap();
    let created = CreateOutcome::Created { evicted: Vec::new() };
    assert_eq!(SessionStore::name(&shared), store.name());

    let (first, second) = (record(0), record(1));
    assert_eq!(SessionStore::create(&shared, CreateRequest::new(&first), NOW).await.unwrap(), created);
    let exchange =
        CreateRequest::new(&second).replacing(Replacement::of(&first)).within(Policy::standard().session_limit());
    assert_eq!(SessionStore::create(&shared, exchange, NOW).await.unwrap(), created);
    let id = second.id();
    let version = async || Some(store.load(&id, Freshness::Latest).await.unwrap()?.version);
    assert_eq!(store.load(&first.id(), Freshness::Latest).await.unwrap().map(|record| record.id()), None, "replaced");

    let next = Record { version: second.version.next(&OsEntropy).unwrap(), ..second.clone() };
    let stale = Version { number: 9, ..second.version };
    assert_eq!(SessionStore::update(&shared, &next, stale, NOW).await.unwrap(), UpdateOutcome::Conflict);
    assert_eq!(SessionStore::update(&shared, &next, second.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(version().await, Some(next.version));
    let later = NOW + Duration::from_secs(60);
    assert_eq!(SessionStore::touch(&shared, &id, Some(&user), later).await.unwrap(), TouchOutcome::Applied);
    let loaded = SessionStore::load(&shared, &id, Freshness::Cached).await.unwrap().unwrap();
    assert_eq!((loaded.id(), loaded.summary.last_seen), (id, later));
    let listed = SessionStore::list_by_user(&shared, &user, NOW).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.id).collect::<Vec<_>>(), [id]);

    assert_eq!(SessionStore::delete(&shared, &id, None).await.unwrap(), DeleteOutcome::Absent, "not its user");
    assert_eq!(SessionStore::delete(&shared, &id, Some(&user)).await.unwrap(), DeleteOutcome::Deleted);
    for expected in [&first, &second] {
        let _ = store.create(CreateRequest::new(expected), NOW).await.unwrap();
    }
    assert_eq!(SessionStore::delete_by_user(&shared, &user, Some(&id)).await.unwrap(), [first.id()]);
    let end = loaded.deadline();
    assert_eq!(SessionStore::delete_expired(&shared, end, NonZeroU32::MIN).await.unwrap(), 1);
    assert_eq!(version().await, None);
}

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
    assert_eq!(loads(), [Freshness::Latest]);

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
