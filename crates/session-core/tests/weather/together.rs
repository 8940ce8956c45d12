//! Commits that are written together: many requests that meet at one session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{Error, Key, Policy, Renewal, Session, SessionManager};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::bed::*;

const WRITERS: u64 = 64;

type Outcome = Result<(), Error>;

/// Requests that have read the session as it was before another one changed it, each with what it wants.
async fn outdated(
    bed: &Bed,
    cookie: &str,
    acts: impl IntoIterator<Item = Box<dyn FnOnce(&Session)>>,
) -> Vec<RequestSession> {
    let mut requests = Vec::new();
    for act in acts {
        let request = bed.begin(Some(cookie));
        act(request.session().await.unwrap());
        requests.push(request);
    }
    bed.request(Some(cookie), |session| session.update(N, |n| *n += 1000).unwrap()).await;
    requests
}

fn finish(requests: Vec<RequestSession>) -> Vec<JoinHandle<Outcome>> {
    requests.into_iter().map(|request| tokio::spawn(async move { request.finish().await.0 })).collect()
}

fn increments(count: u64) -> impl Iterator<Item = Box<dyn FnOnce(&Session)>> {
    (0..count).map(|_| Box::new(|session: &Session| session.update(N, |n| *n += 1).unwrap()) as _)
}

async fn begun(bed: &Bed) -> String {
    bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_writers_of_one_session_cost_few_updates() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let requests = outdated(&bed, &cookie, increments(WRITERS)).await;
    let (updates, loads) = (bed.weather().count("update"), bed.weather().count("load"));
    bed.weather().set("load", Fate::Slow(50));
    for finished in finish(requests) {
        finished.await.unwrap().unwrap();
    }
    bed.weather().clear();
    // One that meets the conflict, one for all.
    assert_eq!(bed.weather().count("update") - updates, 2);
    assert_eq!(bed.weather().count("load") - loads, 1);
    assert_eq!(bed.number(&cookie).await, Some(1000 + WRITERS));
}

#[tokio::test(start_paused = true)]
async fn each_sees_what_its_own_update_led_to() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let requests = outdated(&bed, &cookie, increments(WRITERS)).await;
    bed.weather().set("load", Fate::Slow(50));
    let commits = requests.into_iter().map(|request| {
        let manager = bed.manager.clone();
        tokio::spawn(async move {
            let session = request.session().await.unwrap();
            manager.commit(session).await.unwrap();
            session.get(N).unwrap()
        })
    });
    let mut values = BTreeSet::new();
    for committed in commits.collect::<Vec<_>>() {
        values.extend(committed.await.unwrap());
    }
    assert_eq!(values, (1001..=1000 + WRITERS).collect());
}

/// One that was taken along, and given back by a commit that then gave up.
#[tokio::test(start_paused = true)]
async fn one_that_was_given_back_does_not_wait_for_ever() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let mut requests = outdated(&bed, &cookie, increments(2)).await;
    bed.weather().set("load", Fate::Slow(900));
    let second = requests.pop().into_iter().collect();
    let mut finishes = finish(requests);
    sleep(50 * MS).await;
    bed.weather().set("update", Fate::Late(1500));
    finishes.extend(finish(second));
    // The update of both is on its way, and another node is faster.
    sleep(1000 * MS).await;
    bed.weather().clear();
    let store = Arc::clone(&bed.store) as Arc<dyn SessionStore>;
    let other = SessionManager::builder(store).clock(bed.clock.clone()).build();
    let rival = RequestSession::new(other.clone(), other.read_cookie([cookie.as_bytes()]));
    rival.session().await.unwrap().insert(Key::<u64>::new("other"), &1).unwrap();
    rival.finish().await.0.unwrap();
    for finished in finishes {
        let finished = tokio::time::timeout(Duration::from_secs(60), finished).await;
        assert!(finished.expect("it waits for ever").unwrap().is_err());
    }
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 1).unwrap()).await;
    assert_eq!(bed.number(&cookie).await, Some(1001), "nothing old is written later");
}

