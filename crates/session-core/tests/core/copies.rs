//! What a copy of a session may say, and what only the store may.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::{Freshness, Record};
use session_core::{Error, Key, Login, ManualClock, Policy, Renewal, Session, SessionManager, StoreError, UserId};

/// Answers with a copy where that will do.
#[derive(Debug, Default)]
struct Copying {
    copy: Mutex<Option<Record>>,
    loads: Mutex<Vec<Freshness>>,
}

impl Intercept for Copying {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.loads.lock().unwrap().extend(call.freshness);
        execute.await
    }

    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        let is_latest = self.loads.lock().unwrap().last() == Some(&Freshness::Latest);
        let copy = self.copy.lock().unwrap().clone();
        copy.filter(|_| !is_latest).map(|copy| Record { is_copy: true, ..copy }).or(record)
    }
}

struct Site {
    store: Arc<Intercepted<Copying>>,
    manager: SessionManager,
    clock: ManualClock,
    cookies: String,
}

impl Site {
    /// With alice logged in, and a copy of her session.
    async fn new() -> Self {
        Self::of(Policy::standard()).await
    }

    async fn of(policy: Policy) -> Self {
        let store = Arc::new(Intercepted::new(ReferenceStore::new(), Copying::default()));
        let clock = ManualClock::default();
        let manager = SessionManager::builder(Arc::clone(&store) as _).policy(policy).clock(clock.clone());
        let mut site = Self { store, manager: manager.build(), clock, cookies: String::new() };
        site.request(|session| session.login(Login::new(alice())).unwrap()).await;
        site.copy().await;
        site
    }

    async fn request(&mut self, act: impl FnOnce(&Session)) {
        let request = RequestSession::new(self.manager.clone(), self.presented());
        act(request.session().await.unwrap());
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        if let Some(cookie) = headers.set_cookie {
            self.cookies = cookie.expose().split(';').next().unwrap().to_owned();
        }
    }

    fn presented(&self) -> PresentedCookie {
        self.manager.read_cookie([self.cookies.as_bytes()])
    }

    /// The copy is as new as the session.
    async fn copy(&self) {
        *self.store.hook().copy.lock().unwrap() = None;
        let id = self.manager.open(&self.presented()).await.unwrap().id().unwrap();
        let record = self.store.store().load(&id, Freshness::Latest).await.unwrap();
        *self.store.hook().copy.lock().unwrap() = record;
        self.loads();
    }

    async fn user(&self) -> Option<UserId> {
        self.manager.open(&self.presented()).await.unwrap().user()
    }

