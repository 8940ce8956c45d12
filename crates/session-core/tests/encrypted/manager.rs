//! What an application notices of it: nothing, until a key is missing.

use std::sync::Arc;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::{EncryptedStore, Freshness, SessionStore};
use session_core::{Error, Key, Login, Policy, Session, SessionManager, StoreErrorKind, UserId};

use crate::{key, ring};

const NOTE: Key<String> = Key::new("note");

/// One browser, whichever server it meets.
#[derive(Default)]
struct Browser {
    cookie: String,
}

impl Browser {
    async fn request<T>(&mut self, server: &SessionManager, act: impl FnOnce(&Session) -> T) -> Result<T, Error> {
        let request = RequestSession::new(server.clone(), server.read_cookie([self.cookie.as_bytes()]));
        let answer = act(request.session().await?);
        let (outcome, headers) = request.finish().await;
        if let Some(set) = headers.set_cookie {
            self.cookie = set.expose().split(';').next().unwrap().to_owned();
        }
        outcome.map(|()| answer)
    }
}

fn login() -> Login {
    Login::new(UserId::new("alice").unwrap()).carry_over(NOTE)
}

#[tokio::test]
async fn without_its_key_a_session_is_unreadable_and_its_client_can_log_in_and_out() {
    let inner = Arc::new(ReferenceStore::new());
    let (old, new) = (key(), key());
    let server = |keys| SessionManager::new(EncryptedStore::new(Arc::clone(&inner), &keys), Policy::standard());
    let (before, after) = (server(ring(&[&old])), server(ring(&[&new])));
    for logs_out in [true, false] {
        let mut browser = Browser::default();
        browser.request(&before, |it| it.insert(NOTE, &"a".to_owned())).await.unwrap().unwrap();
        browser.request(&before, |it| it.login(login())).await.unwrap().unwrap();
        assert_eq!(browser.request(&before, |it| it.get(NOTE)).await.unwrap().unwrap(), Some("a".to_owned()));
        let id = browser.request(&before, Session::id).await.unwrap().unwrap();
        let stored = inner.load(&id, Freshness::Latest).await.unwrap().unwrap().encode().unwrap();

        let cookie = browser.cookie.clone();
        assert_eq!(browser.request(&after, Session::user).await.unwrap(), None);
        let refused = browser.request(&after, |it| it.insert(NOTE, &"b".to_owned())).await.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Store(error) if error.kind() == StoreErrorKind::Corrupt));
        assert_eq!(browser.cookie, cookie, "the cookie stays");
        let left = inner.load(&id, Freshness::Latest).await.unwrap().unwrap().encode().unwrap();
        assert_eq!(left, stored, "and so does the record");
        assert_eq!(browser.request(&before, |it| it.get(NOTE)).await.unwrap().unwrap(), Some("a".to_owned()));

        if logs_out {
            browser.request(&after, Session::logout).await.unwrap().unwrap();
            assert_eq!(browser.cookie, "__Host-id=");
        } else {
            browser.request(&after, |it| it.login(login())).await.unwrap().unwrap();
            let found = browser.request(&after, |it| (it.user(), it.get(NOTE).unwrap())).await.unwrap();
            assert_eq!(found, (UserId::new("alice").ok(), None));
        }
        // It is listed, and can be revoked.
        let alice = UserId::new("alice").unwrap();
        assert!(after.list(&alice).await.unwrap().iter().any(|session| session.id == id));
        assert!(after.revoke_all(&alice).await.unwrap() > 0);
    }
}

/// They count what the application stores.
#[tokio::test]
async fn limits_on_values_mean_what_they_say() {
    let store = EncryptedStore::new(ReferenceStore::new(), &ring(&[&key()]));
    let manager = SessionManager::new(store, Policy::standard());
    let cap = manager.policy().payload(true);
    let mut browser = Browser::default();
    browser.request(&manager, |it| it.login(login())).await.unwrap().unwrap();
    let text = "x".repeat(cap.bytes - "note".len() - 2);
    browser.request(&manager, |it| it.insert(NOTE, &text)).await.unwrap().unwrap();
    let refused = browser.request(&manager, |it| it.insert(NOTE, &(text.clone() + "x"))).await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::TooLarge { size, max } if size == cap.bytes + 1 && max == cap.bytes));
    assert_eq!(browser.request(&manager, |it| it.keys()).await.unwrap(), ["note"]);
    browser.request(&manager, Session::clear).await.unwrap().unwrap();
    let values =
        |it: &Session| (0..=cap.values).map(|n| it.insert(Key::dynamic(format!("k{n}")).unwrap(), &n)).collect();
    let outcomes: Vec<Result<(), Error>> = browser.request(&manager, values).await.unwrap();
    assert!(outcomes[..cap.values].iter().all(Result::is_ok));
    assert!(matches!(outcomes[cap.values], Err(Error::TooManyValues { .. })));
    assert_eq!(browser.request(&manager, |it| it.keys().len()).await.unwrap(), cap.values);
}

/// A shared store is one, and so is one of any kind.
#[tokio::test]
async fn any_store_can_be_inside() {
    let inner: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let store: Arc<dyn SessionStore> = Arc::new(EncryptedStore::new(Arc::clone(&inner), &ring(&[&key()])));
    assert_eq!(store.name(), inner.name());
    let manager = SessionManager::builder(store).build();
    let mut browser = Browser::default();
    browser.request(&manager, |it| it.insert(NOTE, &"a".to_owned())).await.unwrap().unwrap();
    assert_eq!(browser.request(&manager, |it| it.get(NOTE)).await.unwrap().unwrap(), Some("a".to_owned()));
}
