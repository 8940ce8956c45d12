//! The manager with the executable contract as its store: what neither depends on a backend nor shows in a request.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::{Count, Cursor, SessionStore};
use session_core::{
    CookiePolicy, Entropy, EntropyError, Error, Event, EventKind, IssuedRefreshToken, Key, LimitPolicy, Login,
    ManualClock, OsEntropy, PayloadLimit, Persistence, Policy, PresentedToken, Session, SessionManager,
    SessionObserver, Termination, UserId,
};

const N: Key<u64> = Key::new("n");

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

fn manager() -> SessionManager {
    SessionManager::builder(Arc::new(ReferenceStore::new())).clock(ManualClock::default()).build()
}

/// Runs one request; returns the cookie the client then has.
async fn request(manager: &SessionManager, cookie: Option<&str>, act: impl FnOnce(&Session)) -> Option<String> {
    let header = cookie.map(|cookie| format!("__Host-id={cookie}"));
    let presented = CookiePolicy::standard().read(header.as_deref().map(str::as_bytes));
    let request = RequestSession::new(manager.clone(), presented);
    act(request.session().await.unwrap());
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let set = headers.set_cookie?;
    let value = set.expose().split(';').next().unwrap().strip_prefix("__Host-id=").unwrap();
    Some(value.to_owned())
}

#[tokio::test]
async fn a_clone_is_the_same_session_and_its_changes_are_applied_once() {
    let manager = manager();
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.update(N, |n| *n += 1).unwrap();
    let clone = session.clone();
    // Two commits at once of the same intents.
    let (a, b) = tokio::join!(manager.commit(&session), manager.commit(&clone));
    a.unwrap();
    b.unwrap();
    assert_eq!(clone.get(N).unwrap(), Some(1));
    assert_eq!(session.id(), clone.id());
}

#[tokio::test]
async fn several_commits_in_one_request_are_one_session() {
    let manager = manager();
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.insert(N, &1).unwrap();
    manager.commit(&session).await.unwrap();
    let anonymous = session.id().unwrap();
    session.login(Login::new(UserId::new("alice").unwrap()).carry_over(N)).unwrap();
    manager.commit(&session).await.unwrap();
    let authenticated = session.id().unwrap();
    assert_ne!(anonymous, authenticated);
    session.update(N, |n| *n += 1).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!((session.get(N).unwrap(), session.id()), (Some(2), Some(authenticated)));
    session.logout().unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!((session.get(N).unwrap(), session.id(), session.user()), (None, None, None));
}

#[tokio::test]
async fn freshness_ends_at_its_age() {
    let clock = ManualClock::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone()).build();
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(UserId::new("alice").unwrap())).unwrap();
    let age = Duration::from_secs(300);
    assert!(session.is_fresh(age, session_core::Assurance::Aal1));
    clock.advance(age - Duration::from_millis(1));
    assert!(session.is_fresh(age, session_core::Assurance::Aal1));
    clock.advance(Duration::from_millis(1));
    assert!(!session.is_fresh(age, session_core::Assurance::Aal1));
}

#[tokio::test]
async fn a_request_without_anything_to_commit_ends_without_waiting_and_any_other_does_not() {
    let clock = ManualClock::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new()))
        .clock(clock.clone())
        .policy(Policy::standard())
        .build();
    let cookie = request(&manager, None, |session| session.insert(N, &1).unwrap()).await.unwrap();
    let open = || {
        let header = format!("__Host-id={cookie}");
        RequestSession::new(manager.clone(), CookiePolicy::standard().read([header.as_bytes()]))
    };

    let unasked = open().finish_unchanged().unwrap();
    assert!(!unasked.vary_cookie && unasked.set_cookie.is_none());

    let reads = open();
    let session = reads.session().await.unwrap().clone();
    let headers = reads.finish_unchanged().unwrap();
    assert!(headers.vary_cookie && headers.set_cookie.is_none());
    assert!(matches!(session.insert(N, &2), Err(Error::ResponseSent)), "the request is over");

    let writes = open();
    writes.session().await.unwrap().insert(N, &3).unwrap();
    assert!(writes.finish_unchanged().is_none());
    writes.session().await.unwrap().insert(N, &4).unwrap();
    writes.finish().await.0.unwrap();
    request(&manager, Some(&cookie), |session| assert_eq!(session.get(N).unwrap(), Some(4))).await;

    clock.advance(Policy::standard().touch_interval());
    let active = open();
    active.session().await.unwrap();
    assert!(active.finish_unchanged().is_none(), "activity is to be recorded");
    let passive = open();
    passive.session().await.unwrap().set_passive();
    assert!(passive.finish_unchanged().is_some());
}

