//! Client-side sessions, signed.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::visit::visit;
use session_conformance::RecordBuilder;
use session_core::store::{Record, Seal};
use session_core::{Clock as _, Error, Key, Login, ManualClock, OsEntropy, Policy, SessionManager, Timestamp, UserId};
use session_jwt::{AccessTokens, Algorithm, JwtSeal, KeyError, KeyRing, Rotation, Subject, TokenPolicy, VerifyError};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ISSUER: &str = "https://shop.example";

fn ring(algorithm: Algorithm, now: Timestamp) -> KeyRing {
    let rotation = Rotation::builder().verify_for(7 * DAY).build().unwrap();
    KeyRing::generate(algorithm, rotation, now, &OsEntropy).unwrap()
}

fn seal(ring: KeyRing) -> JwtSeal {
    JwtSeal::new(ISSUER, ring, &Policy::standard()).unwrap()
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn record(now: Timestamp, size: usize) -> Record {
    RecordBuilder::new(now).of(&alice()).timeouts(DAY, 2 * DAY).value("cart", vec![b'x'; size]).build().unwrap()
}

#[test]
fn what_is_sealed_can_be_opened_and_has_the_predicted_length() {
    let now = ManualClock::default().now();
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256] {
        let seal = seal(ring(algorithm, now));
        for size in 0..100 {
            let record = record(now, size);
            let text = seal.seal(&record, now).unwrap();
            assert_eq!(text.len(), seal.sealed_len(&record), "{algorithm:?} {size}");
            assert_eq!(seal.open(text.as_bytes(), now).unwrap().encode().unwrap(), record.encode().unwrap());
        }
    }
}

#[test]
fn nothing_else_is_opened() {
    let now = ManualClock::default().now();
    let keys = ring(Algorithm::Hs256, now);
    let seal = seal(keys.clone());
    let text = seal.seal(&record(now, 10), now).unwrap();
    // Every byte counts.
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] ^= 1;
        assert!(seal.open(&changed, now).is_none(), "byte {at}");
    }
    let other_keys = self::seal(ring(Algorithm::Hs256, now));
    assert!(other_keys.open(text.as_bytes(), now).is_none());
    let other_issuer = JwtSeal::new("https://other.example", keys, &Policy::standard()).unwrap();
    assert!(other_issuer.open(text.as_bytes(), now).is_none());
}

#[tokio::test]
async fn neither_kind_of_token_passes_for_the_other() {
    let now = ManualClock::default().now();
    let keys = ring(Algorithm::Hs256, now);
    let seal = seal(keys.clone());
    let tokens = AccessTokens::new(TokenPolicy::new(ISSUER, ISSUER).unwrap(), keys).unwrap();
    let record = record(now, 0);
    let text = seal.seal(&record, now).unwrap();
    assert_eq!(tokens.verify(&text, now).unwrap_err(), VerifyError::Header);
    let authentication = record.summary.authentication.as_ref().unwrap();
    let subject = Subject::new(record.summary.id, authentication, Timestamp::MAX);
    assert!(seal.open(tokens.issue(&subject, now).await.unwrap().expose().as_bytes(), now).is_none());
}

#[test]
fn keys_change_under_sessions_that_live() {
    let now = ManualClock::default().now();
    let keys = ring(Algorithm::EdDsa, now);
    let seal = seal(keys.clone());
    let old = seal.seal(&record(now, 0), now).unwrap();
    let keys = keys.rotate(now + 29 * DAY, &OsEntropy).unwrap().unwrap();
    seal.set_ring(keys.clone()).unwrap();
    let later = now + 31 * DAY;
    assert!(seal.open(old.as_bytes(), later).is_some(), "the key verifies for 7 days more");
    let new = seal.seal(&record(now, 0), later).unwrap();
    let first = keys.keys(later).next().unwrap().kid;
    seal.set_ring(keys.retire(&first, later, &OsEntropy).unwrap()).unwrap();
    assert!(seal.open(old.as_bytes(), later).is_none(), "retired at once");
    assert!(seal.open(new.as_bytes(), later).is_some());
    let hasty = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy).unwrap();
    assert_eq!(seal.set_ring(hasty), Err(KeyError::VerifyFor));
}

#[tokio::test]
async fn a_whole_visit() {
    const TEXT: Key<String> = Key::new("text");
    let clock = ManualClock::default();
    let seal = seal(ring(Algorithm::Es256, clock.now()));
    let manager = SessionManager::client_side(seal, None).clock(clock.clone()).build();
    let (_, _, cookie) = visit(&manager, None, |session| session.login(Login::new(alice()).method("pwd"))).await;
    let (session, _, cookie) = visit(&manager, cookie, |session| session.insert(TEXT, &"hello".to_owned())).await;
    assert_eq!(session.user(), Some(alice()));
    let (session, refused, none) =
        visit(&manager, cookie.clone(), |session| session.insert(TEXT, &"x".repeat(3000))).await;
    assert!(matches!(refused, Err(Error::CookieTooLarge { max: 3000, .. })), "{refused:?}");
    assert!(none.is_none() && session.get(TEXT).unwrap().as_deref() == Some("hello"));
    clock.advance(Duration::from_secs(30 * 60));
    let (session, _, _) = visit(&manager, cookie, |_| ()).await;
    assert!(session.user().is_none(), "the idle timeout is enforced");
}
