//! Regeneration, step-up and login: what becomes of the cookie from before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{Error, Key, Login, ManualClock, Session, StepUp, StoreError, StoreErrorKind};

use crate::bed::{Browser, alice, manager};

const N: Key<u64> = Key::new("n");

/// A copy of the cookie from before is worth nothing after a new token was issued.
#[tokio::test]
async fn with_a_deny_list_a_regeneration_ends_the_old_cookie() {
    for renew in RENEWALS {
        let clock = ManualClock::default();
        let manager = manager(&clock, Some(Arc::new(ReferenceStore::new())));
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        browser.request(|it| it.insert(N, &7)).await.unwrap().unwrap();
        let (mut old, began) = (browser.copy(), browser.request(|it| it.info().unwrap()).await.unwrap());
        clock.advance(Duration::from_secs(60));
        browser.request(renew).await.unwrap().unwrap();
        let now = browser.request(|it| (it.info().unwrap(), it.get(N).unwrap(), it.user())).await.unwrap();
        assert_eq!((now.1, now.2), (Some(7), Some(alice())), "it goes on");
        assert_eq!(now.0.created_at, began.created_at, "and ends when it would have ended");
        assert_ne!(now.0.id, began.id);
        assert_eq!(old.user().await, None);
        // A request that was under way with the old one.
        let mut raced = old.copy();
        assert!(raced.request(renew).await.unwrap().is_err() || raced.user().await.is_none());
    }
}

type Renewal = fn(&Session) -> Result<(), Error>;

const RENEWALS: [Renewal; 2] = [Session::regenerate, |it| it.step_up(StepUp::new(alice()))];

/// Of two requests that renew one cookie, one goes on.
#[tokio::test]
async fn one_cookie_is_regenerated_once() {
    for renew in RENEWALS {
        let manager = manager(&ManualClock::default(), Some(Arc::new(ReferenceStore::new())));
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        let header = format!("__Host-id={}", browser.cookie.unwrap());
        let mut requests = Vec::new();
        for _ in 0..8 {
            let request = RequestSession::new(manager.clone(), manager.read_cookie([header.as_bytes()]));
            renew(request.session().await.unwrap()).unwrap();
            requests.push(request);
        }
        let mut went_on = 0;
        for request in requests {
            let (outcome, headers) = request.finish().await;
            went_on += usize::from(outcome.is_ok());
            assert_eq!(outcome.is_ok(), headers.set_cookie.is_some());
            assert!(matches!(outcome, Ok(()) | Err(Error::Gone)), "{outcome:?}");
        }
        assert_eq!(went_on, 1);
    }
}

/// Nothing takes the place of a cookie that stays good.
#[tokio::test]
async fn without_a_deny_list_regeneration_and_step_up_are_refused() {
    let manager = manager(&ManualClock::default(), None);
    for renew in RENEWALS {
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        let before = browser.cookie.clone();
        let refused = browser.request(renew).await.unwrap().unwrap_err();
        assert!(matches!(refused, Error::NoDenyList), "{refused:?}");
        assert!(refused.to_string().contains("give SessionManager::client_side a deny list"), "{refused}");
        assert_eq!(browser.cookie, before);
        let others = |it: &Session| (it.insert(N, &1), renew(it), it.update(N, |n| *n += 1));
        assert!(matches!(browser.request(others).await.unwrap(), (Ok(()), Err(Error::NoDenyList), Ok(()))));
        assert_eq!(browser.request(|it| it.get(N).unwrap()).await.unwrap(), Some(2), "the rest of the request counts");
        // Where there is no cookie yet, and in a login, none stays behind.
        let together = |it: &Session| it.login(Login::new(alice())).and_then(|()| renew(it));
        Browser::new(&manager).request(together).await.unwrap().unwrap();
        browser.request(together).await.unwrap().unwrap();
        Browser::new(&manager).request(Session::regenerate).await.unwrap().unwrap();
    }
}

/// To log in again is never refused. The cookie from before ends where that is possible.
#[tokio::test]
async fn a_login_of_a_user_who_is_logged_in_ends_the_old_cookie_with_a_deny_list_only() {
    for has_deny_list in [true, false] {
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let manager = manager(&ManualClock::default(), has_deny_list.then_some(store));
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        let mut old = browser.copy();
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        assert_eq!(browser.user().await, Some(alice()));
        assert_eq!(old.user().await.is_none(), has_deny_list);
    }
}

/// What happens to the calls of a deny list that write.
#[derive(Debug, Default)]
struct Weather(AtomicU8);

#[derive(Debug)]
struct Shared(Arc<Weather>);

impl Weather {
    const FINE: u8 = 0;
    const DOWN: u8 = 1;
    const NEXT_REPLY_IS_LOST: u8 = 2;
}

impl Intercept for Shared {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call.written.is_none() {
            return execute.await;
        }
        let failed = Err(StoreError::new(StoreErrorKind::Unavailable, "down"));
        match self.0.0.load(Ordering::SeqCst) {
            Weather::DOWN => failed,
            Weather::NEXT_REPLY_IS_LOST => {
                self.0.0.store(Weather::FINE, Ordering::SeqCst);
                execute.await.and(failed)
            }
            _ => execute.await,
        }
    }
}

/// The old cookie is denied before there is a new one, or stays good.
#[tokio::test]
async fn a_deny_list_that_fails_loses_no_session() {
    for renew in RENEWALS {
        let weather = Arc::new(Weather::default());
        let list: Arc<dyn SessionStore> =
            Arc::new(Intercepted::new(ReferenceStore::new(), Shared(Arc::clone(&weather))));
        let manager = manager(&ManualClock::default(), Some(list));
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        let before = browser.cookie.clone();

        weather.0.store(Weather::DOWN, Ordering::SeqCst);
        assert!(matches!(browser.request(renew).await, Err(Error::Store(_))));
        assert_eq!(browser.cookie, before, "no new cookie");
        weather.0.store(Weather::FINE, Ordering::SeqCst);
        assert_eq!(browser.user().await, Some(alice()), "and the old one is good");

        let mut old = browser.copy();
        weather.0.store(Weather::NEXT_REPLY_IS_LOST, Ordering::SeqCst);
        browser.request(renew).await.unwrap().unwrap();
        assert_ne!(browser.cookie, before);
        assert_eq!((browser.user().await, old.user().await), (Some(alice()), None));
    }
}
