//! Revocation under a policy that was tightened: what it counts and reports is what lived.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::PresentedCookie;
use session_core::store::SessionStore;
use session_core::{
    Clock as _, DeleteOutcome, Event, EventKind, Key, Login, ManualClock, Policy, PolicyBuilder, SessionId,
    SessionManager, Termination, UserId,
};
use tokio::sync::broadcast::{self, Receiver};

const MINUTE: Duration = Duration::from_secs(60);

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

async fn log_in(manager: &SessionManager) -> SessionId {
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(alice())).unwrap();
    manager.commit(&session).await.unwrap();
    session.id().unwrap()
}

/// The sessions that were reported as revoked, sorted. Nothing else was reported.
fn revoked(events: &mut Receiver<Event>) -> Vec<SessionId> {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    let mut ids: Vec<SessionId> = events
        .map(|event| {
            assert_eq!((event.kind, event.user), (EventKind::Terminated(Termination::Revoked), Some(alice())));
            event.session.unwrap()
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// Two sessions, ten minutes later two more, then the policy becomes one under which the first two are dead.
async fn under(tighten: impl Fn(PolicyBuilder, &ManualClock) -> PolicyBuilder) {
    for keeps_one in [false, true] {
        let (clock, store) = (ManualClock::default(), Arc::new(ReferenceStore::new()));
        let (observer, mut events) = broadcast::channel(64);
        let open = |policy| {
            let store: Arc<dyn SessionStore> = store.clone();
            SessionManager::builder(store).policy(policy).clock(clock.clone())
        };
        let before = open(Policy::standard()).build();
        for _ in 0..2 {
            log_in(&before).await;
        }
        clock.advance(10 * MINUTE);
        let (one, other) = (log_in(&before).await, log_in(&before).await);
        assert_eq!(before.list(&alice()).await.unwrap().len(), 4, "each is alive by its own deadline");

        let policy = tighten(Policy::standard().to_builder(), &clock).build().unwrap();
        let after = open(policy).observer(observer).build();
        let mut lived = vec![one, other];
        let count = if keeps_one {
            lived.pop();
            after.revoke_others(&alice(), &other).await.unwrap()
        } else {
            after.revoke_all(&alice()).await.unwrap()
        };
        lived.sort_unstable();
        assert_eq!((count, revoked(&mut events)), (lived.len(), lived));
        // Those that were dead ended too: no policy brings them back.
        let left: Vec<SessionId> = before.list(&alice()).await.unwrap().iter().map(|session| session.id).collect();
        assert_eq!(left, if keeps_one { vec![other] } else { vec![] });
        assert_eq!(after.revoke_others(&alice(), &other).await.unwrap(), 0);
        assert_eq!(revoked(&mut events), []);
    }
}

#[tokio::test]
async fn sessions_that_were_dead_by_a_shorter_idle_timeout_are_not_counted() {
    under(|policy, _| policy.idle_timeout(10 * MINUTE).touch_interval(MINUTE)).await;
}

#[tokio::test]
async fn sessions_that_were_dead_by_a_shorter_absolute_timeout_are_not_counted() {
    under(|policy, _| policy.idle_timeout(10 * MINUTE).absolute_timeout(10 * MINUTE).touch_interval(MINUTE)).await;
}

#[tokio::test]
async fn sessions_that_began_before_the_policy_allows_are_not_counted() {
    under(|policy, clock| policy.not_before(clock.now())).await;
}

/// By an administrator, who has its id from a list of all sessions: it has no owner.
#[tokio::test]
async fn a_visitor_is_ended_by_id_and_a_user_is_not() {
    const CART: Key<u32> = Key::new("cart");
    let (observer, mut events) = broadcast::channel(64);
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let manager = SessionManager::builder(store).policy(Policy::standard()).observer(observer).build();
    let visitor = manager.open(&PresentedCookie::Nothing).await.unwrap();
    visitor.insert(CART, &1).unwrap();
    manager.commit(&visitor).await.unwrap();
    let (visitor, of_alice) = (visitor.id().unwrap(), log_in(&manager).await);
    while events.try_recv().is_ok() {}

    assert_eq!(manager.revoke(&alice(), &visitor).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(manager.revoke_visitor(&of_alice).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(manager.list(&alice()).await.unwrap().len(), 1);
    assert!(events.try_recv().is_err(), "nothing has ended yet");

    assert_eq!(manager.revoke_visitor(&visitor).await.unwrap(), DeleteOutcome::Deleted);
    let ended = events.try_recv().unwrap();
    let expected = (EventKind::Terminated(Termination::Revoked), Some(visitor), None);
    assert_eq!((ended.kind, ended.session, ended.user), expected);
    assert_eq!(manager.revoke_visitor(&visitor).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(manager.count().await.unwrap().sessions, 1);
}
