//! The life of a key: published, signing, verifying, expired.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::{ALGORITHMS, Forge, exact, issue, now, parsed, policy};
use proptest::prelude::*;
use session_core::{Clock as _, ManualClock, OsEntropy, Timestamp};
use session_jwt::KeyState::{self, Expired, Published, Signing, Verifying};
use session_jwt::{
    AccessTokens, Algorithm, KeyError, KeyRing, Rotation, RotationBuilder, SigningKey, Verifier, VerifyError,
    VerifyingKeys,
};

const HOUR: Duration = Duration::from_secs(3600);
const MILLI: Duration = Duration::from_millis(1);

fn daily() -> RotationBuilder {
    Rotation::builder().publish_ahead(HOUR).sign_for(24 * HOUR).verify_for(HOUR)
}

fn ring(algorithm: Algorithm) -> KeyRing {
    KeyRing::with_key(Forge::new(algorithm, 1).key(), daily().build().unwrap(), now())
}

fn states(ring: &KeyRing, now: Timestamp) -> Vec<KeyState> {
    ring.keys(now).map(|key| key.state).collect()
}

fn kid(token: &str) -> String {
    let header: serde_json::Value =
        serde_json::from_slice(&crate::common::decode(token.split('.').next().unwrap())).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.keys(now()).map(|key| key.kid).collect()
}

#[test]
fn a_key_is_published_then_signs_then_verifies_until_its_last_token_expired() {
    for algorithm in ALGORITHMS {
        let clock = ManualClock::new(now());
        let tokens = AccessTokens::new(policy(), ring(algorithm)).unwrap();
        let rotate = || tokens.ring().rotate(clock.now(), &OsEntropy).unwrap();
        let first = kid(&issue(&tokens, clock.now()));

        // Until an hour before the end of the first key's day, nothing is due.
        clock.advance(23 * HOUR - MILLI);
        assert!(rotate().is_none());
        clock.advance(MILLI);
        tokens.set_ring(rotate().unwrap()).unwrap();
        assert!(rotate().is_none(), "one key is published, not one for each call");
        assert_eq!(states(&tokens.ring(), clock.now()), [Signing, Published]);
        let second = kids(&tokens.ring())[1].clone();

        // The next key is published for an hour before it signs.
        let public = (algorithm != Algorithm::Hs256)
            .then(|| VerifyingKeys::from_jwks(&tokens.jwks(clock.now()).to_json()).unwrap());
        clock.advance(HOUR - MILLI);
        let last = issue(&tokens, clock.now());
        assert_eq!(kid(&last), first);
        clock.advance(MILLI);
        let token = issue(&tokens, clock.now());
        assert_eq!(kid(&token), second);
        if let Some(keys) = public {
            assert!(Verifier::new(policy(), keys).verify(&token, clock.now()).is_ok());
        }
        assert_eq!(states(&tokens.ring(), clock.now()), [Verifying, Signing]);

        // The last token of the first key, signed a millisecond earlier, is valid as long as any other.
        assert!(tokens.verify(&last, clock.now() + Duration::from_millis(303_999)).is_ok());
        assert_eq!(tokens.verify(&last, clock.now() + Duration::from_secs(304)).unwrap_err(), VerifyError::Expired);

        // From then on the key verifies nothing, removed or not, and the next rotation removes it.
        clock.advance(HOUR - MILLI);
        assert_eq!(states(&tokens.ring(), clock.now()), [Verifying, Signing]);
        assert!(rotate().is_none());
        clock.advance(MILLI);
        assert_eq!(states(&tokens.ring(), clock.now()), [Expired, Signing]);
        assert_eq!(tokens.verify(&last, clock.now()).unwrap_err(), VerifyError::Header);
        assert!(!tokens.jwks(clock.now()).to_json().contains(&first));
        tokens.set_ring(rotate().unwrap()).unwrap();
        assert_eq!(kids(&tokens.ring()), [second]);
    }
}

