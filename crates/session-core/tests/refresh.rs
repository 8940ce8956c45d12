//! Refresh tokens: what does not depend on a backend. The model in `src/refresh/model.rs` explores every order of events.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::PresentedCookie;
use session_core::{
    CookiePolicy, DeleteOutcome, Error, Event, EventKind, IssuedRefreshToken, LimitPolicy, Login, ManualClock, Policy,
    PresentedToken, SessionManager, SessionObserver, Termination, UserId,
};

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Events {
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A service, its clock, and what it reports.
struct Service {
    manager: SessionManager,
    clock: ManualClock,
    events: Events,
}

impl Service {
    fn new(policy: Policy) -> Self {
        let (clock, events) = (ManualClock::default(), Events::default());
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new()))
            .policy(policy)
            .clock(clock.clone())
            .observer(events.clone())
            .build();
        Self { manager, clock, events }
    }

    async fn login(&self, user: &UserId) -> String {
        text(self.manager.issue_refresh_token(Login::new(user.clone()).method("pwd"), None).await.unwrap())
    }

    /// The successor of a token, if it gets one.
    async fn refresh(&self, token: &str) -> Option<String> {
        let refresh = self.manager.verify_refresh_token(&presented(token)).await.unwrap()?;
        self.manager.rotate(refresh).await.unwrap().map(text)
    }
}

fn text(grant: IssuedRefreshToken) -> String {
    grant.token.encode().expose().to_owned()
}