#[tokio::test]
async fn a_login_and_a_write_draw_random_bytes_once() {
    #[derive(Clone, Debug, Default)]
    struct Counting(Arc<AtomicUsize>);
    impl Entropy for Counting {
        fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            OsEntropy.fill(dest)
        }
    }
    let draws = Counting::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).entropy(draws.clone()).build();
    let alice = UserId::new("alice").unwrap();
    let cookie = request(&manager, None, |session| session.login(Login::new(alice)).unwrap()).await.unwrap();
    assert_eq!(draws.0.swap(0, Ordering::SeqCst), 1, "a login");
    request(&manager, Some(&cookie), |session| session.insert(N, &1).unwrap()).await;
    assert_eq!(draws.0.load(Ordering::SeqCst), 1, "a write");
}

#[tokio::test]
async fn a_session_may_be_as_large_as_the_policy_says_and_no_larger() {
    // A name of one byte, and a text in quotation marks.
    let limit = PayloadLimit { bytes: 1 + 2 + 10, values: 2 };
    let policy = Policy::standard().to_builder().anonymous_payload(limit).build().unwrap();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(policy).build();
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    const A: Key<String> = Key::new("a");
    let refused = session.insert(A, &"x".repeat(11)).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { size: 14, max: 13 }), "{refused:?}");
    session.insert(A, &"x".repeat(10)).unwrap();
    session.insert(A, &String::new()).unwrap();
    session.insert(N, &1).unwrap();
    let refused = session.insert(Key::<u8>::new("b"), &1).unwrap_err();
    assert!(matches!(refused, Error::TooManyValues { count: 3, max: 2 }), "{refused:?}");
    assert_eq!(session.keys(), ["a", "n"]);
}

#[tokio::test]
async fn a_session_over_a_cap_that_was_lowered_may_change_and_shrink_but_not_grow() {
    let store = Arc::new(ReferenceStore::new());
    let manager = |bytes, values| {
        let cap = PayloadLimit { bytes, values };
        let policy = Policy::standard().to_builder().anonymous_payload(cap).build().unwrap();
        SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>).policy(policy).build()
    };
    const A: Key<String> = Key::new("a");
    let fill = |session: &Session| {
        session.insert(A, &"x".repeat(20)).unwrap();
        session.insert(N, &1).unwrap();
    };
    let cookie = request(&manager(100, 2), None, fill).await.unwrap();
    for lowered in [manager(10, 2), manager(100, 1)] {
        let change = |session: &Session| {
            session.insert(A, &"y".repeat(20)).unwrap();
            assert!(session.insert(Key::<u8>::new("b"), &1).is_err());
        };
        request(&lowered, Some(&cookie), change).await;
    }
}

#[tokio::test]
async fn the_policy_decides_whether_a_login_is_remembered() {
    for (policy, unasked, asked) in [
        (Policy::standard(), Persistence::Transient, Persistence::Persistent),
        (Policy::high_assurance(), Persistence::Transient, Persistence::Transient),
        (Policy::consumer(), Persistence::Persistent, Persistence::Persistent),
    ] {
        let manager = SessionManager::new(ReferenceStore::new(), policy);
        let [alice, bob] = ["alice", "bob"].map(|user| Login::new(UserId::new(user).unwrap()));
        for (login, expected) in [(alice, unasked), (bob.remember(), asked)] {
            let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
            session.login(login).unwrap();
            manager.commit(&session).await.unwrap();
            assert_eq!(session.info().unwrap().persistence, expected, "{manager:?}");
        }
    }
}