#[test]
fn a_late_rotation_publishes_before_it_signs_all_the_same() {
    let late = now() + 100 * 24 * HOUR;
    let ring = ring(Algorithm::EdDsa);
    assert_eq!(states(&ring, late), [Signing], "without a successor it continues");
    let ring = ring.rotate(late, &OsEntropy).unwrap().unwrap();
    assert_eq!(states(&ring, late + HOUR - MILLI), [Signing, Published]);
    assert_eq!(states(&ring, late + HOUR), [Verifying, Signing]);
}

#[test]
fn a_retired_key_verifies_nothing_at_once() {
    for algorithm in ALGORITHMS {
        let tokens = AccessTokens::new(policy(), ring(algorithm)).unwrap();
        let parsed = parsed(&tokens.ring());
        let stolen = issue(&tokens, now());
        assert!(tokens.verify(&stolen, now()).is_ok() && parsed.verify(&stolen, now()).is_ok());

        let ring = tokens.ring().retire(&kid(&stolen), now(), &OsEntropy).unwrap();
        parsed.set_keys(VerifyingKeys::from_ring(&ring));
        tokens.set_ring(ring).unwrap();
        assert_eq!(tokens.verify(&stolen, now()).unwrap_err(), VerifyError::Header);
        assert_eq!(parsed.verify(&stolen, now()).unwrap_err(), VerifyError::Key);

        // Another key signs now, of the same algorithm.
        let fresh = issue(&tokens, now());
        assert!(tokens.verify(&fresh, now()).is_ok() && parsed.verify(&fresh, now()).is_ok());
        assert_eq!(tokens.ring().keys(now()).map(|key| key.algorithm).collect::<Vec<_>>(), [algorithm]);
        assert_eq!(tokens.ring().retire(&kid(&stolen), now(), &OsEntropy).unwrap_err(), KeyError::Unknown);
    }
}

#[test]
fn whichever_key_is_retired_one_key_signs() {
    let start = ring(Algorithm::EdDsa);
    let first = now() + 24 * HOUR;
    let ring = start.rotate(first - HOUR, &OsEntropy).unwrap().unwrap();
    let both = first + MILLI; // the old key verifies, the second one signs
    let with_next = ring.publish(Forge::new(Algorithm::Es256, 50).key(), both).unwrap();
    assert_eq!(states(&with_next, both), [Verifying, Signing, Published]);
    let retire = |index: usize| {
        let ring = with_next.retire(&kids(&with_next)[index], both, &OsEntropy).unwrap();
        states(&ring, both)
    };
    assert_eq!(retire(0), [Signing, Published]);
    assert_eq!(retire(1), [Verifying, Signing], "the next key signs now");
    assert_eq!(retire(2), [Verifying, Signing]);
    // A key that has stopped signing does not resume: a new one signs.
    let alone = ring.retire(&kids(&ring)[1], both, &OsEntropy).unwrap();
    assert_eq!(states(&alone, both), [Verifying, Signing]);
    assert!(!kids(&ring).contains(&kids(&alone)[1]));
}

#[test]
fn a_key_that_is_not_in_the_ring_yet_verifies_nothing() {
    for algorithm in ALGORITHMS {
        let before = ring(algorithm);
        let verifier = exact(&before);
        let after = before.publish(Forge::new(algorithm, 50).key(), now()).unwrap();
        let tokens = AccessTokens::new(policy(), after.clone()).unwrap();
        let later = now() + HOUR;
        let token = issue(&tokens, later);
        assert_eq!(verifier.verify(&token, later).unwrap_err(), VerifyError::Header);
        verifier.set_keys(VerifyingKeys::from_ring(&after));
        assert!(verifier.verify(&token, later).is_ok());
        // A server whose clock is fast may sign with it slightly early.
        assert!(verifier.verify(&token, later - Duration::from_secs(5)).is_ok());
    }
}

