//! Client-side sessions: the same `Session`, without a store.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bed;
#[path = "../plain/mod.rs"]
mod plain;
mod renewal;
mod size;

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::{Freshness, SessionStore};
use session_core::{
    Clock as _, Error, Key, Login, ManualClock, Persistence, Policy, RecordFormat, Session, SessionManager,
    StoreErrorKind,
};

use crate::bed::{Browser, alice, manager};
use crate::plain::Plain;

const N: Key<u64> = Key::new("n");

#[tokio::test]
async fn a_session_is_in_its_cookie() {
    let manager = manager(&ManualClock::default(), None);
    let mut browser = Browser::new(&manager);
    assert_eq!(browser.request(|session| session.get(N)).await.unwrap().unwrap(), None);
    assert!(browser.cookie.is_none(), "an anonymous session without values has none");
    browser.request(|session| session.insert(N, &1).unwrap()).await.unwrap();
    browser.request(|session| session.update(N, |n| *n += 1).unwrap()).await.unwrap();
    let before = browser.cookie.clone();
    assert_eq!(browser.request(|session| session.get(N)).await.unwrap().unwrap(), Some(2));
    assert_eq!(browser.cookie, before, "reading sets no cookie");
    let login = Login::new(alice()).method("pwd").carry_over(N);
    let anonymous = browser.request(Session::id).await.unwrap();
    browser.request(|session| session.login(login).unwrap()).await.unwrap();
    assert_eq!(browser.user().await, Some(alice()));
    assert_ne!(browser.request(Session::id).await.unwrap(), anonymous, "a login begins a new session");
    assert_eq!(browser.request(|session| session.get(N)).await.unwrap().unwrap(), Some(2));
    browser.request(|session| session.logout().unwrap()).await.unwrap();
    assert!(browser.cookie.is_none());
}