    fn loads(&self) -> Vec<Freshness> {
        std::mem::take(&mut self.store.hook().loads.lock().unwrap())
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

const ASKED: [Freshness; 2] = [Freshness::Cached, Freshness::Latest];

#[tokio::test]
async fn a_copy_may_say_that_the_session_is_alive() {
    let site = Site::new().await;
    assert_eq!(site.user().await, Some(alice()));
    assert_eq!(site.loads(), [Freshness::Cached]);
    let id = site.store.hook().copy.lock().unwrap().as_ref().unwrap().id();
    let found = site.manager.find(&id, &alice(), Freshness::Cached).await.unwrap();
    assert_eq!((found.map(|session| session.id), site.loads()), (Some(id), vec![Freshness::Cached]));
}

#[tokio::test]
async fn that_it_expired_or_is_another_users_only_the_store_may_say() {
    let mut site = Site::new().await;
    let id = site.store.hook().copy.lock().unwrap().as_ref().unwrap().id();
    let bob = UserId::new("bob").unwrap();
    assert!(site.manager.find(&id, &bob, Freshness::Cached).await.unwrap().is_none());
    assert_eq!(site.loads(), ASKED);
    // Used by others, of which the copy knows nothing.
    for _ in 0..2 {
        site.clock.advance(Duration::from_secs(20 * 60));
        site.store.store().touch(&id, Some(&alice()), site.manager.now()).await.map(drop).unwrap();
    }
    assert_eq!(site.user().await, Some(alice()));
    assert_eq!(site.loads(), ASKED);
    assert!(site.manager.find(&id, &alice(), Freshness::Cached).await.unwrap().is_some());
    assert_eq!(site.loads(), ASKED);
    site.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(site.user().await, None);
    site.request(|_| ()).await;
}

#[tokio::test]
async fn that_a_token_is_not_the_sessions_only_the_store_may_say() {
    let mut site = Site::new().await;
    let other = site.cookies.clone();
    site.request(|session| session.regenerate().unwrap()).await;
    site.loads();
    assert_eq!(site.user().await, Some(alice()), "the copy does not know this token yet");
    assert_eq!(site.loads(), ASKED);
    // Two of one session, one of which was made up.
    let made_up = format!("{}{}", &other[..other.len() - 1], if other.ends_with('A') { "B" } else { "A" });
    site.cookies = format!("{}; {made_up}", site.cookies);
    assert_eq!(site.user().await, Some(alice()));
    assert_eq!(site.loads(), ASKED);
    site.cookies = made_up;
    assert_eq!(site.user().await, None);
    assert_eq!(site.loads(), ASKED);
}

/// One request writes what another one, of another node, has just changed; the copy is from before that.
#[tokio::test]
async fn that_a_value_is_so_already_only_the_store_may_say() {
    const THEME: Key<String> = Key::new("theme");
    type Write = fn(&Session) -> Result<(), Error>;
    let writes: [(Write, Option<&str>); 4] = [
        (|session| session.insert(THEME, &"dark".to_owned()), Some("dark")),
        (|session| session.update(THEME, |theme| *theme = "dark".to_owned()), Some("dark")),
        (|session| session.remove(THEME), None),
        (Session::clear, None),
    ];
    for (write, wanted) in writes {
        let mut site = Site::new().await;
        if let Some(wanted) = wanted {
            site.request(|session| session.insert(THEME, &wanted.to_owned()).unwrap()).await;
        }
        site.copy().await;
        let copy = site.store.hook().copy.lock().unwrap().take();
        site.request(|session| session.insert(THEME, &"light".to_owned()).unwrap()).await;
        site.store.hook().copy.lock().unwrap().clone_from(&copy);
        site.loads();
        site.request(|session| write(session).unwrap()).await;
        assert_eq!(site.loads(), ASKED);
        *site.store.hook().copy.lock().unwrap() = None;
        assert_eq!(site.manager.open(&site.presented()).await.unwrap().get(THEME).unwrap().as_deref(), wanted);
        // So it is now, and then nothing is written.
        site.copy().await;
        let version = |site: &Site| site.store.hook().copy.lock().unwrap().as_ref().unwrap().version;
        let before = version(&site);
        site.request(|session| write(session).unwrap()).await;
        assert_eq!(site.loads(), ASKED);
        site.copy().await;
        assert_eq!(version(&site), before);
    }
}

/// A stolen token whose successor has long been used, on a node that has not heard of that.
#[tokio::test]
async fn that_an_old_token_was_still_accepted_only_the_store_may_say() {
    const THEME: Key<String> = Key::new("theme");
    let minute = Duration::from_secs(60);
    let renewal = Renewal { timeout: 5 * minute, grace: minute };
    let mut site = Site::of(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap()).await;
    let old = site.cookies.clone();
    site.clock.advance(6 * minute);
    site.request(|session| assert!(session.user().is_some())).await;
    assert_ne!(site.cookies, old, "it was renewed");
    site.request(|session| assert!(session.user().is_some())).await;
    site.clock.advance(5 * minute);
    let new = std::mem::replace(&mut site.cookies, old);
    let request = RequestSession::new(site.manager.clone(), site.presented());
    let session = request.session().await.unwrap();
    assert_eq!(session.user(), Some(alice()), "by the copy");
    session.insert(THEME, &"dark".to_owned()).unwrap();
    assert!(request.finish().await.0.is_err());
    site.cookies = new;
    *site.store.hook().copy.lock().unwrap() = None;
    assert_eq!(site.manager.open(&site.presented()).await.unwrap().get(THEME).unwrap(), None);
}