#[test]
fn one_next_key_at_a_time() {
    let ring = ring(Algorithm::EdDsa);
    let same = ring.publish(Forge::new(Algorithm::EdDsa, 1).key(), now()).unwrap_err();
    assert_eq!(same, KeyError::DuplicateKid);
    let ring = ring.publish(Forge::new(Algorithm::EdDsa, 50).key(), now()).unwrap();
    let third = Forge::new(Algorithm::EdDsa, 100);
    assert_eq!(ring.publish(third.key(), now()).unwrap_err(), KeyError::NextExists);
    assert!(ring.publish(third.key(), now() + HOUR).is_ok());
}

#[test]
fn contradicting_rotations_are_refused() {
    for rotation in [
        daily().publish_ahead(Duration::ZERO),
        daily().sign_for(Duration::ZERO),
        daily().verify_for(Duration::ZERO),
        daily().sign_for(HOUR),
        daily().sign_for(Duration::MAX),
    ] {
        assert_eq!(rotation.build().unwrap_err(), KeyError::Rotation);
    }
    assert!(daily().sign_for(HOUR + MILLI).build().is_ok());
}

#[test]
fn rings_are_replaced_while_tokens_are_verified() {
    let tokens = AccessTokens::new(policy(), ring(Algorithm::Hs256)).unwrap();
    let next = ring(Algorithm::Hs256).publish(Forge::new(Algorithm::Hs256, 50).key(), now()).unwrap();
    let rings = [tokens.ring(), next];
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..2000).all(|_| tokens.verify(issue(&tokens, now()), now()).is_ok())))
            .collect();
        for turn in 0..2000 {
            tokens.set_ring(rings[turn % 2].clone()).unwrap();
        }
        assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Rotate,
    Publish,
    Retire(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40_000u32).prop_map(Step::Wait),
        3 => Just(Step::Rotate),
        1 => Just(Step::Publish),
        1 => (0..4usize).prop_map(Step::Retire),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// After any sequence of operations, exactly one key signs, and a token is accepted exactly until it expires or its key
    /// is retired.
    #[test]
    fn tokens_verify_until_they_expire_or_their_key_is_retired(steps in prop::collection::vec(step(), 1..30)) {
        let mut clock = now();
        let tokens = AccessTokens::new(policy(), ring(Algorithm::Hs256)).unwrap();
        let mut issued: Vec<(Timestamp, String)> = Vec::new();
        let mut retired: Vec<String> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => clock = clock + Duration::from_secs(seconds.into()),
                Step::Rotate => {
                    if let Some(ring) = tokens.ring().rotate(clock, &OsEntropy).unwrap() {
                        tokens.set_ring(ring).unwrap();
                    }
                }
                Step::Publish => {
                    let key = SigningKey::generate(Algorithm::Hs256, &OsEntropy).unwrap();
                    if let Ok(ring) = tokens.ring().publish(key, clock) {
                        tokens.set_ring(ring).unwrap();
                    }
                }
                Step::Retire(index) => {
                    let kids = kids(&tokens.ring());
                    let kid = &kids[index % kids.len()];
                    tokens.set_ring(tokens.ring().retire(kid, clock, &OsEntropy).unwrap()).unwrap();
                    retired.push(kid.clone());
                }
                Step::Restart => tokens.set_ring(KeyRing::from_json(&tokens.ring().to_json()).unwrap()).unwrap(),
            }
            issued.push((clock, issue(&tokens, clock)));
            let signing = states(&tokens.ring(), clock).iter().filter(|state| **state == Signing).count();
            prop_assert_eq!(signing, 1);
            for (at, token) in &issued {
                let valid = clock < *at + Duration::from_secs(305) && !retired.contains(&kid(token));
                prop_assert_eq!(tokens.verify(token, clock).is_ok(), valid);
            }
        }
    }
}