fn presented(token: &str) -> PresentedToken {
    PresentedToken::parse(token.as_bytes()).unwrap()
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

#[tokio::test]
async fn a_token_is_replaced_at_each_use() {
    let service = Service::new(Policy::standard());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    let third = service.refresh(&second).await.unwrap();
    assert!(first != second && second != third && first != third);
    let sessions = service.manager.list(&alice()).await.unwrap();
    assert_eq!(sessions.len(), 1, "it is one session all the time");
    assert_eq!(service.events.take(), [EventKind::LoggedIn, EventKind::Renewed, EventKind::Renewed]);
}

#[tokio::test]
async fn inside_the_window_a_token_gets_the_same_successor_again() {
    let service = Service::new(Policy::standard());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    service.clock.advance(GRACE - Duration::from_millis(1));
    assert_eq!(service.refresh(&first).await.as_ref(), Some(&second));
    assert_eq!(service.refresh(&first).await.as_ref(), Some(&second), "a replay does not use it up");
    assert!(service.refresh(&second).await.is_some());
}

#[tokio::test]
async fn after_the_window_a_second_use_ends_the_session() {
    let service = Service::new(Policy::standard());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    service.clock.advance(GRACE);
    assert_eq!(service.refresh(&first).await, None);
    assert_eq!(service.refresh(&second).await, None, "the newest token is dead, too");
    assert!(service.manager.list(&alice()).await.unwrap().is_empty());
    let events = service.events.take();
    assert!(events.contains(&EventKind::TokenReuse) && events.contains(&EventKind::Terminated(Termination::Reuse)));
}

#[tokio::test]
async fn the_successors_use_closes_the_window_even_at_the_same_moment() {
    let service = Service::new(Policy::standard());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    let third = service.refresh(&second).await.unwrap();
    assert_eq!(service.refresh(&first).await, None);
    assert_eq!(service.refresh(&third).await, None, "reuse is decided by the order of tokens, not by time");
}

#[tokio::test]
async fn without_a_window_every_second_use_is_reuse() {
    let service = Service::new(Policy::high_assurance());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    assert_eq!(service.refresh(&first).await, None);
    assert_eq!(service.refresh(&second).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_simultaneous_uses_one_rotates() {
    let service = Arc::new(Service::new(Policy::standard()));
    let first = service.login(&alice()).await;
    let uses = (0..64).map(|_| {
        let (service, first) = (Arc::clone(&service), first.clone());
        tokio::spawn(async move { service.refresh(&first).await })
    });
    let mut successors = Vec::new();
    for used in uses.collect::<Vec<_>>() {
        successors.push(used.await.unwrap().unwrap());
    }
    assert!(successors.iter().all(|successor| *successor == successors[0]));
    let rotations = service.events.take().into_iter().filter(|event| *event == EventKind::Renewed).count();
    assert_eq!(rotations, 1);
}

#[tokio::test]
async fn neither_kind_of_token_passes_for_the_other() {
    let service = Service::new(Policy::standard());
    let refresh = service.login(&alice()).await;
    let cookie = format!("__Host-id={refresh}");
    let session = service.manager.open(&CookiePolicy::standard().read([cookie.as_bytes()])).await.unwrap();
    assert!(session.user().is_none());

    let session = service.manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(alice())).unwrap();
    let request = session_core::adapter::RequestSession::new(service.manager.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    let set = request.finish().await.1.set_cookie.unwrap();
    let token = set.expose().split(['=', ';']).nth(1).unwrap();
    assert!(service.manager.verify_refresh_token(&presented(token)).await.unwrap().is_none());
    assert_eq!(service.manager.revoke_refresh_token(&presented(token)).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(service.manager.list(&alice()).await.unwrap().len(), 2, "both live on");
}

#[tokio::test]
async fn timeouts_and_activity_are_those_of_every_session() {
    let service = Service::new(Policy::standard());
    let mut token = service.login(&alice()).await;
    for _ in 0..3 {
        service.clock.advance(Duration::from_secs(30 * 60) - SECOND);
        token = service.refresh(&token).await.expect("a refresh is activity");
    }
    service.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(service.refresh(&token).await, None, "idle");

    let mut token = service.login(&alice()).await;
    for _ in 0..31 {
        service.clock.advance(Duration::from_secs(15 * 60));
        token = service.refresh(&token).await.unwrap();
    }
    service.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(service.refresh(&token).await, None, "8 hours after the login, whatever the activity");
}

#[tokio::test]
async fn the_limit_counts_both_kinds() {
    let policy = Policy::standard().to_builder().session_limit(2, LimitPolicy::Reject).build().unwrap();
    let service = Service::new(policy);
    let request = session_core::adapter::RequestSession::new(service.manager.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    request.finish().await.0.unwrap();
    let token = service.login(&alice()).await;
    let refused = service.manager.issue_refresh_token(Login::new(alice()), None).await;
    assert!(matches!(refused, Err(Error::LimitReached)));
    let again = service.manager.issue_refresh_token(Login::new(alice()), Some(&presented(&token))).await.unwrap();
    assert_eq!(service.refresh(&token).await, None, "the login replaced it");
    assert!(service.refresh(&text(again)).await.is_some());
    assert_eq!(service.manager.list(&alice()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_revoked_session_refreshes_no_more() {
    let service = Service::new(Policy::standard());
    let token = service.login(&alice()).await;
    let session = service.manager.list(&alice()).await.unwrap()[0].id;
    assert!(service.manager.find_live(&session, &alice()).await.unwrap().is_some());
    assert!(service.manager.find_live(&session, &UserId::new("bob").unwrap()).await.unwrap().is_none());
    // While a refresh is on its way.
    let under_way = service.manager.verify_refresh_token(&presented(&token)).await.unwrap().unwrap();
    assert_eq!(service.manager.revoke(&alice(), &session).await.unwrap(), DeleteOutcome::Deleted);
    assert!(service.manager.rotate(under_way).await.unwrap().is_none());
    assert_eq!(service.refresh(&token).await, None);
    assert!(service.manager.find_live(&session, &alice()).await.unwrap().is_none());
}

#[tokio::test]
async fn any_token_of_the_session_logs_out_and_no_other_does() {
    let service = Service::new(Policy::standard());
    let first = service.login(&alice()).await;
    let second = service.refresh(&first).await.unwrap();
    let third = service.refresh(&second).await.unwrap();
    let mut forged = first.clone();
    forged.replace_range(30..31, if &first[30..31] == "A" { "B" } else { "A" });
    assert_eq!(service.manager.revoke_refresh_token(&presented(&forged)).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(service.manager.verify_refresh_token(&presented(&forged)).await.unwrap().map(drop), None);
    let third = service.refresh(&third).await.expect("garbage changed nothing");
    assert_eq!(service.manager.revoke_refresh_token(&presented(&first)).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(service.refresh(&third).await, None);
    assert_eq!(service.manager.revoke_refresh_token(&presented(&third)).await.unwrap(), DeleteOutcome::Absent);
}
