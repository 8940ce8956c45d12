//! What happens while the keys are not to be had.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use session_jwt::{BoxError, FetchError, KeyError, RemoteVerifyError};

use crate::bed::{Bed, HOUR, MINUTE, SECOND, Server, document, serves, token};
use crate::common::now;

#[tokio::test]
async fn keys_outlive_an_outage_for_a_day_and_no_longer() {
    let bed = Bed::new(serves(&[1]));
    assert!(bed.knows(1).await);
    bed.client.becomes(Server::Fails);
    let mut before = bed.client.fetches();
    for _ in 0..24 * 4 - 1 {
        bed.clock.advance(15 * MINUTE);
        for _ in 0..10 {
            assert!(bed.knows(1).await);
            bed.settle().await;
        }
        let fetches = bed.client.fetches();
        assert_eq!(fetches, before + 1, "one attempt in each interval");
        before = fetches;
    }
    // Whether the issuer has a key that we do not know cannot be told.
    assert!(matches!(bed.keys_error(2).await, FetchError::Failed(_)));
    bed.clock.advance(15 * MINUTE);
    assert!(matches!(bed.keys_error(1).await, FetchError::Failed(_)), "a day is over");
    assert!(matches!(bed.keys_error(1).await, FetchError::Failed(_)));
    assert_eq!(bed.client.fetches(), before + 1);
    bed.client.becomes(serves(&[1]));
    bed.clock.advance(30 * SECOND);
    assert!(bed.knows(1).await);
    assert!(!bed.knows(2).await);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_refuses_nobody_for_good() {
    let bed = Bed::new(Server::Fails);
    assert!(matches!(bed.verifier.load().await, Err(FetchError::Failed(_))));
    for _ in 0..100 {
        assert!(matches!(bed.keys_error(1).await, FetchError::Failed(_)));
    }
    assert_eq!(bed.client.fetches(), 1);
    bed.client.becomes(serves(&[1]));
    bed.clock.advance(30 * SECOND);
    assert!(bed.knows(1).await);
}

#[tokio::test]
async fn garbage_replaces_no_keys() {
    let huge = format!(r#"{{"keys":[{}]}}"#, vec!["{}"; 200_000].join(","));
    let garbage = [
        (Server::Serves(String::new(), None), KeyError::Jwk),
        (Server::Serves("<html>maintenance</html>".into(), None), KeyError::Jwk),
        (Server::Serves(document(&[2]).replace('}', ""), None), KeyError::Jwk),
        (Server::Serves("{}".into(), None), KeyError::Jwk),
        (Server::Serves(r#"{"keys":[]}"#.into(), Some("max-age=9999")), KeyError::Count),
        (Server::Serves(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#.into(), None), KeyError::Count),
    ];
    for (server, error) in garbage {
        let bed = Bed::new(serves(&[1]));
        assert!(bed.knows(1).await);
        bed.client.becomes(server.clone());
        bed.clock.advance(11 * MINUTE);
        assert!(bed.knows(1).await, "{server:?}");
        let found = bed.keys_error(2).await;
        assert!(matches!(found, FetchError::Keys(found) if found == error), "{server:?}: {found:?}");
        assert!(bed.knows(1).await);
    }
    for server in [Server::Serves(huge, None), Server::Floods(100_000_000), Server::Floods(513 * 1024)] {
        let bed = Bed::new(serves(&[1]));
        assert!(bed.knows(1).await);
        bed.client.becomes(server);
        bed.clock.advance(11 * MINUTE);
        assert!(bed.knows(1).await);
        assert!(matches!(bed.keys_error(2).await, FetchError::TooLong));
    }
}

/// The time of the test's runtime is virtual.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_holds_up_nobody_but_for_the_time_limit() {
    let bed = Bed::new(Server::Hangs);
    let began = tokio::time::Instant::now();
    assert!(matches!(bed.keys_error(1).await, FetchError::TimedOut));
    assert_eq!(began.elapsed(), 5 * SECOND);

    bed.client.becomes(serves(&[1]));
    bed.clock.advance(MINUTE);
    assert!(bed.knows(1).await);
    bed.client.becomes(Server::Hangs);
    bed.clock.advance(10 * MINUTE);
    let began = tokio::time::Instant::now();
    assert!(bed.knows(1).await, "the keys serve on");
    assert_eq!(began.elapsed(), 5 * SECOND, "one call has waited");
    for _ in 0..10 {
        bed.clock.advance(MINUTE);
        let began = tokio::time::Instant::now();
        assert!(bed.knows(1).await);
        assert_eq!(began.elapsed(), Duration::ZERO, "no other waits");
        tokio::time::advance(6 * SECOND).await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_fetch() {
    let bed = Bed::new(serves(&[1]));
    bed.client.close();
    let verifier = bed.verifier.clone();
    let caller = tokio::spawn(async move { verifier.verify(token(1)).await.is_ok() });
    bed.settle().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    bed.client.open();
    assert!(bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 1);
}

#[tokio::test]
async fn a_client_that_panics_is_a_failure_like_any_other() {
    let bed = Bed::new(Server::Panics);
    assert!(matches!(bed.keys_error(1).await, FetchError::Aborted));
    assert!(matches!(bed.keys_error(1).await, FetchError::Aborted));
    bed.client.becomes(serves(&[1]));
    bed.clock.advance(30 * SECOND);
    assert!(bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_blocks_nothing() {
    let bed = Bed::new(serves(&[1]));
    bed.clock.set(now() + 1000 * HOUR);
    assert!(bed.knows(1).await);
    bed.client.becomes(serves(&[2]));
    bed.clock.set(now());
    assert!(bed.knows(2).await && !bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 2);
    // By little, as between two processors, changes nothing.
    bed.clock.set(now() - SECOND);
    assert!(bed.knows(2).await && !bed.knows(1).await);
    assert_eq!(bed.client.fetches(), 2);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let bed = Bed::new(serves(&[1]));
    let mut call = Box::pin(bed.verifier.verify(token(1)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = call.as_mut().poll(&mut context) else { panic!("it waits") };
    assert!(matches!(answer, Err(RemoteVerifyError::Keys(FetchError::Aborted))));
}

#[test]
fn errors_and_debug_tell_nothing_of_the_url_and_differ() {
    let shown = format!("{:?}", Bed::new(serves(&[1])).verifier);
    assert!(shown.contains("RemoteVerifier"), "{shown}");
    let texts: HashSet<String> = [
        FetchError::Failed(Arc::from(BoxError::from("x"))),
        FetchError::TimedOut,
        FetchError::TooLong,
        FetchError::Keys(KeyError::Count),
        FetchError::Aborted,
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(texts.len(), 5);
}
