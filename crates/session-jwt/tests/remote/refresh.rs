//! When keys are fetched, and how often.

use std::time::Duration;

use session_jwt::{FetchLimits, FetchLimitsError, RemoteVerifyError, VerifyError};

use crate::bed::{Bed, HOUR, MINUTE, SECOND, Server, document, forge, forged, serves, token};
use crate::common::header;

#[tokio::test]
async fn a_known_key_costs_no_fetch() {
    let bed = Bed::new(serves(&[1, 2]));
    assert_eq!(bed.client.fetches(), 0, "nothing is fetched before it is needed");
    bed.verifier.load().await.unwrap();
    bed.verifier.load().await.unwrap();
    for _ in 0..100 {
        assert_eq!(bed.verifier.verify(token(1)).await.unwrap().user.as_str(), "alice");
        assert!(bed.verifier.clone().verify(token(2)).await.is_ok());
        assert!(bed.verifier.verify("not.a.token").await.is_err());
        assert!(bed.verifier.verify(forge(1).token(header("none", "x", "at+jwt"), "{}")).await.is_err());
    }
    assert_eq!(bed.client.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_callers_share_one_fetch() {
    let bed = Bed::new(serves(&[1]));
    bed.client.close();
    let calls = (0..64).map(|_| {
        let verifier = bed.verifier.clone();
        tokio::spawn(async move { verifier.verify(token(1)).await.is_ok() })
    });
    let calls: Vec<_> = calls.collect();
    while bed.client.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    bed.settle().await;
    bed.client.open();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(bed.client.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_unknown_kids_is_no_flood_of_fetches() {
    let bed = Bed::new(serves(&[1]));
    bed.verifier.load().await.unwrap();
    for minute in 1..=2_usize {
        bed.clock.advance(31 * SECOND);
        let tasks = (0..64).map(|task| {
            let verifier = bed.verifier.clone();
            tokio::spawn(async move {
                for number in 0..10_000 / 64 + 1 {
                    let answer = verifier.verify(forged(&format!("{task}-{number}"))).await;
                    assert!(matches!(answer, Err(RemoteVerifyError::Token(VerifyError::Key))), "{answer:?}");
                }
                // Others are not disturbed.
                verifier.verify(token(1)).await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(bed.client.fetches(), 1 + minute, "one in each interval");
    }
}

#[tokio::test]
async fn a_new_key_is_picked_up_by_its_first_token() {
    let bed = Bed::new(serves(&[1]));
    assert!(bed.knows(1).await);
    bed.client.becomes(serves(&[1, 2]));
    // Right after the last fetch: it waits for the interval.
    assert!(!bed.knows(2).await);
    bed.clock.advance(30 * SECOND - Duration::from_millis(1));
    assert!(!bed.knows(2).await);
    assert_eq!(bed.client.fetches(), 1);
    bed.clock.advance(Duration::from_millis(1));
    assert!(bed.knows(2).await);
    assert!(bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 2);
    // A retired key is gone with the next fetch.
    bed.client.becomes(serves(&[2]));
    bed.clock.advance(31 * SECOND);
    assert!(!bed.knows(3).await);
    assert!(!bed.knows(1).await);
    assert!(bed.knows(2).await);
    assert_eq!(bed.client.fetches(), 3);
}

#[tokio::test]
async fn a_document_is_fetched_ahead_and_nobody_waits() {
    let bed = Bed::new(Server::Serves(document(&[1]), Some("public, max-age=400")));
    assert!(bed.knows(1).await);
    bed.clock.advance(299 * SECOND);
    assert!(bed.knows(1).await);
    bed.settle().await;
    assert_eq!(bed.client.fetches(), 1);
    bed.clock.advance(SECOND);
    bed.client.close();
    bed.client.becomes(serves(&[2]));
    for _ in 0..10 {
        assert!(bed.knows(1).await, "the response is still under way");
        bed.settle().await;
    }
    assert_eq!(bed.client.fetches(), 2);
    bed.client.open();
    bed.settle().await;
    assert!(bed.knows(2).await && !bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 2);
}

#[tokio::test]
async fn after_an_idle_time_the_next_call_waits_for_new_keys() {
    let bed = Bed::new(serves(&[1, 2]));
    assert!(bed.knows(1).await);
    bed.client.becomes(serves(&[2]));
    bed.clock.advance(10 * MINUTE);
    assert!(!bed.knows(1).await, "retired in the meantime");
    assert_eq!(bed.client.fetches(), 2);
}

#[tokio::test]
async fn max_age_counts_within_bounds() {
    for (cache_control, fresh_for) in [
        (None, 10 * MINUTE),
        (Some("public"), 10 * MINUTE),
        (Some("max-age=120"), 2 * MINUTE),
        (Some("max-age=1"), MINUTE),
        (Some("no-store"), MINUTE),
        (Some("max-age=0, must-revalidate"), MINUTE),
        (Some("max-age=999999999999999999999"), HOUR),
        (Some("max-age=86400"), HOUR),
        (Some("max-age=banana"), MINUTE),
    ] {
        let bed = Bed::new(Server::Serves(document(&[1]), cache_control));
        assert!(bed.knows(1).await);
        bed.clock.advance(fresh_for * 3 / 4 - SECOND);
        assert!(bed.knows(1).await);
        bed.settle().await;
        assert_eq!(bed.client.fetches(), 1, "{cache_control:?}");
        bed.clock.advance(SECOND);
        assert!(bed.knows(1).await);
        bed.settle().await;
        assert_eq!(bed.client.fetches(), 2, "{cache_control:?}");
    }
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let build = FetchLimits::builder;
    for limits in [
        build().timeout(Duration::ZERO),
        build().timeout(MINUTE + SECOND),
        build().min_interval(Duration::ZERO),
        build().min_interval(61 * SECOND),
        build().fresh_for(SECOND, HOUR),
        build().fresh_for(2 * HOUR, HOUR),
        build().keep_for(59 * MINUTE),
        build().keep_for(31 * 24 * HOUR),
    ] {
        assert_eq!(limits.build().unwrap_err(), FetchLimitsError, "{limits:?}");
    }
    assert!(build().min_interval(SECOND).fresh_for(SECOND, SECOND).keep_for(SECOND).build().is_ok());
    assert_eq!(build().build().unwrap(), FetchLimits::default());
}
