//! Client-side sessions, encrypted and signed.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::visit::visit;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::RecordBuilder;
use session_core::store::{Cipher, DecryptError, EncryptionKey, EncryptionKeys, PlainValues, Record, Seal};
use session_core::{
    Clock as _, Device, Error, Key, Login, ManualClock, OsEntropy, Policy, SessionManager, Timestamp, UserId,
};
use session_jwt::{AccessTokens, Algorithm, JwtSeal, KeyRing, Rotation, Subject, TokenPolicy, VerifyError};

const DAY: Duration = Duration::from_secs(24 * 3600);
const ISSUER: &str = "https://shop.example";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256];

fn ring(algorithm: Algorithm, now: Timestamp) -> KeyRing {
    let rotation = Rotation::builder().verify_for(7 * DAY).build().unwrap();
    KeyRing::generate(algorithm, rotation, now, &OsEntropy).unwrap()
}

fn key() -> EncryptionKey {
    EncryptionKey::generate(&OsEntropy).unwrap()
}

fn keys(keys: &[&EncryptionKey]) -> EncryptionKeys {
    let copy = |key: &EncryptionKey| EncryptionKey::from_base64(&key.to_base64()).unwrap();
    let (first, others) = keys.split_first().unwrap();
    others.iter().fold(EncryptionKeys::new(copy(first)), |ring, key| ring.decrypting(copy(key)).unwrap())
}

fn signed(ring: &KeyRing) -> JwtSeal {
    JwtSeal::new(ISSUER, ring.clone(), &Policy::standard()).unwrap()
}

fn alice() -> UserId {
    UserId::new("alice-8f3ac1").unwrap()
}

fn record(now: Timestamp, size: usize) -> Record {
    let device = Device::new().with_label("laptop-77aa03");
    let builder = RecordBuilder::new(now).of(&alice()).timeouts(DAY, 2 * DAY).device(device);
    builder.value("cart-51c0d2", vec![b'x'; size]).build().unwrap()
}

fn opens(seal: &JwtSeal, text: &str, now: Timestamp) -> bool {
    seal.open(text.as_bytes(), now).is_some()
}

/// What is signed: the header, and what comes behind it.
fn decoded(text: &str) -> [Vec<u8>; 2] {
    let mut segments = text.split('.').map(|segment| URL_SAFE_NO_PAD.decode(segment).unwrap());
    [segments.next().unwrap(), segments.next().unwrap()]
}

#[test]
fn what_is_sealed_can_be_opened_and_has_the_predicted_length() {
    let now = ManualClock::default().now();
    for algorithm in ALGORITHMS {
        let ring = ring(algorithm, now);
        let (seal, plain) = (signed(&ring).encrypted(&keys(&[&key()])), signed(&ring));
        for size in 0..100 {
            let record = record(now, size);
            let text = seal.seal(&record, now).unwrap();
            assert_eq!(text.len(), seal.sealed_len(&record), "{algorithm:?} {size}");
            let opened = seal.open(text.as_bytes(), now).unwrap();
            assert_eq!(opened.id(), record.id());
            assert_eq!(opened.encode().unwrap(), record.encode().unwrap());
            assert!(text.len() < plain.sealed_len(&record), "it is no longer than one that is only signed");
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        }
    }
}

