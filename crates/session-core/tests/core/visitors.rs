//! Visitors: how many there may be, whom their end concerns, and who may begin a session.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use session_conformance::ReferenceStore;
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::{
    Clock, Error, Event, EventKind, Key, Login, Policy, PolicyError, RequestContext, SessionManager, Termination,
    Timestamp, UserId, VisitorDecision, VisitorGate, VisitorLimit,
};
use tokio::sync::broadcast::{self, Receiver};

const CART: Key<u32> = Key::new("cart");

fn manager(max: u32, gate: Option<Counting>) -> (SessionManager, Receiver<Event>) {
    let (events, received) = broadcast::channel(1024);
    let policy = Policy::standard().to_builder().max_visitors(max).build().unwrap();
    let builder = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(policy).observer(events);
    (gate.into_iter().fold(builder, |builder, gate| builder.visitor_gate(gate)).build(), received)
}

async fn visit(manager: &SessionManager) -> Result<(), Error> {
    let session = manager.open(&PresentedCookie::Nothing).await?;
    session.insert(CART, &1)?;
    manager.commit(&session).await
}

fn evicted(events: &mut Receiver<Event>) -> Vec<Option<UserId>> {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    events.filter(|event| event.kind == EventKind::Terminated(Termination::Evicted)).map(|event| event.user).collect()
}

#[test]
fn each_preset_has_a_limit_and_one_out_of_range_is_refused() {
    assert_eq!(Policy::standard().visitor_limit().max().get(), 100_000);
    assert_eq!(Policy::high_assurance().visitor_limit().max().get(), 100_000);
    assert_eq!(Policy::consumer().visitor_limit().max().get(), 1_000_000);
    for max in [0, VisitorLimit::HARD_CAP + 1] {
        assert_eq!(Policy::standard().to_builder().max_visitors(max).build().unwrap_err(), PolicyError::Visitors);
    }
}

/// The end of a visitor is an event without a user; a login neither counts nor ends one.
#[tokio::test]
async fn a_flood_ends_visitors_and_no_user() {
    let (manager, mut events) = manager(3, None);
    let alice = UserId::new("alice").unwrap();
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(alice.clone())).unwrap();
    manager.commit(&session).await.unwrap();
    for _ in 0..20 {
        visit(&manager).await.unwrap();
    }
    assert_eq!(evicted(&mut events), vec![None; 17]);
    assert_eq!(manager.list(&alice).await.unwrap().len(), 1);
    assert_eq!(manager.count().await.unwrap().sessions, 4);
}

/// Admits the first visitors only.
#[derive(Debug)]
struct Counting {
    asked: Arc<AtomicUsize>,
    admits: usize,
}

#[async_trait]
impl VisitorGate for Counting {
    async fn admit(&self, _request: Option<&RequestContext>) -> VisitorDecision {
        if self.asked.fetch_add(1, Ordering::Relaxed) < self.admits {
            VisitorDecision::Admit
        } else {
            VisitorDecision::Refuse
        }
    }
}

/// Once for each session that begins: not for reads, for later writes, nor for logins.
#[tokio::test]
async fn the_gate_is_asked_before_the_first_write_of_a_visitor() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (manager, mut events) = manager(100, Some(Counting { asked: Arc::clone(&asked), admits: 1 }));
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    assert_eq!(session.get(CART).unwrap(), None);
    manager.commit(&session).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 0, "a request that only read");
    for value in 1..=3 {
        session.insert(CART, &value).unwrap();
        manager.commit(&session).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "its first write, and later ones");

    let refused = manager.open(&PresentedCookie::Nothing).await.unwrap();
    refused.insert(CART, &1).unwrap();
    assert!(matches!(manager.commit(&refused).await, Err(Error::VisitorRefused)));
    assert_eq!(refused.get(CART).unwrap(), None, "what was not stored is given up");
    assert!(manager.commit(&refused).await.is_ok());
    refused.insert(CART, &1).unwrap();
    refused.login(Login::new(UserId::new("alice").unwrap())).unwrap();
    manager.commit(&refused).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2, "a login is not the gate's concern");
    assert_eq!(manager.count().await.unwrap().sessions, 2);
    let refusals =
        std::iter::from_fn(|| events.try_recv().ok()).filter(|event| event.kind == EventKind::VisitorRefused);
    assert_eq!(refusals.count(), 1);
}

/// A clock that counts how often it is read.
#[derive(Clone, Debug, Default)]
struct CountingClock(Arc<AtomicUsize>);

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_millis(1)
    }
}

#[tokio::test]
async fn a_visitor_without_a_session_costs_no_look_at_the_clock() {
    let clock = CountingClock::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone()).build();
    for reads in [false, true] {
        let request = RequestSession::new(manager.clone(), manager.read_cookie([]));
        if reads {
            assert_eq!(request.session().await.unwrap().get(CART).unwrap(), None);
        }
        request.finish().await.0.unwrap();
        assert_eq!(clock.0.load(Ordering::SeqCst), 0, "reads its session: {reads}");
    }
    visit(&manager).await.unwrap();
    assert!(clock.0.load(Ordering::SeqCst) > 0, "the clock is not the manager's");
}
