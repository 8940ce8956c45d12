//! What becomes of a commit, a login, a rotation whose caller goes away.

use std::time::Duration;

use session_core::{Error, EventKind, Key, Login, Policy, PresentedToken, Session, StepUp, Termination, UserId};
use tokio::time::{sleep, timeout};

use crate::bed::*;

#[tokio::test(start_paused = true)]
async fn a_commit_that_its_handler_cancelled_counts_once_whenever_it_was_cancelled() {
    for fate in [Fate::Slow(500), Fate::Late(500)] {
        for cancelled_after in [1, 100, 499] {
            let bed = Bed::new(Policy::standard());
            let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
            let request = bed.begin(Some(&cookie));
            let session = request.session().await.unwrap();
            session.update(N, |n| *n += 1).unwrap();
            bed.weather().set("update", fate);
            assert!(timeout(cancelled_after * MS, bed.manager.commit(session)).await.is_err());
            bed.weather().clear();
            request.finish().await.0.unwrap();
            assert_eq!(bed.number(&cookie).await, Some(1), "{fate:?}, cancelled after {cancelled_after} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_commit_that_met_a_conflict_counts_once() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap();
    session.update(N, |n| *n += 1).unwrap();
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 10).unwrap()).await;
    bed.weather().set("load", Fate::Slow(500));
    assert!(timeout(100 * MS, bed.manager.commit(session)).await.is_err());
    bed.weather().clear();
    request.finish().await.0.unwrap();
    assert_eq!(bed.number(&cookie).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_login_and_the_end_of_its_request_make_one_session_with_a_cookie() {
    for fate in [Fate::Slow(500), Fate::Late(500)] {
        let bed = Bed::new(Policy::standard());
        let request = bed.begin(None);
        let session = request.session().await.unwrap();
        session.login(Login::new(alice())).unwrap();
        bed.weather().set("create", fate);
        assert!(timeout(100 * MS, bed.manager.commit(session)).await.is_err());
        bed.weather().clear();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        let cookie = pair(&headers).expect("the session is handed out");
        assert!(bed.is_logged_in(&cookie).await);
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 1, "{fate:?}");
        assert_eq!(bed.log.take().iter().filter(|kind| **kind == EventKind::LoggedIn).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_that_went_away_has_done_is_reported() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    bed.log.take();
    let request = bed.begin(Some(&cookie));
    request.session().await.unwrap().logout().unwrap();
    bed.weather().set("delete", Fate::Slow(100));
    assert!(timeout(10 * MS, request.finish()).await.is_err());
    drop(request);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Terminated(Termination::Logout)]);
    assert_eq!(bed.count().await, 0);

    let cookie = bed.logged_in().await;
    bed.log.take();
    bed.weather().set("delete_by_user", Fate::Late(100));
    assert!(timeout(10 * MS, bed.manager.revoke_all(&alice())).await.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Terminated(Termination::Revoked)]);
    assert!(!bed.is_logged_in(&cookie).await);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_request_went_away_is_ended_and_reported() {
    for fate in [Fate::Slow(50), Fate::Late(50)] {
        let bed = Bed::new(Policy::high_assurance());
        bed.weather().set("create", fate);
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        assert!(timeout(10 * MS, request.finish()).await.is_err());
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.log.take(), [EventKind::LoggedIn, EventKind::Terminated(Termination::Unreceived)]);
        bed.weather().clear();
        bed.logged_in().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_was_committed_before_its_request_went_away_is_ended() {
    let bed = Bed::new(Policy::high_assurance());
    let request = bed.begin(None);
    let session = request.session().await.unwrap();
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(session).await.unwrap();
    drop(request);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, 0);
    // Without an adapter, the caller of the commit is the one that has it.
    let session = bed.manager.open(&session_core::adapter::PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(&session).await.unwrap();
    drop(session);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, 1);
}

/// The token that the client has is none any more.
#[tokio::test(start_paused = true)]
async fn a_new_token_that_no_client_received_ends_its_session() {
    let acts: [fn(&Session); 2] =
        [|session| session.step_up(StepUp::new(alice())).unwrap(), |session| session.regenerate().unwrap()];
    for act in acts {
        let bed = Bed::new(Policy::high_assurance());
        let cookie = bed.logged_in().await;
        bed.log.take();
        bed.weather().set("update", Fate::Late(50));
        let request = bed.begin(Some(&cookie));
        act(request.session().await.unwrap());
        assert!(timeout(10 * MS, request.finish()).await.is_err());
        drop(request);
        assert_eq!(bed.manager.drain(Duration::MAX).await, 0);
        assert_eq!(bed.log.take().last(), Some(&EventKind::Terminated(Termination::Unreceived)));
        bed.logged_in().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_still_has_the_session_does_not_keep_it_for_a_client_that_has_gone() {
    for is_committed in [true, false] {
        let bed = Bed::new(Policy::high_assurance());
        let request = bed.begin(None);
        let session = request.session().await.unwrap().clone();
        session.login(Login::new(alice())).unwrap();
        if is_committed {
            bed.manager.commit(&session).await.unwrap();
        } else {
            bed.weather().set("create", Fate::Late(50));
            assert!(timeout(10 * MS, request.finish()).await.is_err());
        }
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 0, "committed: {is_committed}");
        drop(session);
    }
}

/// What is not finished because its runtime ended is an event.
#[test]
fn work_that_ends_with_its_runtime_is_reported() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, bed) = (runtime(), Bed::new(Policy::standard()));
    let cookie = first.block_on(bed.logged_in());
    bed.weather().set("delete", Fate::Hangs);
    bed.log.take();
    let mut commit = Box::pin(async {
        let request = bed.begin(Some(&cookie));
        request.session().await.unwrap().logout().unwrap();
        request.finish().await
    });
    assert!(first.block_on(async { timeout(10 * MS, &mut commit).await }).is_err());
    drop(first);
    // Outside of any runtime, and its own has ended.
    drop(commit);
    assert_eq!(bed.log.take(), [EventKind::Abandoned]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_no_client_received_takes_no_place() {
    let bed = Bed::new(Policy::high_assurance());
    for fate in [Fate::Slow(50), Fate::Late(50), Fate::LosesAnswer] {
        bed.weather().set("create", fate);
        let login = bed.manager.issue_refresh_token(Login::new(alice()), None);
        if matches!(fate, Fate::LosesAnswer) {
            assert!(login.await.is_err());
        } else {
            assert!(timeout(10 * MS, login).await.is_err());
        }
        bed.weather().clear();
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 0, "{fate:?}");
    }
    let _ = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    assert_eq!(bed.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_cancelled_is_finished_and_gives_its_successor_again() {
    let bed = Bed::new(Policy::standard());
    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    bed.log.take();
    bed.weather().set("update", Fate::Late(100));
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert!(timeout(10 * MS, bed.manager.rotate(verified)).await.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Renewed]);
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert!(bed.manager.rotate(verified).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_during_the_last_commit_or_after_it_is_an_error() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap().clone();
    session.insert(N, &1).unwrap();
    bed.weather().set("update", Fate::Slow(100));
    let late = tokio::spawn(async move {
        sleep(50 * MS).await;
        [
            session.insert(Key::<u64>::new("m"), &7),
            session.update(N, |n| *n += 1),
            session.remove(N),
            session.clear(),
            session.logout(),
            session.regenerate(),
            session.login(Login::new(alice())),
        ]
    });
    request.finish().await.0.unwrap();
    for outcome in late.await.unwrap() {
        assert!(matches!(outcome, Err(Error::ResponseSent)), "{outcome:?}");
    }
    // First asked for after the request was finished.
    let request = bed.begin(Some(&cookie));
    let _ = request.finish().await;
    let session = request.session().await.unwrap();
    assert_eq!(session.get(N).unwrap(), Some(1));
    assert!(matches!(session.insert(N, &2), Err(Error::ResponseSent)));
}

#[test]
fn a_login_that_is_dropped_outside_of_a_runtime_is_ended_on_the_one_of_its_commit() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bed = Bed::new(Policy::high_assurance());
    bed.weather().set("create", Fate::Late(1));
    let request = bed.begin(None);
    runtime.block_on(async {
        let session = request.session().await.unwrap();
        session.login(Login::new(alice())).unwrap();
        bed.manager.commit(session).await.unwrap();
    });
    drop(request);
    assert_eq!(runtime.block_on(bed.manager.drain(Duration::from_secs(60))), 0);
    assert_eq!(runtime.block_on(bed.count()), 0);
}

/// A store that is down for long must not fill the memory. What there is no room for is an event.
#[tokio::test(start_paused = true)]
async fn what_goes_on_in_the_background_is_bounded() {
    const CAPACITY: usize = 4096;
    let bed = Bed::new(Policy::standard());
    bed.weather().set("create", Fate::FailsAfterwards);
    bed.weather().set("delete", Fate::Hangs);
    for number in 0..CAPACITY + 3 {
        let request = bed.begin(None);
        let user = UserId::new(format!("user {number}")).unwrap();
        request.session().await.unwrap().login(Login::new(user)).unwrap();
        assert!(request.finish().await.0.is_err());
    }
    let abandoned = || bed.log.take().iter().filter(|event| **event == EventKind::Abandoned).count();
    assert_eq!(abandoned(), 3);
    bed.weather().clear();
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(abandoned(), 0);
}
