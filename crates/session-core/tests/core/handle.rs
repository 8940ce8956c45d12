//! Sockets, streams and jobs: a session after its response was sent.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Error, Event, EventKind, Key, Login, ManualClock, Persistence, Policy, Session, SessionHandle, SessionManager,
    SessionObserver, StepUp, Termination, UserId,
};
use tokio::time::timeout;

const N: Key<u64> = Key::new("n");
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default)]
struct Alarms(Arc<AtomicU64>, Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Alarms {
    fn on_event(&self, event: &Event) {
        if matches!(event.kind, EventKind::TokenReuse | EventKind::Terminated(Termination::Reuse)) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        self.1.lock().unwrap().push(event.kind.clone());
    }
}

#[derive(Clone)]
struct Node {
    manager: SessionManager,
    clock: ManualClock,
    alarms: Alarms,
}

impl Node {
    fn over(store: &Arc<dyn SessionStore>, clock: &ManualClock, policy: Policy) -> Self {
        let alarms = Alarms::default();
        let builder = SessionManager::builder(Arc::clone(store)).policy(policy).clock(clock.clone());
        Self { manager: builder.observer(alarms.clone()).build(), clock: clock.clone(), alarms }
    }

    fn new(policy: Policy) -> Self {
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        Self::over(&store, &ManualClock::default(), policy)
    }

    async fn request<T>(
        &self,
        cookie: &mut String,
        act: impl FnOnce(&SessionManager, &Session) -> T,
    ) -> Result<T, Error> {
        let presented = self.manager.read_cookie([cookie.as_bytes()]);
        let request = RequestSession::new(self.manager.clone(), presented);
        let answer = act(&self.manager, request.session().await?);
        let (outcome, headers) = request.finish().await;
        if let Some(set) = headers.set_cookie {
            *cookie = set.expose().split(';').next().unwrap().to_owned();
        }
        outcome.map(|()| answer)
    }

    /// Alice's cookie, and the handle of a socket of hers.
    async fn login(&self) -> (String, SessionHandle) {
        let mut cookie = String::new();
        let login = Login::new(UserId::new("alice").unwrap());
        self.request(&mut cookie, |_, session| session.login(login).unwrap()).await.unwrap();
        let handle = self.request(&mut cookie, |manager, session| manager.handle(session)).await.unwrap().unwrap();
        (cookie, handle)
    }

    async fn user(&self, cookie: &mut String) -> Option<UserId> {
        self.request(cookie, |_, session| session.user()).await.unwrap()
    }
}

async fn message(handle: &SessionHandle) -> Result<Option<u64>, Error> {
    let session = handle.open().await?;
    session.update(N, |n| *n += 1)?;
    handle.commit(&session).await?;
    session.get(N)
}

/// The 26 hours are longer than any absolute timeout but a shop's, and than any renewal timeout.
#[tokio::test]
async fn a_socket_in_use_keeps_its_user_logged_in_and_raises_no_alarm() {
    for policy in [Policy::standard(), Policy::high_assurance(), Policy::consumer()] {
        for page_every in [7, 45, u64::MAX] {
            let node = Node::new(policy.clone());
            let (mut cookie, handle) = node.login().await;
            let absolute = policy.timeouts(true, Persistence::Transient).absolute;
            let began = node.manager.now();
            for minute in 1..=26 * 60 {
                node.clock.advance(MINUTE);
                let is_over = node.manager.now() >= began + absolute;
                if minute % 3 == 0 {
                    assert_eq!(message(&handle).await.is_ok(), !is_over, "message, minute {minute}");
                }
                if minute % page_every == 0 {
                    assert_eq!(node.user(&mut cookie).await.is_some(), !is_over, "page, minute {minute}");
                }
                if is_over {
                    break;
                }
            }
            let is_over = node.manager.now() >= began + absolute;
            assert_eq!(handle.is_live().await.unwrap(), !is_over);
            assert_eq!(node.user(&mut cookie).await.is_some(), !is_over, "the browser, at the end");
            assert_eq!(node.alarms.0.load(Ordering::SeqCst), 0, "theft alarms");
        }
    }
}

/// A socket whose token was renewed meanwhile, again and again, is no thief.
#[tokio::test]
async fn a_handle_does_not_depend_on_the_token_of_its_request() {
    let node = Node::new(Policy::standard());
    let (mut cookie, handle) = node.login().await;
    for round in 1..=5 {
        node.request(&mut cookie, |_, session| session.step_up(StepUp::new(UserId::new("alice").unwrap())).unwrap())
            .await
            .unwrap();
        assert_eq!(message(&handle).await.unwrap(), Some(round));
    }
    assert_eq!(node.alarms.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn it_changes_values_and_needs_no_answer() {
    let node = Node::new(Policy::standard());
    let (mut cookie, handle) = node.login().await;
    let session = handle.open().await.unwrap();
    session.insert(N, &7).unwrap();
    let login = Login::new(UserId::new("mallory").unwrap());
    assert!(matches!(session.login(login), Err(Error::ResponseSent)));
    assert!(matches!(session.step_up(StepUp::new(UserId::new("alice").unwrap())), Err(Error::ResponseSent)));
    assert!(matches!(session.regenerate(), Err(Error::ResponseSent)));
    handle.commit(&session).await.unwrap();
    assert_eq!(node.request(&mut cookie, |_, session| session.get(N).unwrap()).await.unwrap(), Some(7));

    // A passive one keeps no session alive.
    node.clock.advance(29 * MINUTE);
    let session = handle.open().await.unwrap();
    session.set_passive();
    handle.commit(&session).await.unwrap();
    node.clock.advance(MINUTE);
    assert!(matches!(handle.open().await, Err(Error::Gone)));
    assert!(matches!(handle.touch().await, Err(Error::Gone)));

    let mut visitor = String::new();
    assert!(node.request(&mut visitor, |manager, session| manager.handle(session)).await.unwrap().is_none());
}

#[tokio::test]
async fn concurrent_messages_and_pages_lose_nothing() {
    let node = Node::new(Policy::standard());
    let (cookie, handle) = node.login().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let (node, handle, mut cookie) = (node.clone(), handle.clone(), cookie.clone());
        tasks.spawn(async move {
            if task % 2 == 0 {
                message(&handle).await.map(drop)
            } else {
                node.request(&mut cookie, |_, session| session.update(N, |n| *n += 1).unwrap()).await
            }
        });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(handle.open().await.unwrap().get(N).unwrap(), Some(20));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_known_wherever_it_happened() {
    let (store, clock): (Arc<dyn SessionStore>, _) = (Arc::new(ReferenceStore::new()), ManualClock::default());
    let [here, elsewhere] = [(); 2].map(|()| Node::over(&store, &clock, Policy::standard()));
    let alice = UserId::new("alice").unwrap();
    for end in ["logout here", "logout elsewhere", "revoked", "idle", "another login", "ended before"] {
        let (mut cookie, handle) = here.login().await;
        if end == "ended before" {
            let _ = elsewhere.manager.revoke(&alice, &handle.id()).await.unwrap();
        }
        let sockets: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let handle = handle.clone();
                    async move { handle.ended().await }
                })
            })
            .collect();
        if end != "ended before" {
            assert!(timeout(Duration::from_secs(30), handle.ended()).await.is_err(), "it is alive");
        }
        match end {
            "logout here" => here.request(&mut cookie, |_, session| session.logout().unwrap()).await.unwrap(),
            "logout elsewhere" => elsewhere.request(&mut cookie, |_, session| session.logout().unwrap()).await.unwrap(),
            "revoked" => drop(elsewhere.manager.revoke_all(&alice).await.unwrap()),
            "idle" => clock.advance(30 * MINUTE),
            "another login" => {
                let login = Login::new(alice.clone());
                elsewhere.request(&mut cookie, |_, session| session.login(login).unwrap()).await.unwrap();
            }
            _ => {}
        }
        timeout(Duration::from_millis(1100), handle.ended()).await.unwrap_or_else(|_| panic!("{end}"));
        for socket in sockets {
            timeout(Duration::from_millis(1), socket).await.unwrap_or_else(|_| panic!("{end}")).unwrap();
        }
        assert!(!handle.is_live().await.unwrap());
    }
}

/// Nobody would get the token of a session that begins in a socket.
#[tokio::test]
async fn no_session_begins_in_a_handle() {
    for ends_itself in [true, false] {
        let node = Node::new(Policy::standard());
        let (mut cookie, handle) = node.login().await;
        let session = handle.open().await.unwrap();
        if ends_itself {
            session.logout().unwrap();
            session.insert(N, &1).unwrap();
        } else {
            node.request(&mut cookie, |_, session| session.logout().unwrap()).await.unwrap();
            session.insert(N, &1).unwrap();
        }
        assert!(matches!(handle.commit(&session).await, Err(Error::Gone)), "{ends_itself}");
        let login = Login::new(UserId::new("alice").unwrap());
        assert!(matches!(session.login(login), Err(Error::ResponseSent)));
        let _ = session.insert(N, &2);
        assert!(matches!(handle.commit(&session).await, Err(Error::Gone)));
        let left = if ends_itself { 1 } else { 0 };
        assert_eq!(node.manager.count().await.unwrap().sessions, left, "what was there, and nothing new");
    }
}
