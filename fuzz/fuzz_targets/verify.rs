//! Everything of access tokens that reads what somebody else wrote. The first byte chooses what; the rest is the input.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use libfuzzer_sys::fuzz_target;
use session_core::{OsEntropy, Timestamp};
use session_jwt::{
    Algorithm, Claims, Ed25519Key, HmacKey, KeyRing, P256Key, PublicKey, Rotation, SigningKey, TokenPolicy, Verifier,
    VerifyingKeys,
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

struct Fixture {
    secret: Vec<u8>,
    /// The header that the ring writes.
    header: String,
    /// Our own tokens, and those of others, by algorithm.
    own: Vec<Verifier>,
    foreign: Vec<Verifier>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let policy = TokenPolicy::new("i", "a").expect("a policy");
    let secret: Vec<u8> = (1..33).collect();
    let key = SigningKey::from(HmacKey::from_bytes(&secret).expect("a key"));
    let header = format!(r#"{{"alg":"HS256","kid":"{}","typ":"at+jwt"}}"#, key.kid());
    let others = [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| SigningKey::generate(algorithm, &OsEntropy));
    let keys = std::iter::once(key).chain(others.map(|key| key.expect("a key")));
    let rings: Vec<KeyRing> =
        keys.map(|key| KeyRing::with_key(key, Rotation::default(), NOW).expect("a ring")).collect();
    let own = rings.iter().map(|ring| Verifier::new(policy.clone(), ring.verifying_keys())).collect();
    let foreign = rings.iter().map(|ring| Verifier::for_issuer(policy.clone(), ring.verifying_keys())).collect();
    Fixture { secret, header, own, foreign }
});

impl Fixture {
    /// A token with exactly these segments, rightly signed.
    fn token(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mac = Hmac::<sha2::Sha256>::new_from_slice(&self.secret).expect("a key").chain_update(&message);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// What holds of every token that is accepted.
fn check(claims: &Claims) {
    assert!(NOW < claims.expires_at + Duration::from_secs(5));
    assert!(claims.issued_at <= NOW + Duration::from_secs(5));
    assert!(claims.expires_at.since(claims.issued_at) <= Duration::from_secs(300));
    assert!(!claims.user.as_str().is_empty() && !claims.token_id.is_empty());
}

const GOOD: &str = r#"{"iss":"i","sub":"u","aud":"a","exp":1767225900,"iat":1767225600,"jti":"j","sid":"CQkJCQkJCQkJCQkJCQkJCQ","auth_time":1767225600,"amr":[]}"#;

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    let fixture = &*FIXTURE;
    match choice % 4 {
        // A whole token. Nobody signed it.
        0 => {
            for verifier in fixture.own.iter().chain(&fixture.foreign) {
                assert!(verifier.verify(input, NOW).is_err());
            }
        }
        // A payload, rightly signed.
        1 => {
            let token = fixture.token(fixture.header.as_bytes(), input);
            let own = fixture.own[0].verify(&token, NOW);
            let foreign = fixture.foreign[0].verify(&token, NOW);
            assert_eq!(own.as_ref().err(), foreign.as_ref().err());
            own.iter().for_each(check);
        }
        // A header, rightly signed over a payload that is right.
        2 => {
            let token = fixture.token(input, GOOD.as_bytes());
            assert_eq!(fixture.own[0].verify(&token, NOW).is_ok(), input == fixture.header.as_bytes());
            if fixture.foreign[0].verify(&token, NOW).is_ok() {
                let text = std::str::from_utf8(input).expect("JSON");
                assert!(text.contains('{') && !text.contains("crit"));
            }
        }
        // Keys and documents.
        _ => {
            let _ = HmacKey::from_bytes(input);
            let Ok(text) = std::str::from_utf8(input) else { return };
            let _ = VerifyingKeys::from_jwks(text);
            let _ = PublicKey::from_jwk(text);
            let _ = PublicKey::from_pem(text);
            let _ = Ed25519Key::from_pem(text);
            let _ = P256Key::from_pem(text);
            if let Ok(key) = SigningKey::from_jwk(text) {
                let again = SigningKey::from_jwk(&key.to_jwk()).expect("its own JWK");
                assert_eq!(again.kid(), key.kid());
            }
            if let Ok(ring) = KeyRing::from_json(text) {
                let again = KeyRing::from_json(&ring.to_json()).expect("its own text");
                assert!(again.keys(NOW).eq(ring.keys(NOW)));
                assert!(ring.rotate(NOW, &OsEntropy).is_ok());
            }
        }
    }
});
