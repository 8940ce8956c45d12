//! Events that an audit can use.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::{OriginGuard, RequestHead};
use session_core::store::SessionStore;
use session_core::{
    Device, Error, Event, EventKind, Login, ManualClock, Policy, RequestContext, Session, SessionManager, Termination,
    UserId,
};
use tokio::sync::broadcast::{self, Receiver};

use crate::plain::Plain;

struct Head(String);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        "/transfer"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        [("cookie", &*self.0), ("user-agent", "Test/1.0")]
            .into_iter()
            .filter_map(move |(header, value)| (header == name).then_some(value.as_bytes()))
    }

    fn describe(&self, context: &mut RequestContext) {
        context.client = Some([192, 0, 2, 1].into());
        context.request_id = Some("r-1".to_owned());
    }
}

async fn request(manager: &SessionManager, cookie: &mut String, act: impl FnOnce(&Session) -> Result<(), Error>) {
    let request = OriginGuard::new().begin_request(manager, &Head(cookie.clone())).unwrap();
    act(request.session().await.unwrap()).unwrap();
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    if let Some(set) = headers.set_cookie {
        *cookie = set.expose().split(';').next().unwrap().to_owned();
    }
}

fn kinds(events: &mut Receiver<Event>) -> Vec<EventKind> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect()
}

fn alice() -> Login {
    Login::new(UserId::new("alice").unwrap())
}

#[tokio::test]
async fn a_channel_gets_each_event_with_its_request() {
    let (events, mut audit) = broadcast::channel(4);
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let manager = SessionManager::builder(store).observer(events).build();
    let mut cookie = String::new();
    request(&manager, &mut cookie, |session| session.login(alice())).await;
    let event = audit.try_recv().unwrap();
    assert_eq!((event.kind, event.user), (EventKind::LoggedIn, Some(UserId::new("alice").unwrap())));
    let context = event.request.unwrap();
    assert_eq!((&*context.method, &*context.path), ("POST", "/transfer"));
    assert_eq!((context.user_agent.as_deref(), context.request_id.as_deref()), (Some("Test/1.0"), Some("r-1")));
    assert_eq!(context.client, Some([192, 0, 2, 1].into()));
    request(&manager, &mut cookie, Session::logout).await;
    let event = audit.recv().await.unwrap();
    assert_eq!(event.kind, EventKind::Terminated(Termination::Logout));
    assert!(event.request.is_some());
}

#[tokio::test]
async fn each_use_of_a_predecessor_is_an_event() {
    let (events, mut audit) = broadcast::channel(64);
    let clock = ManualClock::default();
    let renewal = session_core::Renewal { timeout: Duration::from_secs(900), grace: Duration::from_secs(10) };
    let policy = Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap();
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let manager = SessionManager::builder(store).policy(policy).clock(clock.clone()).observer(events).build();
    let mut cookie = String::new();
    request(&manager, &mut cookie, |session| session.login(alice())).await;
    clock.advance(Duration::from_secs(900));
    let predecessor = cookie.clone();
    request(&manager, &mut cookie, |_| Ok(())).await;
    assert_eq!(kinds(&mut audit), [EventKind::LoggedIn, EventKind::Renewed]);
    for _ in 0..3 {
        request(&manager, &mut predecessor.clone(), |_| Ok(())).await;
    }
    assert_eq!(kinds(&mut audit), [const { EventKind::Replayed }; 3]);
}

/// Nothing ended: a copy of the cookie lives on.
#[tokio::test]
async fn a_logout_that_ends_nothing_is_not_called_an_end() {
    for deny_list in [None, Some(Arc::new(ReferenceStore::new()) as Arc<dyn SessionStore>)] {
        let (events, mut audit) = broadcast::channel(64);
        let has_deny_list = deny_list.is_some();
        let manager = SessionManager::client_side(Plain, deny_list).observer(events).build();
        let mut cookie = String::new();
        request(&manager, &mut cookie, |session| session.login(alice())).await;
        request(&manager, &mut cookie, |session| session.login(alice())).await;
        request(&manager, &mut cookie, Session::logout).await;
        let ended = |why| if has_deny_list { EventKind::Terminated(why) } else { EventKind::CookieRemoved };
        let (replaced, logout) = (ended(Termination::Replaced), ended(Termination::Logout));
        let seen = kinds(&mut audit);
        assert_eq!(
            seen.iter().filter(|kind| **kind == replaced).count(),
            if has_deny_list { 1 } else { 2 },
            "{seen:?}"
        );
        assert_eq!(seen.last(), Some(&logout));
    }
}

/// By label, or else by user agent without its version; not if there is nothing to compare with.
#[tokio::test]
async fn a_login_from_a_new_device_is_an_event() {
    let (events, mut audit) = broadcast::channel(64);
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let manager = SessionManager::builder(store).observer(events).report_new_devices().build();
    let agent = |version: u32| Device::new().with_user_agent(format!("Firefox/{version}.0 (Linux x86_64)"));
    let phone = Device::new().with_user_agent("Firefox/140.0 (Android 16)");
    for (device, is_new) in [
        (agent(140), false),
        (agent(140), false),
        (agent(141).with_ip([192, 0, 2, 7].into()), false),
        (phone.clone(), true),
        (phone, false),
        (Device::new(), true),
        (agent(142).with_label("the office"), true),
        (agent(150).with_label("the office"), false),
    ] {
        request(&manager, &mut String::new(), |session| session.login(alice().device(device))).await;
        let expected = if is_new { &[EventKind::LoggedIn, EventKind::NewDevice][..] } else { &[EventKind::LoggedIn] };
        assert_eq!(kinds(&mut audit), expected);
    }
    // A login by tokens is one.
    let _ = manager.issue_refresh_token(alice().device(Device::new().with_label("an app")), None).await.unwrap();
    let seen: Vec<Event> = std::iter::from_fn(|| audit.try_recv().ok()).collect();
    assert_eq!(seen.last().map(|event| &event.kind), Some(&EventKind::NewDevice));
    assert_eq!(seen.last().and_then(|event| event.session), seen[seen.len() - 2].session);
}
