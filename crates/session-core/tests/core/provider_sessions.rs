//! OpenID Connect back-channel logout: the sessions that began in a session of the provider end with it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use crate::plain::Plain;
use bytes::Bytes;
use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::{Freshness, SessionStore, UpdateOutcome, Version};
use session_core::{
    Clock as _, Error, Key, Login, ManualClock, OsEntropy, Policy, PresentedToken, Renewal, Session, SessionManager,
    StepUp, StoreErrorKind, UserId,
};

const N: Key<u64> = Key::new("n");
const ISSUER: &str = "https://login.example";

/// What a request does.
type Act = fn(&Session) -> Result<(), Error>;

#[derive(Clone)]
struct Site {
    store: Arc<ReferenceStore>,
    manager: SessionManager,
    clock: ManualClock,
}

impl Site {
    fn new() -> Self {
        Self::with(Policy::standard())
    }

    fn with(policy: Policy) -> Self {
        let (store, clock) = (Arc::new(ReferenceStore::new()), ManualClock::default());
        let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
        Self { store, manager: builder.policy(policy).clock(clock.clone()).build(), clock }
    }

    /// Returns the cookie that the browser has afterwards.
    async fn request(&self, cookie: Option<&str>, act: impl FnOnce(&Session) -> Result<(), Error>) -> Option<String> {
        let presented = self.manager.read_cookie(cookie.map(str::as_bytes));
        let request = RequestSession::new(self.manager.clone(), presented);
        act(request.session().await.unwrap()).unwrap();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        let set = headers.set_cookie.map(|cookie| cookie.expose().split(';').next().unwrap().to_owned());
        set.or(cookie.map(str::to_owned))
    }

    async fn login(&self, login: Login) -> String {
        self.request(None, |session| session.login(login)).await.unwrap()
    }

    async fn user(&self, cookie: &str) -> Option<UserId> {
        let mut user = None;
        self.request(Some(cookie), |session| {
            user = session.user();
            Ok(())
        })
        .await;
        user
    }

