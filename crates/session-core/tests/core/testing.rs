//! Sessions for tests of applications, and what adapters ask of a session with a user.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{PresentedCookie, RejectionKind, require_user};
use session_core::store::SessionStore;
use session_core::{Error, Key, LimitPolicy, Login, Policy, Session, SessionManager, StoreError, UserId, testing};

const CART: Key<u32> = Key::new("cart");

/// Notes what the store is asked.
#[derive(Debug, Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Intercept for Calls {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.0.lock().unwrap().push(call.operation);
        execute.await
    }
}

struct Bed {
    store: Arc<Intercepted<Calls>>,
    manager: SessionManager,
}

impl Bed {
    fn new(policy: Policy) -> Self {
        let store = Arc::new(Intercepted::new(ReferenceStore::new(), Calls::default()));
        let shared: Arc<dyn SessionStore> = store.clone();
        Self { store, manager: SessionManager::builder(shared).policy(policy).build() }
    }

    async fn open(&self, cookie: &str) -> Session {
        let session = self.manager.open(&self.manager.read_cookie([cookie.as_bytes()])).await.unwrap();
        let _ = self.calls();
        session
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.store.hook().0.lock().unwrap())
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

#[tokio::test]
async fn a_cookie_of_a_user_is_had_in_one_line() {
    let bed = Bed::new(Policy::standard());
    let cookie = testing::log_in(&bed.manager, Login::new(user("alice")).method("pwd")).await.unwrap();
    let session = bed.open(&cookie).await;
    assert_eq!(session.user(), Some(user("alice")));
    assert_eq!(*session.authentication().unwrap().strongest().methods, ["pwd"]);
    // Two logins are two devices.
    testing::log_in(&bed.manager, Login::new(user("alice"))).await.unwrap();
    assert_eq!(bed.manager.list(&user("alice")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn visitors_and_users_may_have_values() {
    let bed = Bed::new(Policy::standard());
    let visitor = testing::begin(&bed.manager, |session| session.insert(CART, &1)).await.unwrap();
    let session = bed.open(&visitor).await;
    assert_eq!((session.user(), session.get(CART).unwrap()), (None, Some(1)));
    let customer = testing::begin(&bed.manager, |session| {
        session.login(Login::new(user("alice")))?;
        session.insert(CART, &2)
    });
    let session = bed.open(&customer.await.unwrap()).await;
    assert_eq!((session.user(), session.get(CART).unwrap()), (Some(user("alice")), Some(2)));
    assert_eq!(testing::begin(&bed.manager, |_| Ok(())).await.unwrap(), "", "nothing is stored");
}

#[tokio::test]
async fn limits_hold_in_tests_as_elsewhere() {
    let policy = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let bed = Bed::new(policy);
    testing::log_in(&bed.manager, Login::new(user("alice"))).await.unwrap();
    let refused = testing::log_in(&bed.manager, Login::new(user("alice"))).await;
    assert!(matches!(refused, Err(Error::LimitReached)), "{refused:?}");
}

#[tokio::test]
async fn a_stored_session_with_a_user_costs_nothing_more() {
    let bed = Bed::new(Policy::standard());
    let cookie = testing::log_in(&bed.manager, Login::new(user("alice"))).await.unwrap();
    let session = bed.open(&cookie).await;
    let (found, handle) = require_user(&bed.manager, &session).await.unwrap();
    assert_eq!((found, Some(handle.id())), (user("alice"), session.id()));
    assert_eq!(bed.calls(), [""; 0]);
    let visitor = bed.manager.open(&PresentedCookie::Nothing).await.unwrap();
    assert_eq!(require_user(&bed.manager, &visitor).await.unwrap_err(), RejectionKind::Unauthenticated);
    let cart = testing::begin(&bed.manager, |session| session.insert(CART, &1)).await.unwrap();
    let session = bed.open(&cart).await;
    assert_eq!(require_user(&bed.manager, &session).await.unwrap_err(), RejectionKind::Unauthenticated);
    assert_eq!(bed.calls(), [""; 0]);
}

/// A middleware has logged in, and a handler asks for the user: the session has an id then.
#[tokio::test]
async fn a_login_that_was_not_committed_is() {
    let bed = Bed::new(Policy::standard());
    for cookie in [String::new(), testing::begin(&bed.manager, |session| session.insert(CART, &1)).await.unwrap()] {
        let session = bed.open(&cookie).await;
        session.login(Login::new(user("alice"))).unwrap();
        let (found, handle) = require_user(&bed.manager, &session).await.unwrap();
        assert_eq!(bed.calls(), ["create"], "once");
        assert_eq!((found, handle.user()), (user("alice"), Some(&user("alice"))));
        assert!(handle.is_live().await.unwrap());
        bed.manager.commit(&session).await.unwrap();
        assert_eq!((bed.calls(), session.id()), (vec!["load"], Some(handle.id())), "the load is that of `is_live`");
    }
}

#[tokio::test]
async fn what_keeps_a_login_from_being_committed_is_the_answer() {
    let policy = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let bed = Bed::new(policy);
    testing::log_in(&bed.manager, Login::new(user("alice"))).await.unwrap();
    let session = bed.manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(user("alice"))).unwrap();
    assert_eq!(require_user(&bed.manager, &session).await.unwrap_err(), RejectionKind::LimitReached);
}
