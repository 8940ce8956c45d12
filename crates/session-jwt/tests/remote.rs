//! Keys that are fetched: how often, when, and what happens if they are not to be had.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Claims, Forge, encode, header, now, policy};
use session_core::ManualClock;
use session_jwt::{
    Algorithm, BoxError, FetchError, FetchJwks, FetchLimits, FetchLimitsError, JwksDocument, KeyError, RemoteVerifier,
    RemoteVerifyError, Verifier, VerifyError, VerifyingKeys,
};
use tokio::sync::Semaphore;

const URL: &str = "https://login.example/jwks.json";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the issuer's server does.
#[derive(Clone, Debug)]
enum Server {
    /// A document, and its `Cache-Control`.
    Serves(String, Option<&'static str>),
    /// An error.
    Fails,
    /// No response, ever.
    Hangs,
    /// A body of this many bytes, one chunk of 1000 after the other, whatever the reader says.
    Floods(usize),
    /// The client has a bug.
    Panics,
}

#[derive(Clone, Debug)]
struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: Mutex<Server>,
    fetches: AtomicUsize,
    /// Each response takes one.
    permits: Semaphore,
}

impl Client {
    fn new(server: Server) -> Self {
        let permits = Semaphore::new(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared { server: Mutex::new(server), fetches: AtomicUsize::new(0), permits }))
    }

    fn becomes(&self, server: Server) {
        *self.0.server.lock().unwrap() = server;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }

    /// Responses wait until [`open`](Self::open).
    fn close(&self) {
        self.0.permits.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.0.permits.add_permits(1_000_000);
    }
}

#[async_trait]
impl FetchJwks for Client {
    async fn fetch(&self, url: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
        assert_eq!(url, URL);
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        self.0.permits.acquire().await?.forget();
        let server = self.0.server.lock().unwrap().clone();
        match server {
            Server::Serves(body, cache_control) => {
                cache_control.into_iter().for_each(|value| document.cache_control(value));
                let (start, end) = body.as_bytes().split_at(body.len() / 2);
                document.push(start)?;
                document.push(end)?;
            }
            Server::Fails => return Err("connection refused".into()),
            Server::Hangs => std::future::pending().await,
            Server::Floods(bytes) => (0..bytes / 1000).for_each(|_| drop(document.push(&[b' '; 1000]))),
            Server::Panics => panic!("a bug of the client"),
        }
        Ok(())
    }
}

fn forge(number: u8) -> Forge {
    Forge::new(Algorithm::EdDsa, number)
}

fn document(numbers: &[u8]) -> String {
    let entries: Vec<String> = numbers
        .iter()
        .map(|number| {
            let document = forge(*number).ring().jwks(now()).to_json();
            document[r#"{"keys":["#.len()..document.len() - 2].to_owned()
        })
        .collect();
    format!(r#"{{"keys":[{}]}}"#, entries.join(","))
}

fn serves(numbers: &[u8]) -> Server {
    Server::Serves(document(numbers), None)
}

fn token(number: u8) -> String {
    forge(number).good()
}

/// What an attacker writes, who has no key.
fn forged(kid: &str) -> String {
    let segments = [header("EdDSA", kid, "at+jwt"), Claims::good().json(), "s".repeat(64)];
    segments.map(encode).join(".")
}

struct Bed {
    client: Client,
    clock: ManualClock,
    verifier: RemoteVerifier,
}

impl Bed {
    fn new(server: Server) -> Self {
        Self::with(server, FetchLimits::default())
    }

    fn with(server: Server, limits: FetchLimits) -> Self {
        let (client, clock) = (Client::new(server), ManualClock::new(now()));
        let verifier = Verifier::for_issuer(policy(), VerifyingKeys::none());
        let verifier = RemoteVerifier::new(verifier, URL, client.clone()).unwrap();
        Self { verifier: verifier.with_limits(limits).with_clock(clock.clone()), client, clock }
    }

    /// Whether the token of this key is accepted, but for its age: the clock is moved by more than its lifetime.
    async fn knows(&self, number: u8) -> bool {
        match self.verifier.verify(token(number)).await {
            Ok(_) | Err(RemoteVerifyError::Token(VerifyError::Expired)) => true,
            Err(RemoteVerifyError::Token(VerifyError::Key)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn keys_error(&self, number: u8) -> FetchError {
        let error = self.verifier.verify(token(number)).await.unwrap_err();
        let RemoteVerifyError::Keys(error) = error else { panic!("{error:?}") };
        error
    }

    /// Lets what goes on in the background end.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

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
    let calls = (0..64).map(|_| {
        let verifier = bed.verifier.clone();
        tokio::spawn(async move { verifier.verify(token(1)).await.is_ok() })
    });
    for call in calls.collect::<Vec<_>>() {
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