    async fn revoke(&self, name: &str, issuer: &str, sid: &str) -> usize {
        self.manager.revoke_provider_session(&user(name), issuer, sid).await.unwrap()
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn from(name: &str, sid: &str) -> Login {
    Login::new(user(name)).provider_session(ISSUER, sid)
}

#[tokio::test]
async fn the_sessions_that_began_in_it_end_and_no_others() {
    let site = Site::new();
    let (one, two) = (site.login(from("alice", "1")).await, site.login(from("alice", "1")).await);
    let app = site.manager.issue_refresh_token(from("alice", "1"), None).await.unwrap();
    let app = PresentedToken::parse(app.token.encode().expose().as_bytes()).unwrap();
    let others = [
        site.login(from("alice", "2")).await,
        site.login(Login::new(user("alice"))).await,
        site.login(Login::new(user("alice")).provider_session("https://other.example", "1")).await,
        site.login(Login::new(user("alice")).provider_session("https://login.example1", "")).await,
        site.login(Login::new(user("alice")).provider_session("https://login.exampl", "e1")).await,
        site.login(from("bob", "1")).await,
    ];
    assert_eq!(site.revoke("alice", ISSUER, "3").await, 0);
    assert_eq!(site.revoke("alice", "https://login.example/", "1").await, 0);
    assert_eq!(site.revoke("carol", ISSUER, "1").await, 0);
    assert_eq!(site.revoke("alice", ISSUER, "1").await, 3);
    for ended in [&one, &two] {
        assert_eq!(site.user(ended).await, None);
    }
    assert!(site.manager.verify_refresh_token(&app).await.unwrap().is_none());
    for other in &others {
        assert!(site.user(other).await.is_some());
    }
    assert_eq!(site.revoke("alice", ISSUER, "1").await, 0, "again");
    // `sub` alone.
    assert_eq!(site.manager.revoke_all(&user("alice")).await.unwrap(), 5);
    assert_eq!(site.user(&others[5]).await, Some(user("bob")));
}

/// The same session, whatever becomes of it.
#[tokio::test]
async fn it_outlives_everything_but_the_next_login() {
    let renewal = Renewal { timeout: Duration::from_secs(900), grace: Duration::from_secs(10) };
    let policy = Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap();
    let steps: [(&str, Act); 7] = [
        ("a write", |it| it.insert(N, &1)),
        ("a renewal", |_| Ok(())),
        ("a step-up", |it| it.step_up(StepUp::new(user("alice")))),
        ("a regeneration", Session::regenerate),
        ("a change in place", |it| it.update(N, |n| *n += 1)),
        ("the end of all values", Session::clear),
        ("a removal", |it| it.remove(N)),
    ];
    for last in 0..steps.len() {
        let site = Site::with(policy.clone());
        let mut cookie = site.login(from("alice", "1")).await;
        for (_, act) in &steps[..=last] {
            site.clock.advance(Duration::from_secs(900));
            cookie = site.request(Some(&cookie), act).await.unwrap();
        }
        assert_eq!(site.user(&cookie).await, Some(user("alice")));
        assert_eq!(site.revoke("alice", ISSUER, "1").await, 1, "after {}", steps[last].0);
        assert_eq!(site.user(&cookie).await, None);
    }

    // A login says it anew: of the same user, or of another.
    for name in ["alice", "bob"] {
        for again in [Login::new(user(name)).carry_over(N), from(name, "2").carry_over(N)] {
            let site = Site::new();
            let cookie = site.login(from("alice", "1")).await;
            let cookie = site.request(Some(&cookie), |session| session.login(again)).await.unwrap();
            assert_eq!((site.revoke("alice", ISSUER, "1").await, site.revoke("bob", ISSUER, "1").await), (0, 0));
            assert_eq!(site.user(&cookie).await, Some(user(name)));
        }
    }

    // And so does a refresh keep it.
    let site = Site::new();
    let issued = site.manager.issue_refresh_token(from("alice", "1"), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    for _ in 0..2 {
        let verified = site.manager.verify_refresh_token(&token).await.unwrap().unwrap();
        assert!(site.manager.rotate(verified).await.unwrap().is_some());
    }
    assert_eq!(site.revoke("alice", ISSUER, "1").await, 1);
}

/// It is no value of the application: neither seen, nor counted, nor in the way.
#[tokio::test]
async fn an_application_sees_nothing_of_it() {
    let site = Site::with(Policy::standard().to_builder().payload(cap(1)).build().unwrap());
    let cookie = site.login(from("alice", "1")).await;
    let cookie = site
        .request(Some(&cookie), |session| {
            assert_eq!(session.keys(), [""; 0]);
            // All that the cap allows.
            session.insert(N, &1)?;
            assert_eq!(session.keys(), ["n"]);
            assert!(session.insert(Key::new("m"), &2).is_err());
            Ok(())
        })
        .await
        .unwrap();
    site.request(Some(&cookie), |session| {
        session.clear()?;
        assert_eq!(session.keys(), [""; 0]);
        Ok(())
    })
    .await;
    // After a logout there is none, and so nothing to store.
    let cookie = site.request(Some(&cookie), Session::logout).await.unwrap();
    assert_eq!(site.manager.count().await.unwrap().sessions, 0, "{cookie}");
}

fn cap(values: usize) -> session_core::PayloadLimit {
    session_core::PayloadLimit { bytes: 2, values }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_keeps_no_other_session_alive() {
    let site = Site::new();
    let odd = site.login(from("alice", "1")).await;
    let id = site.manager.list(&user("alice")).await.unwrap()[0].id;
    let cookies = [site.login(from("alice", "1")).await, site.login(from("alice", "1")).await];
    let mut record = site.store.load(&id, Freshness::Latest).await.unwrap().unwrap();
    let expected = record.version;
    record.data.insert(Bytes::from_static(&[0x82]), Bytes::from_static(b"15 bytes, not16"));
    record.version = Version { number: expected.number + 1, ..Version::first(&OsEntropy).unwrap() };
    assert_eq!(site.store.update(&record, expected, site.clock.now()).await.unwrap(), UpdateOutcome::Applied);
    let answer = site.manager.revoke_provider_session(&user("alice"), ISSUER, "1").await;
    assert!(matches!(answer, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt));
    for cookie in &cookies {
        assert_eq!(site.user(cookie).await, None);
    }
    assert!(site.user(&odd).await.is_some(), "nobody knows whether it is one of them");
    assert_eq!(site.manager.revoke_all(&user("alice")).await.unwrap(), 1);
}

/// A request that was under way writes nothing any more, and a login that comes later is another session, as the documentation
/// says.
#[tokio::test]
async fn what_was_under_way_does_not_bring_it_back() {
    let site = Site::new();
    let cookie = site.login(from("alice", "1")).await;
    let token = site.manager.issue_refresh_token(from("alice", "1"), None).await.unwrap().token;
    let token = PresentedToken::parse(token.encode().expose().as_bytes()).unwrap();
    let verified = site.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    let acts: [Act; 2] = [|it| it.insert(N, &1), Session::regenerate];
    let mut slow = Vec::new();
    for act in acts {
        let request = RequestSession::new(site.manager.clone(), site.manager.read_cookie([cookie.as_bytes()]));
        act(request.session().await.unwrap()).unwrap();
        slow.push(request);
    }
    let login = RequestSession::new(site.manager.clone(), site.manager.read_cookie([]));
    login.session().await.unwrap().login(from("alice", "1")).unwrap();
    assert_eq!(site.revoke("alice", ISSUER, "1").await, 2);
    for request in slow {
        assert!(matches!(request.finish().await.0, Err(Error::Gone)));
    }
    assert!(site.manager.rotate(verified).await.unwrap().is_none());
    assert_eq!(site.manager.count().await.unwrap().sessions, 0);
    login.finish().await.0.unwrap();
    assert_eq!(site.revoke("alice", ISSUER, "1").await, 1);
}

/// Nobody can list them, so none is said to have ended.
#[tokio::test]
async fn client_side_sessions_cannot_be_found() {
    for deny_list in [None, Some(Arc::new(ReferenceStore::new()) as Arc<dyn SessionStore>)] {
        let manager = SessionManager::client_side(Plain, deny_list).build();
        let answer = manager.revoke_provider_session(&user("alice"), ISSUER, "1").await;
        assert!(matches!(answer, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported));
    }
}
