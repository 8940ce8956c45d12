//! RFC 9864: an algorithm with two names is one algorithm.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::common::{ALGORITHMS, Claims, Forge, exact, header, issue, now, parsed, policy};
use session_core::OsEntropy;
use session_jwt::{
    AccessTokens, Algorithm, AlgorithmNames, KeyRing, PublicKey, SigningKey, Verifier, VerifyError, VerifyingKeys,
};

/// Each algorithm with both names: the one in tokens by default, the one of RFC 9864, and what is written for the latter.
const NAMES: [(Algorithm, [&str; 2], &str); 2] =
    [(Algorithm::EdDsa, ["EdDSA", "Ed25519"], "Ed25519"), (Algorithm::Es256, ["ES256", "ESP256"], "ES256")];

fn alg(token: &str) -> String {
    let header: serde_json::Value =
        serde_json::from_slice(&crate::common::decode(token.split('.').next().unwrap())).unwrap();
    header["alg"].as_str().unwrap().to_owned()
}

#[test]
fn both_names_are_accepted_in_keys_documents_and_headers() {
    for (algorithm, names, _) in NAMES {
        let forge = Forge::new(algorithm, 1);
        let document = forge.ring().jwks(now()).to_json();
        let own = forge.key();
        for name in names {
            let spelled =
                |text: &str| text.replace(&format!("\"alg\":\"{}\"", names[0]), &format!("\"alg\":\"{name}\""));
            let text = spelled(&document);
            assert!(text.contains(name));
            let keys = || VerifyingKeys::from_jwks(&text).unwrap();
            let key = text[r#"{"keys":["#.len()..text.len() - 2].to_owned();
            assert_eq!(PublicKey::from_jwk(&key).unwrap().algorithm(), algorithm);
            let private = spelled(&own.to_jwk());
            assert_eq!(*SigningKey::from_jwk(&private).unwrap().to_jwk(), *own.to_jwk());
            let ring = KeyRing::from_json(&spelled(&forge.ring().to_json())).unwrap();
            let verifiers =
                [Verifier::new(policy(), keys()), Verifier::for_issuer(policy(), keys()), exact(&ring), parsed(&ring)];
            for in_token in names {
                let token = forge.token(header(in_token, &forge.kid(), "at+jwt"), Claims::good().json());
                for verifier in &verifiers {
                    assert!(verifier.verify(&token, now()).is_ok(), "{name} in the key, {in_token} in the token");
                }
                let tokens = AccessTokens::new(policy(), ring.clone()).unwrap();
                assert!(tokens.verify(&token, now()).is_ok());
            }
        }
    }
}

#[test]
fn names_of_other_algorithms_are_refused_in_either_spelling() {
    for (algorithm, names, _) in NAMES {
        let forge = Forge::new(algorithm, 1);
        for other in ["Ed25519", "EdDSA", "ESP256", "ES256", "ed25519", "ED25519", "Ed448", "ESP384", "Esp256"] {
            if names.contains(&other) {
                continue;
            }
            let token = forge.token(header(other, &forge.kid(), "at+jwt"), Claims::good().json());
            assert_eq!(exact(&forge.ring()).verify(&token, now()).unwrap_err(), VerifyError::Header, "{other}");
            assert_eq!(parsed(&forge.ring()).verify(&token, now()).unwrap_err(), VerifyError::Algorithm, "{other}");
            let document = forge.ring().jwks(now()).to_json();
            let document = document.replace(&format!("\"alg\":\"{}\"", names[0]), &format!("\"alg\":\"{other}\""));
            assert!(VerifyingKeys::from_jwks(&document).is_err(), "{other}");
        }
    }
}

#[test]
fn the_spelling_is_chosen_is_stored_and_can_be_changed_at_any_time() {
    for (algorithm, [established, _], written) in NAMES {
        let ring = Forge::new(algorithm, 1).ring();
        assert_eq!(ring.algorithm_names(), AlgorithmNames::Established);
        assert!(!ring.to_json().contains("algorithm_names"), "earlier releases read it");
        let changed = ring.clone().with_algorithm_names(AlgorithmNames::FullySpecified);
        let changed = KeyRing::from_json(&changed.to_json()).unwrap();
        assert_eq!(changed.algorithm_names(), AlgorithmNames::FullySpecified);
        assert!(changed.jwks(now()).to_json().contains(&format!("\"alg\":\"{written}\"")));
        // Whatever becomes of the ring.
        let later = now() + std::time::Duration::from_secs(30 * 24 * 3600);
        let rotated = changed.rotate(later, &OsEntropy).unwrap().unwrap();
        let retired = rotated.retire(&Forge::new(algorithm, 1).kid(), later, &OsEntropy).unwrap();
        let published = changed.publish(Forge::new(algorithm, 50).key(), later).unwrap();
        for ring in [rotated, retired, published] {
            assert_eq!(ring.algorithm_names(), AlgorithmNames::FullySpecified);
        }

        let tokens = AccessTokens::new(policy(), ring.clone()).unwrap();
        let before = issue(&tokens, now());
        assert_eq!(alg(&before), established);
        tokens.set_ring(changed.clone()).unwrap();
        let after = issue(&tokens, now());
        assert_eq!(alg(&after), written);
        tokens.verify(&before, now()).unwrap();
        tokens.verify(&after, now()).unwrap();
        // And back: servers that have not loaded the new ring yet accept its tokens, too.
        tokens.set_ring(ring.clone()).unwrap();
        tokens.verify(&after, now()).unwrap();
        for ring in [&ring, &changed] {
            let keys = || VerifyingKeys::from_jwks(&ring.jwks(now()).to_json()).unwrap();
            for verifier in [Verifier::new(policy(), keys()), Verifier::for_issuer(policy(), keys()), exact(ring)] {
                assert!(verifier.verify(&before, now()).is_ok() && verifier.verify(&after, now()).is_ok());
            }
        }
    }
}

#[test]
fn a_stored_ring_with_a_spelling_that_is_none_is_refused() {
    for algorithm in ALGORITHMS {
        let ring = Forge::new(algorithm, 1).ring().with_algorithm_names(AlgorithmNames::FullySpecified);
        let json = ring.to_json();
        for value in ["\"other\"", "1", "null", "{}"] {
            let changed = json.replace("\"fully_specified\"", value);
            assert_ne!(changed, *json);
            assert!(KeyRing::from_json(&changed).is_err(), "{value}");
        }
    }
}
