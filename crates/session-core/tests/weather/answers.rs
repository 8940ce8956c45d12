//! What becomes of writes whose answer is lost, and of requests that only read.

use std::time::Duration;

use session_core::{
    DeleteOutcome, Error, EventKind, LimitPolicy, Login, Policy, PresentedToken, StoreError, StoreErrorKind,
    Termination,
};

use crate::bed::*;

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_was_lost_does_not_lock_its_user_out() {
    for fate in [Fate::LosesAnswer, Fate::FailsAfterwards, Fate::Hangs, Fate::Fails] {
        let bed = Bed::new(Policy::high_assurance());
        bed.weather().set("create", fate);
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        let (outcome, headers) = request.finish().await;
        assert!(matches!(outcome, Err(Error::Store(_))), "{fate:?}");
        assert!(headers.set_cookie.is_none());
        bed.weather().clear();
        let cookie = bed.logged_in().await;
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert!(bed.is_logged_in(&cookie).await);
        assert_eq!(bed.count().await, 1, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_known_to_have_happened() {
    let bed = Bed::new(Policy::high_assurance());
    let lose = |operation| {
        bed.weather().set(operation, Fate::FailsAfterwardsOnce);
        bed.log.take();
    };
    let events = || {
        let mut events = bed.log.take();
        events.retain(|event| !matches!(event, EventKind::StoreFailed { .. }));
        events
    };
    lose("create");
    let cookie = bed.logged_in().await;
    assert_eq!(events(), [EventKind::LoggedIn]);
    lose("update");
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 1).unwrap()).await;
    assert_eq!(bed.number(&cookie).await, Some(1));
    lose("delete");
    bed.request(Some(&cookie), |session| session.logout().unwrap()).await;
    assert_eq!(events(), [EventKind::Terminated(Termination::Logout)]);

    bed.logged_in().await;
    let id = bed.manager.list(&alice()).await.unwrap()[0].id;
    lose("delete");
    assert_eq!(bed.manager.revoke(&alice(), &id).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(events(), [EventKind::Terminated(Termination::Revoked)]);
    bed.logged_in().await;
    lose("delete_by_user");
    assert_eq!(bed.manager.revoke_all(&alice()).await.unwrap(), 0, "the answer that named it was lost");
    assert_eq!(events(), [EventKind::Terminated(Termination::Revoked)]);

    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    lose("update");
    assert!(bed.manager.rotate(verified).await.unwrap().is_some());
    assert_eq!(events(), [EventKind::Renewed]);
    // Nothing was sent: nothing is repeated.
    let calls = bed.weather().count("delete");
    bed.weather().set("delete", Fate::IsNotSent);
    assert!(bed.manager.revoke(&alice(), &issued.session.id).await.is_err());
    assert_eq!(bed.weather().count("delete"), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_was_lost_is_ended_whatever_became_of_its_repetition() {
    for then in [&Fate::IsNotSent, &Fate::IsFull, &Fate::Fails, &Fate::Hangs] {
        for is_cookie in [true, false] {
            let bed = Bed::new(Policy::standard());
            bed.weather().set("create", Fate::FailsAfterwardsThen(then));
            bed.weather().set("delete", Fate::Fails);
            if is_cookie {
                let request = bed.begin(None);
                request.session().await.unwrap().login(Login::new(alice())).unwrap();
                assert!(request.finish().await.0.is_err());
            } else {
                assert!(bed.manager.issue_refresh_token(Login::new(alice()), None).await.is_err());
            }
            assert_eq!(bed.count().await, 1, "{then:?}: it was executed");
            bed.weather().clear();
            assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
            assert_eq!(bed.count().await, 0, "{then:?}: a session that no client has");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_the_second_time_may_be_executed_later_the_first_time() {
    let policy = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let bed = Bed::new(policy);
    bed.logged_in().await;
    bed.weather().set("create", Fate::FailsOnce);
    let refused = bed.manager.issue_refresh_token(Login::new(alice()), None).await;
    assert!(matches!(refused, Err(Error::LimitReached)));
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert!(bed.weather().count("delete") > 0, "nobody sees to the first attempt");
    assert_eq!(bed.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn logins_whose_answers_were_lost_evict_one_session_at_most() {
    let policy = Policy::standard().to_builder().session_limit(3, LimitPolicy::EvictOldest).build().unwrap();
    let bed = Bed::new(policy);
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(bed.logged_in().await);
        bed.clock.advance(Duration::from_secs(1));
    }
    bed.weather().set("create", Fate::LosesAnswer);
    for _ in 0..3 {
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        assert!(request.finish().await.0.is_err());
        bed.clock.advance(Duration::from_secs(3));
    }
    bed.weather().clear();
    let mut live = 0;
    for device in &devices {
        live += usize::from(bed.is_logged_in(device).await);
    }
    assert!(live >= 2, "{live} of three devices are still logged in");
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, live, "the list shows a session that no client has");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_client_has_is_ended_once_the_store_is_back() {
    let bed = Bed::new(Policy::standard());
    bed.weather().set("create", Fate::LosesAnswer);
    bed.weather().set("delete", Fate::Fails);
    let request = bed.begin(None);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    assert!(request.finish().await.0.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(30)).await, 1, "unfinished");
    assert_eq!(bed.count().await, 1);
    bed.weather().clear();
    assert_eq!(bed.manager.drain(Duration::from_secs(30)).await, 0);
    assert_eq!(bed.count().await, 0);
    // A store that is away for longer than that: given up, and said so.
    bed.weather().set("delete", Fate::Fails);
    bed.weather().set("create", Fate::FailsAfterwards);
    let request = bed.begin(None);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    assert!(request.finish().await.0.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60 * 60)).await, 0);
    assert!(bed.log.take().contains(&EventKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_only_read_succeeds_although_its_activity_cannot_be_recorded() {
    for fate in [Fate::Fails, Fate::Hangs, Fate::FailsAfterwards] {
        let bed = Bed::new(Policy::high_assurance());
        let cookie = bed.logged_in().await;
        // A touch, then the renewal of the token.
        for operation in ["touch", "update"] {
            bed.clock.advance(Duration::from_secs(8 * 60));
            bed.weather().set(operation, fate);
            let before = bed.weather().count(operation);
            assert!(bed.is_logged_in(&cookie).await, "{fate:?}");
            assert!(bed.weather().count(operation) > before, "{operation} was not due");
            bed.weather().clear();
            bed.clock.advance(Duration::from_secs(1));
            assert!(bed.is_logged_in(&cookie).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_record_is_unreadable_can_log_in_and_out() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    bed.weather().set("load", Fate::Unreadable);
    bed.log.take();
    assert!(!bed.is_logged_in(&cookie).await);
    let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Corrupt };
    assert_eq!(bed.log.take(), [failed], "it is reported");
    let removed = bed.request(Some(&cookie), |session| session.logout().unwrap()).await;
    assert_eq!(removed.as_deref(), Some("__Host-id="));
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap();
    assert!(matches!(session.insert(N, &1), Err(Error::Store(_))));
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(session).await.unwrap();
    session.insert(N, &2).expect("a new session is not concerned by the one before");
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let other = pair(&headers).unwrap();
    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let _ = bed.manager.issue_refresh_token(Login::new(alice()), Some(&token)).await.unwrap();
    bed.weather().set("load", Fate::Fails);
    let failed = bed.manager.issue_refresh_token(Login::new(alice()), Some(&token)).await;
    assert!(matches!(failed, Err(Error::Store(_))), "a store that fails is no session that cannot be read");
    bed.weather().clear();
    assert!(bed.is_logged_in(&other).await);
    assert!(bed.is_logged_in(&cookie).await, "the record was left as it is");
}

#[tokio::test]
async fn a_record_that_is_unreadable_is_reported_and_hides_no_other() {
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt, "a newer format");
    let bed = Bed::new(Policy::standard());
    bed.logged_in().await;
    let readable = bed.manager.list(&alice()).await.unwrap().remove(0);
    let mut listing = session_core::store::Listing::default();
    listing.add(readable.id, Err(corrupt())).unwrap();
    listing.add(readable.id, Ok(readable.clone())).unwrap();
    assert_eq!((listing.sessions.len(), listing.unreadable.as_slice()), (1, &[readable.id][..]));
    let down = StoreError::new(StoreErrorKind::Unavailable, "bad weather");
    assert!(listing.add(readable.id, Err(down)).is_err());
}
