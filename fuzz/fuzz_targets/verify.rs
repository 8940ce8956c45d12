//! Everything about access tokens that parses untrusted input. The first byte selects the target; the rest is its input.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use session_core::{OsEntropy, Timestamp};
use session_jwt::{Algorithm, Claims, KeyRing, PublicKey, Rotation, SigningKey, TokenPolicy, Verifier, VerifyingKeys};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

struct Fixture {
    secret: Vec<u8>,
    /// The header that the ring writes.
    header: String,
    /// For each algorithm, a verifier that compares headers, and one that parses them.
    exact: Vec<Verifier>,
    parsed: Vec<Verifier>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let policy = TokenPolicy::new("i", "a").expect("a policy");
    let secret: Vec<u8> = (1..33).collect();
    let key = SigningKey::from_secret(&secret).expect("a key");
    let header = format!(r#"{{"alg":"HS256","kid":"{}","typ":"at+jwt"}}"#, key.kid());
    let others = [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| SigningKey::generate(algorithm, &OsEntropy));
    let keys = std::iter::once(key).chain(others.map(|key| key.expect("a key")));
    let rings: Vec<KeyRing> = keys.map(|key| KeyRing::with_key(key, Rotation::default(), NOW)).collect();
    let keys = || rings.iter().map(VerifyingKeys::from_ring);
    let exact = keys().map(|keys| Verifier::new(policy.clone(), keys)).collect();
    let parsed = keys().map(|keys| Verifier::for_issuer(policy.clone(), keys)).collect();
    Fixture { secret, header, exact, parsed }
});

impl Fixture {
    /// A token with exactly these segments and a valid signature.
    fn token(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mac = Hmac::<sha2::Sha256>::new_from_slice(&self.secret).expect("a key").chain_update(&message);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// Holds for every accepted token.
fn check(claims: &Claims) {
    assert!(NOW < claims.expires_at + Duration::from_secs(5));
    assert!(claims.issued_at <= NOW + Duration::from_secs(5));
    assert!(claims.expires_at.since(claims.issued_at) <= Duration::from_secs(300));
    assert!(!claims.user.as_str().is_empty() && !claims.token_id().is_empty());
}

const GOOD: &str = r#"{"iss":"i","sub":"u","aud":"a","exp":1767225900,"iat":1767225600,"jti":"j","sid":"CQkJCQkJCQkJCQkJCQkJCQ","auth_time":1767225600,"amr":[]}"#;

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    let fixture = &*FIXTURE;
    match choice % 4 {
        // A whole token, which was not signed by any key.
        0 => {
            for verifier in fixture.exact.iter().chain(&fixture.parsed) {
                assert!(verifier.verify(input, NOW).is_err());
            }
        }
        // A payload, with a valid signature.
        1 => {
            let token = fixture.token(fixture.header.as_bytes(), input);
            let exact = fixture.exact[0].verify(&token, NOW);
            let parsed = fixture.parsed[0].verify(&token, NOW);
            assert_eq!(exact.as_ref().err(), parsed.as_ref().err());
            exact.iter().for_each(check);
            // Of other software, with the same signature.
            let foreign = fixture.parsed[0].verify_foreign(&token, NOW);
            assert!(foreign.is_err() || foreign.is_ok_and(|claims| !claims.subject.is_empty()));
            let _ = fixture.parsed[0].verify_logout(&token, NOW);
        }
        // A header, with a valid signature over a valid payload.
        2 => {
            let token = fixture.token(input, GOOD.as_bytes());
            assert_eq!(fixture.exact[0].verify(&token, NOW).is_ok(), input == fixture.header.as_bytes());
            if fixture.parsed[0].verify(&token, NOW).is_ok() {
                let text = std::str::from_utf8(input).expect("JSON");
                // `crit` may be within a member that is ignored.
                assert!(text.contains('{'));
            }
        }
        // Keys and documents.
        _ => {
            let _ = SigningKey::from_secret(input);
            let Ok(text) = std::str::from_utf8(input) else { return };
            let _ = VerifyingKeys::from_jwks(text);
            let _ = PublicKey::from_jwk(text);
            let _ = PublicKey::from_pem(text);
            let _ = SigningKey::from_pem(text);
            if let Ok(key) = SigningKey::from_jwk(text) {
                let again = SigningKey::from_jwk(&key.to_jwk()).expect("its own JWK");
                assert_eq!(again.kid(), key.kid());
            }
            if let Ok(ring) = KeyRing::from_json(text) {
                let again = KeyRing::from_json(&ring.to_json()).expect("its own JSON");
                assert!(again.keys(NOW).eq(ring.keys(NOW)));
                assert!(ring.rotate(NOW, &OsEntropy).is_ok());
            }
        }
    }
});