#[test]
fn nothing_of_a_session_is_in_clear() {
    let now = ManualClock::default().now();
    for algorithm in ALGORITHMS {
        let ring = ring(algorithm, now);
        let record = record(now, 20);
        let id = record.id();
        let seconds = (now.as_millis() / 1000).to_string();
        let secrets = [
            ("the issuer", ISSUER.as_bytes()),
            ("the user", b"alice-8f3ac1"),
            ("the device", b"laptop-77aa03"),
            ("a name", b"cart-51c0d2"),
            ("a value", b"xxxx"),
            ("the id", &id.as_bytes()[..]),
            ("the id as text", id.to_string().as_bytes()),
            ("when it began", seconds.as_bytes()),
            ("a claim", b"\"sub\""),
        ]
        .map(|(what, secret)| (what, secret.to_vec()));
        let found = |text: &str| {
            let [_, mut body] = decoded(text);
            // The record is in base64 once more where it is a claim.
            if let Ok(claims) = serde_json::from_slice::<serde_json::Value>(&body) {
                body.extend(URL_SAFE_NO_PAD.decode(claims["rec"].as_str().unwrap()).unwrap());
                body.extend(id.as_bytes());
            }
            let holds = |secret: &[u8]| body.windows(secret.len()).any(|window| window == secret);
            secrets.iter().filter(|(_, secret)| holds(secret)).map(|(what, _)| *what).collect::<Vec<_>>()
        };
        let seal = signed(&ring).encrypted(&keys(&[&key()]));
        let text = seal.seal(&record, now).unwrap();
        assert_eq!(found(&text), [""; 0]);
        assert_eq!(found(&signed(&ring).seal(&record, now).unwrap()).len(), secrets.len(), "the search finds them");
        let header: serde_json::Value = serde_json::from_slice(&decoded(&text)[0]).unwrap();
        let members: Vec<&String> = header.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "kid", "typ"]);
        assert_eq!(header["typ"], "encrypted-session");
        assert_ne!(decoded(&text)[1], decoded(&seal.seal(&record, now).unwrap())[1], "it looks different each time");
    }
}

#[test]
fn nothing_else_is_opened() {
    let now = ManualClock::default().now();
    let (ring, one) = (ring(Algorithm::Hs256, now), key());
    let seal = signed(&ring).encrypted(&keys(&[&one]));
    let text = seal.seal(&record(now, 10), now).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] ^= 1;
        assert!(seal.open(&changed, now).is_none(), "byte {at}");
        assert!(seal.open(&text.as_bytes()[..at], now).is_none(), "cut at {at}");
    }
    let other_ring = self::ring(Algorithm::Hs256, now);
    let other_issuer = JwtSeal::new("https://other.example", ring.clone(), &Policy::standard()).unwrap();
    for (what, other) in [
        ("a forger with the key that encrypts", signed(&other_ring).encrypted(&keys(&[&one]))),
        ("a forger with the key that signs", signed(&ring).encrypted(&keys(&[&key()]))),
        ("another application with both", other_issuer.encrypted(&keys(&[&one]))),
    ] {
        assert!(!opens(&other, &text, now), "{what}");
        assert!(!opens(&seal, &other.seal(&record(now, 10), now).unwrap(), now), "{what}");
    }
}

#[tokio::test]
async fn neither_kind_of_token_passes_for_the_other() {
    let now = ManualClock::default().now();
    let ring = ring(Algorithm::Hs256, now);
    let tokens = AccessTokens::new(TokenPolicy::new(ISSUER, ISSUER).unwrap(), ring.clone()).unwrap();
    let record = record(now, 0);
    let authentication = record.summary.authentication.as_ref().unwrap();
    let access = tokens.issue(&Subject::new(record.id(), authentication, Timestamp::MAX), now).await.unwrap();
    for plain in [PlainValues::Refused, PlainValues::Accepted] {
        let seal = signed(&ring).encrypted(&keys(&[&key()])).plain(plain);
        let text = seal.seal(&record, now).unwrap();
        assert_eq!(tokens.verify(&text, now).unwrap_err(), VerifyError::Header);
        assert!(!opens(&seal, access.expose(), now));
    }
}

/// The same key may encrypt a store.
#[test]
fn what_is_encrypted_for_a_cookie_is_not_what_is_encrypted_for_a_store() {
    let now = ManualClock::default().now();
    let keys = keys(&[&key()]);
    let seal = signed(&ring(Algorithm::Hs256, now)).encrypted(&keys);
    let [_, text] = decoded(&seal.seal(&record(now, 10), now).unwrap());
    let decrypt = |purpose| Cipher::new(&keys, purpose).decrypt(&text, ISSUER.as_bytes()).map(drop);
    assert_eq!(decrypt("store"), Err(DecryptError::Damaged));
    assert_eq!(decrypt("client-side"), Ok(()), "the test looks at the right place");
}

