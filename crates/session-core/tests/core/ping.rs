//! Whether the store answers, for a health check.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::error::Error as _;
use std::sync::{Arc, Mutex};

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::store::{Freshness, SessionStore};
use session_core::{Error, EventKind, Policy, SessionManager, StoreError, StoreErrorKind};
use tokio::sync::broadcast;

use super::plain::Plain;

#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Works,
    Fails,
    Hangs,
}

/// Notes what it is asked, and behaves as it is told.
#[derive(Debug)]
struct Watch {
    calls: Mutex<Vec<(&'static str, Option<Freshness>)>>,
    behaviour: Behaviour,
}

impl Intercept for Watch {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push((call.operation, call.freshness));
        match self.behaviour {
            Behaviour::Works => execute.await,
            Behaviour::Fails => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the cable is out").with_source("unplugged"))
            }
            Behaviour::Hangs => std::future::pending().await,
        }
    }
}

fn store(behaviour: Behaviour) -> Arc<Intercepted<Watch>> {
    Arc::new(Intercepted::new(ReferenceStore::new(), Watch { calls: Mutex::default(), behaviour }))
}

fn calls(store: &Intercepted<Watch>) -> Vec<(&'static str, Option<Freshness>)> {
    std::mem::take(&mut *store.hook().calls.lock().unwrap())
}

/// A copy in this process would say that all is well.
const ONE_LOAD: [(&str, Option<Freshness>); 1] = [("load", Some(Freshness::Latest))];

#[tokio::test]
async fn it_asks_the_store_itself_once() {
    let store = store(Behaviour::Works);
    let (observer, mut events) = broadcast::channel(8);
    let shared: Arc<dyn SessionStore> = store.clone();
    let manager = SessionManager::builder(shared).policy(Policy::standard()).observer(observer).build();
    manager.ping().await.unwrap();
    assert_eq!(calls(&store), ONE_LOAD);
    assert!(events.try_recv().is_err(), "that there is no such session is no event");
}

#[tokio::test]
async fn the_error_names_the_store_and_the_cause() {
    let (observer, mut events) = broadcast::channel(8);
    let shared: Arc<dyn SessionStore> = store(Behaviour::Fails);
    let manager = SessionManager::builder(shared).policy(Policy::standard()).observer(observer).build();
    let error = manager.ping().await.unwrap_err();
    let cause = error.source().expect("what the store said");
    assert_eq!(cause.to_string(), "reference: load: unavailable: the cable is out");
    assert_eq!(cause.source().expect("what its driver said").to_string(), "unplugged");
    let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Unavailable };
    assert_eq!(events.try_recv().unwrap().kind, failed);
}

#[tokio::test(start_paused = true)]
async fn it_waits_no_longer_than_a_request() {
    let shared: Arc<dyn SessionStore> = store(Behaviour::Hangs);
    let manager = SessionManager::builder(shared).policy(Policy::standard()).build();
    let begin = tokio::time::Instant::now();
    let timeout = manager.policy().store_timeout();
    let answered = tokio::time::timeout(10 * timeout, manager.ping()).await.expect("an answer");
    let Err(Error::Store(error)) = answered else { panic!("another error") };
    assert_eq!(error.kind(), StoreErrorKind::Timeout);
    assert!(begin.elapsed() < 2 * timeout, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn without_a_store_the_deny_list_is_asked_if_there_is_one() {
    let alone = SessionManager::client_side(Plain, None).policy(Policy::standard()).build();
    alone.ping().await.unwrap();
    let list = store(Behaviour::Works);
    let shared: Arc<dyn SessionStore> = list.clone();
    SessionManager::client_side(Plain, Some(shared)).policy(Policy::standard()).build().ping().await.unwrap();
    assert_eq!(calls(&list), ONE_LOAD);
    let shared: Arc<dyn SessionStore> = store(Behaviour::Fails);
    let failing = SessionManager::client_side(Plain, Some(shared)).policy(Policy::standard()).build();
    assert!(matches!(failing.ping().await, Err(Error::Store(_))));
}