#[tokio::test]
async fn a_login_takes_the_place_of_its_refresh_token_and_each_step_is_an_event() {
    let events = Events::default();
    let policy = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let builder = SessionManager::builder(Arc::new(ReferenceStore::new()));
    let manager = builder.policy(policy).observer(events.clone()).build();
    let login = || Login::new(UserId::new("alice").unwrap());
    let presented = |issued: &IssuedRefreshToken| {
        let text = issued.token.encode();
        PresentedToken::parse(text.expose().as_bytes()).unwrap()
    };
    let first = manager.issue_refresh_token(login(), None).await.unwrap();
    let verified = manager.verify_refresh_token(&presented(&first)).await.unwrap().unwrap();
    let shown = format!("{first:?} {verified:?}");
    assert_eq!(shown.matches("RefreshToken { session: SessionSummary").count(), 2, "{shown}");
    assert!(!shown.contains(first.token.encode().expose()));
    let second = manager.rotate(verified).await.unwrap().unwrap();
    let third = manager.issue_refresh_token(login(), Some(&presented(&second))).await.unwrap();
    assert!(manager.verify_refresh_token(&presented(&third)).await.unwrap().is_some());
    assert!(manager.verify_refresh_token(&presented(&second)).await.unwrap().is_none());
    let replaced = EventKind::Terminated(Termination::Replaced);
    let expected = [EventKind::LoggedIn, EventKind::Renewed, replaced, EventKind::LoggedIn, EventKind::UnknownToken];
    assert_eq!(*events.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_cursor_of_another_store_is_no_failure() {
    let store = Arc::new(ReferenceStore::new());
    let events = Events::default();
    let manager = SessionManager::builder(store).observer(events.clone()).build();
    request(&manager, None, |session| session.insert(N, &1).unwrap()).await;
    let page = manager.list_all(None, NonZeroU32::MIN).await.unwrap();
    assert_eq!((page.listing.sessions.len(), page.next), (1, None));
    assert_eq!(manager.count().await.unwrap(), Count::exact(1));
    events.0.lock().unwrap().clear();
    let refused = manager.list_all(Some(&Cursor::new("x")), NonZeroU32::MIN).await;
    assert!(matches!(refused, Err(Error::InvalidCursor)), "{refused:?}");
    assert_eq!(*events.0.lock().unwrap(), []);
}

/// A client that lost the answer to its last refresh, and asks too late.
#[tokio::test]
async fn a_used_refresh_token_does_not_hinder_a_login() {
    let clock = ManualClock::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone()).build();
    let login = || Login::new(UserId::new("alice").unwrap());
    let issued = manager.issue_refresh_token(login(), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let verified = manager.verify_refresh_token(&token).await.unwrap().unwrap();
    let _ = manager.rotate(verified).await.unwrap().unwrap();
    clock.advance(manager.policy().refresh_grace() + Duration::from_secs(1));
    assert!(matches!(manager.verify_refresh_token(&token).await, Err(Error::Superseded)));
    let _ = manager.issue_refresh_token(login(), Some(&token)).await.unwrap();
    assert_eq!(
        manager.list(&UserId::new("alice").unwrap()).await.unwrap().len(),
        1,
        "it takes the place of its session"
    );
}

/// It was verified in time, and is rotated too late: the store knows only the looser timeouts.
#[tokio::test]
async fn a_refresh_token_is_not_rotated_after_the_deadline_of_the_policy() {
    let (store, clock): (Arc<dyn SessionStore>, _) = (Arc::new(ReferenceStore::new()), ManualClock::default());
    let manager = |policy| SessionManager::builder(Arc::clone(&store)).policy(policy).clock(clock.clone()).build();
    let (loose, strict) = (manager(Policy::consumer()), manager(Policy::high_assurance()));
    let issued = loose.issue_refresh_token(Login::new(UserId::new("alice").unwrap()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let idle = strict.policy().timeouts(true, Persistence::Transient).idle;
    clock.advance(idle - Duration::from_secs(1));
    let verified = strict.verify_refresh_token(&token).await.unwrap().unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(strict.rotate(verified).await.unwrap().is_none());
}

/// What an application is shown of a session are the timeouts that apply.
#[tokio::test]
async fn a_refresh_token_that_began_under_a_looser_policy_has_the_timeouts_of_this_one() {
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let loose = SessionManager::new(Arc::clone(&store), Policy::consumer());
    let strict = SessionManager::new(store, Policy::high_assurance());
    let issued = loose.issue_refresh_token(Login::new(UserId::new("alice").unwrap()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let expected = strict.policy().timeouts(true, Persistence::Transient);
    assert!(issued.session.timeouts.absolute > expected.absolute);
    let verified = strict.verify_refresh_token(&token).await.unwrap().unwrap();
    assert_eq!(verified.session().timeouts, expected);
    assert_eq!(strict.rotate(verified).await.unwrap().unwrap().session.timeouts, expected);
}