#[test]
fn sessions_in_use_become_encrypted_ones_and_back_without_a_logout() {
    use PlainValues::{Accepted, Refused, Written};
    let now = ManualClock::default().now();
    let (ring, keys) = (ring(Algorithm::EdDsa, now), keys(&[&key()]));
    let record = record(now, 10);
    let seal = |plain| signed(&ring).encrypted(&keys).plain(plain);
    let plain = signed(&ring).seal(&record, now).unwrap();
    let encrypted = seal(Refused).seal(&record, now).unwrap();
    let is_encrypted = |text: &str| serde_json::from_slice::<serde_json::Value>(&decoded(text)[1]).is_err();
    // Which of the two each reads, and what it writes.
    for (what, reads_plain, reads_encrypted, writes_encrypted, seal) in [
        ("without", true, false, false, signed(&ring)),
        ("written", true, true, false, seal(Written)),
        ("accepted", true, true, true, seal(Accepted)),
        ("refused", false, true, true, seal(Refused)),
    ] {
        assert_eq!(opens(&seal, &plain, now), reads_plain, "{what}");
        assert_eq!(opens(&seal, &encrypted, now), reads_encrypted, "{what}");
        let text = seal.seal(&record, now).unwrap();
        assert_eq!(is_encrypted(&text), writes_encrypted, "{what}");
        assert_eq!(text.len(), seal.sealed_len(&record), "{what}");
    }
}

#[test]
fn keys_change_under_sessions_that_live() {
    let now = ManualClock::default().now();
    let (ring, old, new) = (ring(Algorithm::EdDsa, now), key(), key());
    let seal = signed(&ring).encrypted(&keys(&[&old]));
    let before = seal.seal(&record(now, 0), now).unwrap();
    seal.set_encryption_keys(&keys(&[&new, &old]));
    let after = seal.seal(&record(now, 0), now).unwrap();
    assert!(opens(&seal, &before, now) && opens(&seal, &after, now));
    seal.set_encryption_keys(&keys(&[&new]));
    assert!(!opens(&seal, &before, now) && opens(&seal, &after, now));
    // Those that sign, too.
    let ring = ring.rotate(now + 29 * DAY, &OsEntropy).unwrap().unwrap();
    seal.set_ring(ring.clone()).unwrap();
    let later = now + 31 * DAY;
    assert!(opens(&seal, &after, later), "the key verifies for 7 days more");
    let first = ring.keys(later).next().unwrap().kid;
    seal.set_ring(ring.retire(&first, later, &OsEntropy).unwrap()).unwrap();
    assert!(!opens(&seal, &after, later), "retired at once");
    // A seal does not begin to encrypt while it is in use.
    let plain = signed(&ring);
    plain.set_encryption_keys(&keys(&[&new]));
    assert!(opens(&signed(&ring), &plain.seal(&record(now, 0), now).unwrap(), now));
}

#[test]
fn nothing_shows_a_key() {
    let (now, one) = (ManualClock::default().now(), key());
    let shown = format!("{:?}", signed(&ring(Algorithm::Hs256, now)).encrypted(&keys(&[&one])));
    assert!(shown.contains("Cipher") && !shown.contains(&one.to_base64()[..8]), "{shown}");
}

#[tokio::test]
async fn a_whole_visit() {
    const TEXT: Key<String> = Key::new("text");
    let clock = ManualClock::default();
    let seal = signed(&ring(Algorithm::Es256, clock.now())).encrypted(&keys(&[&key()]));
    let manager = SessionManager::client_side(seal, None).clock(clock.clone()).build();
    let (_, _, cookie) = visit(&manager, None, |session| session.login(Login::new(alice()).method("pwd"))).await;
    let (session, _, cookie) = visit(&manager, cookie, |session| session.insert(TEXT, &"hello".to_owned())).await;
    assert_eq!(session.user(), Some(alice()));
    let (session, refused, none) =
        visit(&manager, cookie.clone(), |session| session.insert(TEXT, &"x".repeat(3000))).await;
    assert!(matches!(refused, Err(Error::CookieTooLarge { max: 3000, .. })), "{refused:?}");
    assert!(none.is_none() && session.get(TEXT).unwrap().as_deref() == Some("hello"));
    let (_, fits, _) = visit(&manager, cookie.clone(), |session| session.insert(TEXT, &"x".repeat(1900))).await;
    fits.unwrap();
    clock.advance(Duration::from_secs(30 * 60));
    let (session, _, _) = visit(&manager, cookie, |_| ()).await;
    assert!(session.user().is_none(), "the idle timeout is enforced");
}
