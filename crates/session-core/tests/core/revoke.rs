//! Revocation under a policy that was tightened: what it counts and reports is what lived.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::PresentedCookie;
use session_core::store::SessionStore;
use session_core::{
    Clock as _, Event, EventKind, Login, ManualClock, Policy, PolicyBuilder, SessionId, SessionManager, Termination,
    UserId,
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
