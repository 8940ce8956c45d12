//! Proofs that are malformed or malicious, each refused for its reason.

use std::time::Duration;

use session_core::KeyThumbprint;
use session_jwt::{Algorithm, Dpop, DpopError, DpopMode, ProofError, VerifyError};

use super::{BASE, Head, Proof, jwk, quoted};
use crate::common::{Forge, NOW, at, at_once, encode};

const URI: &str = "https://api.example/me";

fn forge() -> Forge {
    Forge::new(Algorithm::Es256, 1)
}

fn dpop() -> Dpop {
    Dpop::new(BASE).unwrap()
}

fn good() -> Proof {
    Proof::new(&forge(), "GET", URI, "a proof")
}

fn verify_at(dpop: &Dpop, proof: &str, token: Option<&str>, second: u64) -> Result<KeyThumbprint, ProofError> {
    let head = Head::new("GET", "/me").with("dpop", proof);
    at_once(dpop.verify(&head, token, at(second))).map(|key| key.unwrap().thumbprint())
}

/// By a server that has seen no other.
fn verify(proof: &str) -> Result<KeyThumbprint, ProofError> {
    verify_at(&dpop(), proof, None, NOW)
}

/// Why it is refused, as one value.
fn reason(refused: Result<KeyThumbprint, ProofError>) -> String {
    match refused {
        Ok(_) => "accepted".to_owned(),
        Err(ProofError::Jwt(why)) => format!("{why:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn good_proofs_are_accepted() {
    let eddsa = Forge::new(Algorithm::EdDsa, 1);
    for proof in [
        good().signed(&forge()),
        Proof::new(&eddsa, "GET", URI, "a").signed(&eddsa),
        Proof::new(&eddsa, "GET", URI, "a").header("alg", "\"Ed25519\"").signed(&eddsa),
        // What else a client may say.
        good().header("kid", "\"mine\"").signed(&forge()),
        good().header("jku", "\"https://evil.example/jwks.json\"").signed(&forge()),
        good().header("x5c", "[]").claim("sub", "\"alice\"").claim("iss", "null").signed(&forge()),
        good().claim("ath", quoted("of another server's token")).signed(&forge()),
        good().claim("nonce", quoted("of another server")).signed(&forge()),
        good().claim("htu", quoted("HTTPS://API.example:443/me?x=1#y")).signed(&forge()),
        good().claim("iat", format!("{NOW}.75")).signed(&forge()),
        good().claim("iat", (NOW - 59).to_string()).signed(&forge()),
        good().claim("iat", (NOW + 30).to_string()).signed(&forge()),
        good().claim("exp", (NOW + 1).to_string()).claim("nbf", NOW.to_string()).signed(&forge()),
        good().claim("jti", quoted(&"j".repeat(256))).signed(&forge()),
        good()
            .header("jwk", jwk(&forge()).replace('}', r#","alg":"ES256","use":"sig","key_ops":["verify"]}"#))
            .signed(&forge()),
    ] {
        verify(&proof).unwrap_or_else(|error| panic!("{error:?}: {proof}"));
    }
    assert!(at_once(dpop().verify(&Head::new("GET", "/me"), None, at(NOW))).unwrap().is_none());
}

#[test]
fn malformed_and_malicious_proofs_are_refused_for_their_reason() {
    let (key, other) = (forge(), Forge::new(Algorithm::Es256, 2));
    let (eddsa, hmac) = (Forge::new(Algorithm::EdDsa, 1), Forge::new(Algorithm::Hs256, 1));
    let signed = |proof: Proof| proof.signed(&key);
    let text = signed(good());
    let [header, payload, signature] = <[&str; 3]>::try_from(text.split('.').collect::<Vec<_>>()).unwrap();
    let public = jwk(&key);
    let with_jwk = |jwk: String| signed(good().header("jwk", jwk));
    let point = |x: &str, y: &str| format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let zero = encode([0; 32]);
    let cases = [
        // Not a JWT.
        (String::new(), "Segments"),
        ("nonsense".to_owned(), "Segments"),
        (format!("{header}.{payload}"), "Segments"),
        (format!("{header}.{payload}."), "Segments"),
        (format!(".{payload}.{signature}"), "Segments"),
        (format!("{text}.{signature}"), "Segments"),
        (format!("{text}.{signature}.{signature}"), "Segments"),
        (format!("{text}, {text}"), "Segments"),
        (format!("{header}=.{payload}.{signature}"), "Header"),
        (format!("{header}.{payload}.{signature}="), "Encoding"),
        (format!("{header}.{payload}.{}", encode(signature)), "Signature"),
        (format!("{header}.{payload}.{}", encode([1; 63])), "Signature"),
        (format!("{header}.{payload}.{}", &signature[..signature.len() - 1]), "Encoding"),
        (key.token("{}", "{}"), "Header"),
        (key.token("[]", "{}"), "Header"),
        (key.token("null", "{}"), "Header"),
        (format!("{text}{}", "A".repeat(4096)), "TooLong"),
        // The header.
        (signed(good().without("typ")), "Type"),
        (signed(good().header("typ", "\"JWT\"")), "Type"),
        (signed(good().header("typ", "\"at+jwt\"")), "Type"),
        (signed(good().header("typ", "\"dbsc+jwt\"")), "Type"),
        (signed(good().header("typ", "\"DPoP+jwt\"")), "Type"),
        (signed(good().header("typ", "7")), "Header"),
        (signed(good().without("alg")), "Header"),
        (signed(good().header("alg", "null")), "Header"),
        (signed(good().header("alg", "\"none\"")), "Algorithm"),
        (signed(good().header("alg", "\"None\"")), "Algorithm"),
        (signed(good().header("alg", "\"\"")), "Algorithm"),
        (signed(good().header("alg", "\"ES384\"")), "Algorithm"),
        (signed(good().header("alg", "\"EdDSA\"")), "Algorithm"),
        (signed(good().header("alg", "\"RS256\"")), "Algorithm"),
        (signed(good().also_header("alg", "\"ES256\"")), "Header"),
        (signed(good().also_header("jwk", &public)), "Header"),
        (signed(good().header("crit", "[\"jwk\"]")), "Header"),
        (signed(good().header("b64", "false")), "Header"),
        (signed(good().header("zip", "\"DEF\"")), "Header"),
        // An HMAC with what everybody knows.
        (Proof::new(&hmac, "GET", URI, "a").signed(&hmac), "Algorithm"),
        (Proof::new(&hmac, "GET", URI, "a").header("jwk", &*public).signed(&hmac), "Algorithm"),
        (good().header("jwk", jwk(&hmac)).header("alg", "\"ES256\"").signed(&hmac), "Key"),
        // The key.
        (signed(good().without("jwk")), "Key"),
        (signed(good().without("jwk").header("kid", "\"a\"")), "Key"),
        (with_jwk("null".to_owned()), "Key"),
        (with_jwk("{}".to_owned()), "Key"),
        (with_jwk(quoted(&public)), "Key"),
        (with_jwk(format!("[{public}]")), "Key"),
        (with_jwk(format!(r#"{{"keys":[{public}]}}"#)), "Key"),
        (with_jwk(public.replace('}', &format!(r#","d":"{}"}}"#, encode([1; 32])))), "Key"),
        (with_jwk(public.replace('}', r#","k":"AAAA"}"#)), "Key"),
        (with_jwk(public.replace('}', r#","use":"enc"}"#)), "Key"),
        (with_jwk(public.replace('}', r#","key_ops":["encrypt"]}"#)), "Key"),
        (with_jwk(public.replace('}', r#","alg":"ES384"}"#)), "Key"),
        (with_jwk(public.replace("P-256", "P-384")), "Key"),
        (with_jwk(public.replace("EC", "RSA")), "Key"),
        (with_jwk(public.replace('}', r#","crv":"P-256"}"#)), "Key"),
        (with_jwk(point(&zero, &zero)), "Key"),
        (with_jwk(point(&encode([255; 32]), &zero)), "Key"),
        (with_jwk(point(&encode([1; 31]), &zero)), "Key"),
        // A point of small order verifies signatures that nobody made.
        (
            Proof::new(&eddsa, "GET", URI, "a")
                .header("jwk", format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{zero}"}}"#))
                .signed(&eddsa),
            "Key",
        ),
        // The signature.
        (good().signed(&other), "Signature"),
        (with_jwk(jwk(&other)), "Signature"),
        (format!("{header}.{}.{signature}", encode("{}")), "Signature"),
        (format!("{header}.{payload}.{}", encode([0; 64])), "Signature"),
        // The payload.
        (key.token(super::json(&good().header), "no JSON"), "Payload"),
        (key.token(super::json(&good().header), "[]"), "Payload"),
        (key.token(super::json(&good().header), "{} "), "Missing(\"jti\")"),
        (key.token(super::json(&good().header), "{}{}"), "Payload"),
        (signed(good().without("jti")), "Missing(\"jti\")"),
        (signed(good().claim("jti", "\"\"")), "Missing(\"jti\")"),
        (signed(good().claim("jti", "7")), "Invalid(\"jti\")"),
        (signed(good().claim("jti", quoted(&"j".repeat(257)))), "Invalid(\"jti\")"),
        (signed(good().also_claim("jti", "\"another\"")), "Duplicate"),
        (signed(good().also_claim("h\\u0074u", &quoted(URI))), "Duplicate"),
        (signed(good().without("htm")), "Missing(\"htm\")"),
        (signed(good().claim("htm", "[\"GET\"]")), "Invalid(\"htm\")"),
        (signed(good().claim("htm", "\"POST\"")), "Method"),
        (signed(good().claim("htm", "\"get\"")), "Method"),
        (signed(good().claim("htm", "\"GET \"")), "Method"),
        (signed(good().without("htu")), "Missing(\"htu\")"),
        (signed(good().claim("htu", quoted("/me"))), "Uri"),
        (signed(good().claim("htu", quoted("https://api.example/me/"))), "Uri"),
        (signed(good().claim("htu", quoted("https://api.example/you"))), "Uri"),
        (signed(good().claim("htu", quoted("http://api.example/me"))), "Uri"),
        (signed(good().claim("htu", quoted("https://evil.example/me"))), "Uri"),
        (signed(good().claim("htu", quoted("https://api.example@evil.example/me"))), "Uri"),
        (signed(good().claim("htu", quoted("https://api.example:8443/me"))), "Uri"),
        (signed(good().claim("htu", quoted("https://api.example\\me"))), "Uri"),
        (signed(good().without("iat")), "Missing(\"iat\")"),
        (signed(good().claim("iat", format!("\"{NOW}\""))), "Invalid(\"iat\")"),
        (signed(good().claim("iat", "-1")), "Invalid(\"iat\")"),
        (signed(good().claim("iat", "1e300")), "Invalid(\"iat\")"),
        (signed(good().claim("iat", (NOW * 1000).to_string())), "Invalid(\"iat\")"),
        (signed(good().claim("iat", (NOW - 60).to_string())), "TooOld"),
        (signed(good().claim("iat", "0")), "TooOld"),
        (signed(good().claim("iat", (NOW + 31).to_string())), "InFuture"),
        (signed(good().claim("nbf", (NOW + 31).to_string())), "InFuture"),
        (signed(good().claim("exp", (NOW - 30).to_string())), "Expired"),
        (signed(good().claim("ath", "7")), "Invalid(\"ath\")"),
        (signed(good().claim("nonce", "{}")), "Invalid(\"nonce\")"),
    ];
    assert!(cases.len() > 90);
    for (proof, expected) in &cases {
        assert_eq!(reason(verify(proof)), *expected, "{proof}");
    }
}

#[test]
fn there_is_exactly_one() {
    let [one, other] = ["one", "other"].map(|jti| Proof::new(&forge(), "GET", URI, jti).signed(&forge()));
    let head = Head::new("GET", "/me").with("dpop", &*one).with("dpop", other);
    assert!(matches!(at_once(dpop().verify(&head, None, at(NOW))), Err(ProofError::Repeated)));
    let twice = Head::new("GET", "/me").with("dpop", &*one).with("dpop", one);
    assert!(matches!(at_once(dpop().verify(&twice, None, at(NOW))), Err(ProofError::Repeated)));
}

#[test]
fn beside_a_token_it_is_about_that_token() {
    let verify = |proof: Proof| reason(verify_at(&dpop(), &proof.signed(&forge()), Some("a.b.c"), NOW));
    assert_eq!(verify(good().about("a.b.c")), "accepted");
    assert_eq!(verify(good()), "AccessToken");
    assert_eq!(verify(good().about("a.b.d")), "AccessToken");
    assert_eq!(verify(good().claim("ath", "\"a.b.c\"")), "AccessToken");
    assert_eq!(verify(good().claim("ath", quoted(&format!("{}=", encode([0; 32]))))), "AccessToken");
}

/// However it is written: what identifies it is its key and its `jti`.
#[test]
fn it_is_good_once() {
    let dpop = dpop();
    let again =
        |proof: Proof, forge: &Forge, second| reason(verify_at(&dpop.clone(), &proof.signed(forge), None, second));
    assert_eq!(again(good(), &forge(), NOW), "accepted");
    assert_eq!(again(good(), &forge(), NOW), "Replayed");
    for rewritten in [
        good().claim("htu", quoted("https://API.example:443/me?again")),
        good().claim("iat", (NOW + 30).to_string()),
        good().header("kid", "\"other\""),
        good().claim("extra", "1"),
        good().header("jwk", jwk(&forge()).replace('}', r#","use":"sig"}"#)),
    ] {
        assert_eq!(again(rewritten, &forge(), NOW), "Replayed");
    }
    let other = Forge::new(Algorithm::EdDsa, 2);
    assert_eq!(again(Proof::new(&other, "GET", URI, "a proof"), &other, NOW), "accepted", "of another key");
    // One from the future is remembered for as long as it is good.
    let early = || Proof::new(&forge(), "GET", URI, "early").claim("iat", (NOW + 30).to_string());
    assert_eq!(again(early(), &forge(), NOW), "accepted");
    for second in [NOW + 1, NOW + 60, NOW + 89] {
        assert_eq!(again(early(), &forge(), second), "Replayed", "{second}");
    }
    assert_eq!(again(early(), &forge(), NOW + 90), "TooOld");
    // What is refused for another reason fills no memory.
    let new = || Proof::new(&forge(), "GET", URI, "new");
    assert_eq!(again(new().claim("htm", "\"PUT\""), &forge(), NOW), "Method");
    assert_eq!(again(new(), &forge(), NOW), "accepted");
}

#[test]
fn with_nonces_it_is_the_nonce_that_is_recent() {
    let secret = [7; 32];
    let [dpop, node] = [(); 2].map(|()| dpop().nonces(secret).unwrap());
    let with = |nonce: &str, jti: &str| Proof::new(&forge(), "GET", URI, jti).claim("nonce", quoted(nonce));
    let verify = |proof: Proof, second| reason(verify_at(&dpop, &proof.signed(&forge()), None, second));
    let nonce = node.nonce(at(NOW)).unwrap();
    assert_eq!(verify(good(), NOW), "Nonce");
    assert_eq!(verify(with("", "1"), NOW), "Nonce");
    assert_eq!(verify(with("made up", "1"), NOW), "Nonce");
    assert_eq!(verify(with(&nonce, "1"), NOW), "accepted");
    assert_eq!(verify(with(&nonce, "1"), NOW), "Replayed");
    // The clock of the client is wrong by a year.
    assert_eq!(verify(with(&nonce, "2").claim("iat", (NOW - 31_536_000).to_string()), NOW), "accepted");
    // Each nonce is good for its minute and the next; its proofs are remembered for as long.
    let end = NOW - NOW % 60 + 120;
    assert_eq!(verify(with(&nonce, "1"), end - 1), "Replayed");
    assert_eq!(verify(with(&nonce, "3"), end - 1), "accepted");
    assert_eq!(verify(with(&nonce, "4"), end), "Nonce");
    let stranger = Dpop::new(BASE).unwrap().nonces([8; 32]).unwrap().nonce(at(NOW)).unwrap();
    assert_eq!(verify(with(&stranger, "5"), NOW), "Nonce");
    assert!(format!("{dpop:?}").contains("nonces: true"));
    assert!(!format!("{dpop:?}").contains("7, 7"));
}

#[test]
fn rsa_keys_sign_with_either_padding() {
    use rsa_proofs::{PS256, RS256};
    for (name, proof, algorithm) in [("RS256", RS256, Algorithm::Rs256), ("PS256", PS256, Algorithm::Ps256)] {
        let verify = |dpop: Dpop| reason(verify_at(&dpop, proof.trim(), None, NOW));
        assert_eq!(verify(dpop()), "accepted", "{name}");
        assert_eq!(verify(dpop().algorithms([algorithm]).unwrap()), "accepted", "{name}");
        assert_eq!(verify(dpop().algorithms([Algorithm::Es256]).unwrap()), "Algorithm", "{name}");
    }
}

/// Made by OpenSSL with the key of `tests/rsa`, whose private half this library does not hold.
mod rsa_proofs {
    pub(super) const RS256: &str = include_str!("../../rsa/dpop_rs256.txt");
    pub(super) const PS256: &str = include_str!("../../rsa/dpop_ps256.txt");
}

#[test]
fn what_cannot_be_configured_says_why() {
    assert_eq!(Dpop::new("api.example").unwrap_err(), DpopError::Base);
    assert_eq!(dpop().also_at("https://api.example/?a").unwrap_err(), DpopError::Base);
    assert_eq!(dpop().algorithms([]).unwrap_err(), DpopError::Algorithms);
    assert_eq!(dpop().algorithms([Algorithm::Es256, Algorithm::Hs256]).unwrap_err(), DpopError::Algorithms);
    for age in [0, 601] {
        assert_eq!(dpop().max_age(Duration::from_secs(age)).unwrap_err(), DpopError::MaxAge);
    }
    assert_eq!(dpop().nonces([1; 31]).unwrap_err(), DpopError::Secret);
    assert_eq!(dpop().current_mode(), DpopMode::Optional);
    let short = dpop().max_age(Duration::from_secs(5)).unwrap();
    let proof = good().claim("iat", (NOW - 5).to_string()).signed(&forge());
    assert_eq!(reason(verify_at(&short, &proof, None, NOW)), "TooOld");
    let _: VerifyError = VerifyError::Bound;
}
