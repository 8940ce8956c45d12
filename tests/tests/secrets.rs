//! No token, digest, user or value reaches a log, an event or an error, and no token reaches the store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod life;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::ReferenceStore;
use session_core::store::Record;
use session_core::{Login, ManualClock, Policy, Renewal, SessionManager, UserId};
use session_testbed::{Client, Recorder, RecordingStore};
use zeroize::ZeroizeOnDrop;

use life::{Traces, USER, stored_secrets};

async fn life() -> Traces {
    life::life(ReferenceStore::new(), async || {}).await
}

#[tokio::test]
async fn the_scenario_leaves_traces() {
    let traces = life().await;
    let log = String::from_utf8(traces.log.clone()).unwrap();
    for event in [
        "Created",
        "LoggedIn",
        "Renewed",
        "RenewalRaced",
        "SteppedUp",
        "Regenerated",
        "TokenReuse",
        "Terminated(Reuse)",
        "Terminated(Replaced)",
        "Terminated(Revoked)",
        "Terminated(Logout)",
        "the session store failed",
        "UnknownToken",
        "MalformedToken",
        "AmbiguousCookie",
        "session.open",
        "session.commit",
        "session.store",
        "db.operation.name",
    ] {
        assert!(log.contains(event), "the log lacks {event}:\n{log}");
    }
    for metric in ["session_ended_total{reason=\"reuse\"} 2", "session_store_operation_duration_seconds_count"] {
        assert!(traces.metrics.contains(metric), "{}", traces.metrics);
    }
    assert!(traces.errors.contains("injected failure"), "{}", traces.errors);
    assert!(log.contains("injected failure: its cause"), "{log}");
    assert!(traces.tokens.len() >= 11, "{} tokens", traces.tokens.len());
    // The search finds secrets where they are.
    assert!(!traces.tokens().found_in(&traces.tokens[0]).is_empty());
    assert!(!traces.all().found_in(&traces.written[0].1).is_empty());
}

#[tokio::test]
async fn log_holds_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.log), [""; 0]);
}

#[tokio::test]
async fn metrics_hold_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(traces.metrics.as_bytes()), [""; 0]);
}

#[tokio::test]
async fn events_show_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.events), [""; 0]);
}

#[tokio::test]
async fn errors_show_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.errors), [""; 0]);
}

#[tokio::test]
async fn store_holds_no_token() {
    let traces = life().await;
    let tokens = traces.tokens();
    assert!(traces.written.len() >= 10, "{} records", traces.written.len());
    for (number, (_, record)) in traces.written.iter().enumerate() {
        assert_eq!(tokens.found_in(record), [""; 0], "record {number}");
    }
}

#[tokio::test]
async fn what_the_store_holds_cannot_be_presented() {
    let store = Arc::new(RecordingStore::new(ReferenceStore::new(), Recorder::default()));
    let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };
    let clock = ManualClock::default();
    let manager = SessionManager::builder(store.clone())
        .policy(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap())
        .clock(clock.clone())
        .build();
    let mut owner = Client::new(&manager);
    owner.request(async |session| session.login(Login::new(UserId::new(USER).unwrap()))).await.unwrap();
    clock.advance(renewal.timeout);
    owner.request(async |_| Ok(())).await.unwrap();
    let records: Vec<Record> =
        store.hook().written().iter().map(|(id, bytes)| Record::decode(*id, bytes).unwrap()).collect();
    let record = records.last().unwrap();
    let digests: Vec<Vec<u8>> = records.iter().flat_map(stored_secrets).collect();
    assert_eq!(digests.len(), 1 + 4, "a new credential has a digest; a renewed one has three and a nonce");

    let mut thief = Client::new(&manager);
    let pairs = digests.iter().flat_map(|first| digests.iter().map(move |second| [&first[..], second].concat()));
    let guesses = pairs.map(|pair| URL_SAFE_NO_PAD.encode([record.id().as_bytes(), &pair[..]].concat()));
    let texts = digests.iter().map(|digest| URL_SAFE_NO_PAD.encode(digest));
    for guess in guesses.chain(texts).chain([record.id().to_string()]) {
        thief.set_token(&guess);
        let anonymous = async |session: &session_core::Session| {
            assert!(session.user().is_none() && session.id().is_none());
            Ok(())
        };
        thief.request(anonymous).await.unwrap();
    }
    let still_there = async |session: &session_core::Session| {
        assert_eq!(session.user().unwrap().as_str(), USER, "guesses end no session");
        Ok(())
    };
    owner.request(still_there).await.unwrap();
}

#[test]
fn tokens_are_wiped_when_they_are_dropped() {
    fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<session_core::SessionToken>();
    is_wiped::<session_core::PresentedToken>();
    is_wiped::<session_core::EncodedToken>();
}
