//! Tickets: good once, for one purpose, for a while.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::{ManualClock, Policy, PresentedToken, SessionManager};

const HOUR: Duration = Duration::from_secs(3600);

fn manager(clock: &ManualClock, policy: Policy) -> SessionManager {
    SessionManager::builder(Arc::new(ReferenceStore::new())).policy(policy).clock(clock.clone()).build()
}

#[tokio::test]
async fn a_ticket_is_good_once_and_for_its_purpose() {
    let manager = manager(&ManualClock::default(), Policy::standard());
    let ticket = manager.issue_ticket("reset", &7_u32, HOUR).await.unwrap();
    for (purpose, text) in
        [("login", ticket.expose()), ("", ticket.expose()), ("reset", "x"), ("reset", &"A".repeat(64))]
    {
        assert_eq!(manager.redeem_ticket::<u32>(purpose, text).await.unwrap(), None, "{purpose}");
    }
    assert_eq!(manager.redeem_ticket::<u32>("reset", ticket.expose()).await.unwrap(), Some(7), "nothing was used up");
    assert_eq!(manager.redeem_ticket::<u32>("reset", ticket.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn a_ticket_expires() {
    let clock = ManualClock::default();
    let manager = manager(&clock, Policy::standard());
    for (wait, value) in
        [(Duration::from_secs(60) - Duration::from_millis(1), Some(7)), (Duration::from_secs(60), None)]
    {
        let ticket = manager.issue_ticket("reset", &7_u32, Duration::from_secs(60)).await.unwrap();
        clock.advance(wait);
        assert_eq!(manager.redeem_ticket::<u32>("reset", ticket.expose()).await.unwrap(), value);
    }
}

/// Neither a session with a cookie nor one with a refresh token.
#[tokio::test]
async fn a_ticket_opens_no_session() {
    let manager = manager(&ManualClock::default(), Policy::standard());
    let ticket = manager.issue_ticket("reset", &7_u32, HOUR).await.unwrap();
    let token = || PresentedToken::parse(ticket.expose().as_bytes()).unwrap();
    assert!(manager.verify_refresh_token(&token()).await.unwrap().is_none());
    assert!(manager.inspect_refresh_token(&token()).await.unwrap().is_none());
    let cookie = format!("{}={}", manager.policy().cookie().name(), ticket.expose());
    let session = manager.open(&manager.read_cookie([cookie.as_bytes()])).await.unwrap();
    assert!(session.id().is_none());
    assert_eq!(manager.redeem_ticket::<u32>("reset", ticket.expose()).await.unwrap(), Some(7));
}

/// Who knows one password cannot fill the store with them.
#[tokio::test]
async fn tickets_are_bounded_with_visitors() {
    let policy = Policy::standard().to_builder().max_visitors(8).build().unwrap();
    let manager = manager(&ManualClock::default(), policy);
    for _ in 0..64 {
        let _ = manager.issue_ticket("reset", &7_u32, HOUR).await.unwrap();
    }
    assert!(manager.count().await.unwrap().sessions <= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_redeems_it() {
    let manager = manager(&ManualClock::default(), Policy::standard());
    let ticket = Arc::new(manager.issue_ticket("reset", &7_u32, HOUR).await.unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (manager, ticket) = (manager.clone(), Arc::clone(&ticket));
            tokio::spawn(async move { manager.redeem_ticket::<u32>("reset", ticket.expose()).await.unwrap() })
        })
        .collect();
    let mut redeemed = 0;
    for task in tasks {
        redeemed += usize::from(task.await.unwrap().is_some());
    }
    assert_eq!(redeemed, 1);
}