#[tokio::test(start_paused = true)]
async fn each_goes_on_from_what_was_written() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let (mut sessions, mut finishes) = (Vec::new(), Vec::new());
    let requests = outdated(&bed, &cookie, increments(3)).await;
    bed.weather().set("load", Fate::Slow(50));
    for request in requests {
        let session = request.session().await.unwrap().clone();
        let manager = bed.manager.clone();
        sessions.push(session.clone());
        finishes.push(tokio::spawn(async move {
            manager.commit(&session).await.unwrap();
            session.update(N, |n| *n += 10).unwrap();
            drop(session);
            request.finish().await.0
        }));
    }
    for finished in finishes {
        finished.await.unwrap().unwrap();
    }
    for session in sessions {
        assert!(session.get(N).unwrap() >= Some(1001 + 10), "{:?}", session.get(N));
    }
    bed.weather().clear();
    assert_eq!(bed.number(&cookie).await, Some(1000 + 3 + 30));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_fit_fails_alone() {
    const OTHER: Key<String> = Key::new("other");
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let half = Policy::standard().payload(false).bytes / 2;
    let long = move |name: &'static str| {
        Box::new(move |session: &Session| session.insert(Key::new(name), &"x".repeat(half)).unwrap())
            as Box<dyn FnOnce(&Session)>
    };
    let acts = increments(3).chain([long("other"), long("another")]).chain(increments(3));
    let requests = outdated(&bed, &cookie, acts).await;
    bed.weather().set("load", Fate::Slow(50));
    let mut outcomes = Vec::new();
    for finished in finish(requests) {
        outcomes.push(finished.await.unwrap());
    }
    bed.weather().clear();
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    assert!(failed == 1 && matches!(outcomes[4], Err(Error::TooLarge { .. })), "{outcomes:?}");
    assert_eq!(bed.number(&cookie).await, Some(1006));
    bed.request(Some(&cookie), |session| assert!(session.get(OTHER).unwrap().is_some())).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_does_so_alone() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let panics = Box::new(|session: &Session| {
        session
            .update(N, |n| {
                assert_eq!(*n, 0, "a panic of the application");
                *n += 1;
            })
            .unwrap();
    }) as Box<dyn FnOnce(&Session)>;
    let requests = outdated(&bed, &cookie, increments(2).chain([panics]).chain(increments(2))).await;
    bed.weather().set("load", Fate::Slow(50));
    let mut panicked = Vec::new();
    for finished in finish(requests) {
        panicked.push(finished.await.is_err_and(|error| error.is_panic()));
    }
    bed.weather().clear();
    assert_eq!(panicked, [false, false, true, false, false]);
    assert_eq!(bed.number(&cookie).await, Some(1004));
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_away_takes_nobody_along() {
    let bed = Bed::new(Policy::standard());
    let cookie = begun(&bed).await;
    let requests = outdated(&bed, &cookie, increments(10)).await;
    bed.weather().set("load", Fate::Slow(50));
    let mut finishes = finish(requests);
    sleep(10 * MS).await;
    // The first has the turn, the others wait. What was begun is finished all the same.
    for gone in [7, 3, 0] {
        finishes.remove(gone).abort();
    }
    for finished in finishes {
        finished.await.unwrap().unwrap();
    }
    bed.manager.drain(1000 * MS).await;
    bed.weather().clear();
    assert_eq!(bed.number(&cookie).await, Some(1010));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_an_error_for_all_and_nothing_is_applied_twice() {
    for fate in [Fate::Fails, Fate::FailsAfterwards] {
        let bed = Bed::new(Policy::standard());
        let cookie = begun(&bed).await;
        let requests = outdated(&bed, &cookie, increments(10)).await;
        bed.weather().set("load", Fate::Slow(50));
        let finishes = finish(requests);
        sleep(10 * MS).await;
        bed.weather().set("update", fate);
        for finished in finishes {
            let outcome = finished.await.unwrap();
            assert!(matches!(outcome, Err(Error::Store(_))), "{fate:?}: {outcome:?}");
        }
        bed.weather().clear();
        let written = bed.number(&cookie).await;
        let expected = if matches!(fate, Fate::Fails) { 1000 } else { 1010 };
        assert_eq!(written, Some(expected), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_logout_none_of_them_is_written() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    bed.request(Some(&cookie), |session| session.insert(N, &0).unwrap()).await;
    let requests = outdated(&bed, &cookie, increments(10)).await;
    bed.weather().set("load", Fate::Slow(50));
    let finishes = finish(requests);
    sleep(10 * MS).await;
    // They have loaded it already.
    bed.weather().clear();
    bed.request(Some(&cookie), |session| session.logout().unwrap()).await;
    for finished in finishes {
        let outcome = finished.await.unwrap();
        assert!(matches!(outcome, Err(Error::Gone)), "{outcome:?}");
    }
    assert_eq!(bed.count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_whose_token_was_renewed_meanwhile_is_given_the_new_one() {
    let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(60) };
    let bed = Bed::new(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap());
    let cookie = bed.logged_in().await;
    bed.request(Some(&cookie), |session| session.insert(N, &0).unwrap()).await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        let request = bed.begin(Some(&cookie));
        request.session().await.unwrap().update(N, |n| *n += 1).unwrap();
        requests.push(request);
    }
    bed.clock.advance(Duration::from_secs(601));
    let renewed = bed.request(Some(&cookie), |session| session.update(N, |n| *n += 1000).unwrap()).await;
    assert!(renewed.is_some());
    bed.weather().set("load", Fate::Slow(50));
    let finishes: Vec<_> =
        requests.into_iter().map(|request| tokio::spawn(async move { request.finish().await })).collect();
    for finished in finishes {
        let (outcome, headers) = finished.await.unwrap();
        outcome.unwrap();
        assert_eq!(pair(&headers), renewed);
    }
    bed.weather().clear();
    assert_eq!(bed.number(&renewed.unwrap()).await, Some(1003));
}