/// A visitor can end as many sessions as it likes: the list keeps the last of them, and every user's.
#[tokio::test]
async fn visitors_do_not_fill_the_deny_list() {
    let list = Arc::new(ReferenceStore::new());
    let policy = Policy::standard().to_builder().max_visitors(2).build().unwrap();
    let builder = SessionManager::client_side(Plain, Some(Arc::clone(&list) as Arc<dyn SessionStore>));
    let clock = ManualClock::default();
    let manager = builder.policy(policy).clock(clock.clone()).build();
    let mut user = Browser::new(&manager);
    user.request(|session| session.login(Login::new(alice())).unwrap()).await.unwrap();
    let mut copy = user.copy();
    user.request(|session| session.logout().unwrap()).await.unwrap();
    let mut visitors = Vec::new();
    for _ in 0..5 {
        let mut visitor = Browser::new(&manager);
        visitor.request(|session| session.insert(N, &1).unwrap()).await.unwrap();
        visitors.push(visitor.copy());
        clock.advance(Duration::from_secs(1));
        visitor.request(|session| session.logout().unwrap()).await.unwrap();
    }
    assert_eq!(list.count(clock.now()).await.unwrap().sessions, 3);
    assert_eq!(copy.user().await, None, "the entry of a user's session stays");
    let last = visitors.last_mut().unwrap();
    assert_eq!(last.request(|session| session.get(N)).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn both_timeouts_are_inside() {
    let clock = ManualClock::default();
    let manager = manager(&clock, None);
    let mut browser = Browser::new(&manager);
    browser.request(|session| session.login(Login::new(alice())).unwrap()).await.unwrap();
    let mut idle = browser.copy();
    for _ in 0..16 {
        clock.advance(Duration::from_secs(29 * 60));
        assert_eq!(browser.user().await, Some(alice()), "activity is recorded in the cookie");
    }
    assert_eq!(idle.user().await, None);
    let presented = format!("__Host-id={}", browser.cookie.as_ref().unwrap());
    let presented = manager.read_cookie([presented.as_bytes()]);
    let session = manager.open(&presented).await.unwrap();
    manager.reload(&session).await.unwrap();
    clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(browser.user().await, None, "8 hours after the login");
    assert!(matches!(manager.reload(&session).await, Err(Error::Gone)), "a socket that asks is told");
}

#[tokio::test]
async fn what_is_not_a_seal_is_nobody() {
    let manager = manager(&ManualClock::default(), None);
    for text in ["", "0", "zz", "00", "ffff", &"00".repeat(200)] {
        let mut browser = Browser { manager: manager.clone(), cookie: Some(text.to_owned()) };
        assert_eq!(browser.user().await, None);
        assert_eq!(browser.cookie.as_deref(), Some(text), "and the cookie is left alone");
    }
}

#[tokio::test]
async fn without_a_deny_list_a_copy_outlives_the_logout() {
    let manager = manager(&ManualClock::default(), None);
    let mut browser = Browser::new(&manager);
    browser.request(|session| session.login(Login::new(alice())).unwrap()).await.unwrap();
    let mut copy = browser.copy();
    browser.request(|session| session.logout().unwrap()).await.unwrap();
    assert_eq!(copy.user().await, Some(alice()), "which the documentation says");
}

#[tokio::test]
async fn with_a_deny_list_what_ended_stays_so() {
    let (clock, list) = (ManualClock::default(), Arc::new(ReferenceStore::new()));
    let manager = manager(&clock, Some(list));
    let mut browser = Browser::new(&manager);
    browser.request(|session| session.insert(N, &1).unwrap()).await.unwrap();
    let mut anonymous = browser.copy();
    browser.request(|session| session.login(Login::new(alice())).unwrap()).await.unwrap();
    assert_eq!(anonymous.request(Session::id).await.unwrap(), None, "the login ended the session before");
    let (mut copy, mut slow) = (browser.copy(), browser.copy());
    // A request that is under way while the user logs out.
    let header = format!("__Host-id={}", slow.cookie.take().unwrap());
    let under_way = RequestSession::new(manager.clone(), manager.read_cookie([header.as_bytes()]));
    under_way.session().await.unwrap().insert(N, &2).unwrap();
    browser.request(|session| session.logout().unwrap()).await.unwrap();
    let (outcome, headers) = under_way.finish().await;
    assert!(matches!(outcome, Err(Error::Gone)) && headers.set_cookie.is_none());
    assert_eq!(copy.user().await, None);
    clock.advance(Duration::from_secs(29 * 60));
    assert_eq!(copy.user().await, None);
}

#[tokio::test]
async fn what_needs_a_store_says_so() {
    let list = Arc::new(ReferenceStore::new());
    let manager = manager(&ManualClock::default(), Some(list));
    let mut browser = Browser::new(&manager);
    browser.request(|session| session.login(Login::new(alice())).unwrap()).await.unwrap();
    let id = browser.request(Session::id).await.unwrap().unwrap();
    let errors = [
        manager.list(&alice()).await.map(drop),
        manager.revoke_all(&alice()).await.map(drop),
        manager.revoke(&alice(), &id).await.map(drop),
        manager.issue_refresh_token(Login::new(alice()), None).await.map(drop),
    ];
    for error in errors {
        let Err(Error::Store(error)) = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    }
    assert_eq!(browser.user().await, Some(alice()));
}

/// An entry is kept for as long as a copy could be alive, and no longer: visitors cannot fill the list for a month.
#[tokio::test]
async fn a_deny_list_entry_lives_as_long_as_the_session_that_it_denies() {
    let clock = ManualClock::default();
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let manager = manager(&clock, Some(Arc::clone(&store)));
    let policy = manager.policy().clone();
    for (login, lives) in [
        (None, policy.timeouts(false, Persistence::Transient).absolute),
        (Some(Login::new(alice())), policy.timeouts(true, Persistence::Transient).absolute),
        (Some(Login::new(alice()).remember()), policy.timeouts(true, Persistence::Persistent).absolute),
        (Some(Login::new(alice()).absolute_timeout(Duration::from_secs(600))), Duration::from_secs(600)),
    ] {
        let mut browser = Browser::new(&manager);
        browser.request(|it| login.map_or_else(|| it.insert(N, &1), |login| it.login(login))).await.unwrap().unwrap();
        let id = browser.request(Session::id).await.unwrap().unwrap();
        clock.advance(Duration::from_secs(60));
        browser.request(Session::logout).await.unwrap().unwrap();
        let entry = store.load(&id, Freshness::Latest).await.unwrap().unwrap();
        assert_eq!(entry.deadline(), manager.now() + lives - Duration::from_secs(60));
    }
}

/// A logout under a tightened policy does not come back when the policy is loosened.
#[tokio::test]
async fn what_was_denied_under_a_tightened_policy_stays_denied() {
    let clock = ManualClock::default();
    let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
    let with = |policy: Policy| {
        SessionManager::client_side(Plain, Some(Arc::clone(&store))).policy(policy).clock(clock.clone()).build()
    };
    let loose = with(Policy::consumer());
    let minute = Duration::from_secs(60);
    let tight =
        Policy::consumer().to_builder().idle_timeout(10 * minute).absolute_timeout(20 * minute).build().unwrap();
    let tight = with(tight);
    let mut browser = Browser::new(&loose);
    browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
    let mut copy = browser.copy();
    browser.manager = tight;
    browser.request(|it| it.insert(N, &1)).await.unwrap().unwrap();
    browser.request(Session::logout).await.unwrap().unwrap();
    clock.advance(60 * minute);
    assert_eq!(copy.user().await, None);
}

/// An older copy in the same browser is the same session, and the newer state counts.
#[tokio::test]
async fn two_copies_of_one_session_are_one() {
    for has_deny_list in [true, false] {
        let clock = ManualClock::default();
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let manager = manager(&clock, has_deny_list.then_some(store));
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.insert(N, &1)).await.unwrap().unwrap();
        let old = browser.cookie.clone().unwrap();
        clock.advance(Duration::from_secs(60));
        browser.request(|it| it.insert(N, &2)).await.unwrap().unwrap();
        let new = browser.cookie.clone().unwrap();
        for (first, second) in [(&old, &new), (&new, &old)] {
            let mut both = Browser::new(&manager);
            both.cookie = Some(format!("{first}; __Host-id={second}"));
            assert_eq!(both.request(|it| it.get(N).unwrap()).await.unwrap(), Some(2));
            both.request(|it| it.login(Login::new(alice()).carry_over(N))).await.unwrap().unwrap();
            assert_eq!(both.request(|it| it.get(N).unwrap()).await.unwrap(), Some(2), "carried over");
            assert_eq!(both.user().await, Some(alice()));
            if has_deny_list {
                break;
            }
        }
    }
}

/// During a deployment: another version's entry denies, too.
#[tokio::test]
async fn a_deny_list_entry_is_written_in_the_format_of_the_policy() {
    for format in RecordFormat::ALL {
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let policy = Policy::standard().to_builder().record_format(format).build().unwrap();
        let manager = SessionManager::client_side(Plain, Some(Arc::clone(&store))).policy(policy).build();
        let mut browser = Browser::new(&manager);
        browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
        let id = browser.request(Session::id).await.unwrap().unwrap();
        browser.request(Session::logout).await.unwrap().unwrap();
        assert_eq!(store.load(&id, Freshness::Latest).await.unwrap().unwrap().format, format);
    }
}

/// What a stream knows of a session is as old as its request.
#[tokio::test]
async fn a_handle_does_not_take_a_session_in_use_for_idle() {
    let clock = ManualClock::default();
    let manager = manager(&clock, None);
    let mut browser = Browser::new(&manager);
    browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
    let held = manager.clone();
    let handle = browser.request(move |it| held.handle(it)).await.unwrap().unwrap();
    for _ in 0..4 {
        clock.advance(Duration::from_secs(20 * 60));
        assert_eq!(browser.user().await, Some(alice()));
        assert!(handle.is_live().await.unwrap());
    }
    clock.advance(manager.policy().timeouts(true, Persistence::Transient).absolute);
    assert!(!handle.is_live().await.unwrap());
    assert!(matches!(handle.open().await, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported));
}

/// A decision does not rest on a session that has become idle meanwhile.
#[tokio::test]
async fn a_reload_sees_the_idle_deadline() {
    let clock = ManualClock::default();
    let manager = manager(&clock, None);
    let mut browser = Browser::new(&manager);
    browser.request(|it| it.login(Login::new(alice()))).await.unwrap().unwrap();
    let header = format!("__Host-id={}", browser.cookie.clone().unwrap());
    let session = manager.open(&manager.read_cookie([header.as_bytes()])).await.unwrap();
    clock.advance(manager.policy().timeouts(true, Persistence::Transient).idle);
    assert!(matches!(manager.reload(&session).await, Err(Error::Gone)));
}
