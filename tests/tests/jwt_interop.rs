//! Interoperability with three other implementations, PyJWT, joserfc and jose: their tokens verify here, and ours verify
//! there.
//!
//! A peer is a script in `tests/interop`. It reads one JSON object from its standard input:
//!
//! - `tokens`: one of our tokens for each algorithm. It verifies them with `jwks` (public keys) and `secret` (HS256), and
//!   returns their `claims`, and whether it rejected (`refused`) each one with a modified signature.
//! - `pems`: our private keys for those algorithms but HS256, which it compares with `jwks`.
//! - `claims`: what it signs, with `secret` and, for each algorithm of `theirs`, with a key of its own. It returns the
//!   `tokens`, their `jwks`, and in `keys` every form of those keys that could be ours.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use session_core::{Assurance, Authentication, Clock as _, OsEntropy, Proof, SessionId, SystemClock, UserId};
use session_jwt::{
    AccessTokens, Algorithm, AlgorithmNames, KeyRing, PublicKey, Rotation, SigningKey, Subject, TokenPolicy, Verifier,
    VerifyError, VerifyingKeys,
};
use session_testbed::servers::run_script;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://api.example";

fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).unwrap()
}

/// Every `alg` of ours.
const OURS: [(&str, Algorithm, AlgorithmNames); 4] = [
    ("HS256", Algorithm::Hs256, AlgorithmNames::Established),
    ("EdDSA", Algorithm::EdDsa, AlgorithmNames::Established),
    ("Ed25519", Algorithm::EdDsa, AlgorithmNames::FullySpecified),
    ("ES256", Algorithm::Es256, AlgorithmNames::Established),
];

/// `ours` are the algorithms of our tokens that the peer knows, `theirs` those that it signs with, beside HS256.
async fn exchange(peer: &'static str, ours: &[&str], theirs: &[&str]) {
    let now = SystemClock.now();
    let (mut issuers, mut pems, mut secret) = (Vec::new(), Map::new(), Value::Null);
    for (name, algorithm, names) in OURS.into_iter().filter(|(name, ..)| ours.contains(name)) {
        let key = SigningKey::generate(algorithm, &OsEntropy).unwrap();
        match name {
            "HS256" => secret = serde_json::from_str(&key.to_jwk()).unwrap(),
            _ => drop(pems.insert(name.to_owned(), key.to_pem().unwrap().as_str().into())),
        }
        let ring = KeyRing::with_key(key, Rotation::default(), now).with_algorithm_names(names);
        issuers.push((name, AccessTokens::new(policy(), ring).unwrap()));
    }
    assert_eq!((issuers.len(), issuers[0].0), (ours.len(), "HS256"));

    let user = UserId::new("zoë \"<&\u{1f511}>\\").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let authentication = Authentication::new(user, Proof::new(Assurance::Aal2, now).method("pwd"));
    let subject = Subject::new(session, &authentication, now + Duration::from_secs(3600));
    let (mut tokens, mut jwks) = (Map::new(), Map::new());
    for &(name, ref issuer) in &issuers {
        tokens.insert(name.to_owned(), issuer.issue(&subject, now).await.unwrap().expose().into());
        jwks.insert(name.to_owned(), serde_json::to_value(issuer.jwks(now)).unwrap());
    }
    let seconds = now.as_millis() / 1000;
    let question = json!({
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "tokens": tokens,
        "jwks": jwks,
        "secret": secret,
        "pems": pems,
        "theirs": theirs,
        "claims": {
            "iss": ISSUER, "sub": authentication.user.as_str(), "aud": AUDIENCE, "exp": seconds + 300, "iat": seconds,
            "jti": "of the peer", "sid": session.to_string(), "auth_time": seconds, "acr": "aal2", "amr": ["pwd"],
            "extra": { "nested": [1.5, null] },
        },
    });
    let answer = run_script(peer, &[], &question.to_string()).await.unwrap();

    // Ours, there.
    for name in ours {
        let read = &answer["claims"][name];
        assert_eq!(read["sid"], session.to_string(), "{name}");
        assert_eq!(read["sub"], authentication.user.as_str(), "{name}");
        assert_eq!((&read["exp"], &read["acr"]), (&json!(seconds + 300), &json!("aal2")), "{name}");
        assert_eq!(answer["refused"][name], true, "{name}: a modified signature was accepted");
    }

    // Theirs, here.
    let published = VerifyingKeys::from_jwks(&answer["jwks"].to_string()).unwrap();
    assert_eq!(published.kids().count(), theirs.len());
    let published = Verifier::for_issuer(policy(), published);
    let shared = Verifier::for_issuer(policy(), VerifyingKeys::from_ring(&issuers[0].1.ring()));
    for name in theirs.iter().chain(&["HS256"]) {
        let verifier = if *name == "HS256" { &shared } else { &published };
        let signed = answer["tokens"][name].as_array().unwrap();
        assert_eq!(signed.len(), 3);
        for token in signed {
            let token = token.as_str().unwrap();
            let claims = verifier.verify(token, now).unwrap_or_else(|error| panic!("{name}: {error}: {token}"));
            assert_eq!((claims.session, &claims.user), (session, &authentication.user));
            assert_eq!((claims.token_id(), claims.level), ("of the peer", Some(Assurance::Aal2)));
            // An issuer accepts it only with its own secret, under a header that is written like its own.
            for (_, issuer) in &issuers {
                assert_eq!(issuer.verify(token, now).is_ok(), token.starts_with(&own_header(name, issuer)));
            }
            // A modified signature is rejected.
            let (message, signature) = token.rsplit_once('.').unwrap();
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            let changed = format!("{message}.{first}{}", &signature[1..]);
            assert_eq!(verifier.verify(changed, now).unwrap_err(), VerifyError::Signature);
        }
    }

    // Their keys, in every form.
    assert_eq!(answer["keys"].as_object().unwrap().len(), ours.len() - 1);
    for (name, key) in answer["keys"].as_object().unwrap() {
        let text = |form: &str| key[form].as_str().unwrap();
        let from_pem = SigningKey::from_pem(text("pem")).unwrap();
        let algorithm = OURS.iter().find(|(ours, ..)| ours == name).unwrap().1;
        assert_eq!(from_pem.algorithm(), algorithm, "{name}");
        assert_eq!(from_pem.kid(), SigningKey::from_jwk(text("jwk")).unwrap().kid(), "{name}");
        assert_eq!(from_pem.kid(), PublicKey::from_pem(text("public_pem")).unwrap().thumbprint(), "{name}");
    }
}

/// The header segment that `issuer` writes, with its dot.
fn own_header(name: &str, issuer: &AccessTokens) -> String {
    let kid = issuer.ring().keys(SystemClock.now()).next().unwrap().kid;
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","kid":"{kid}","typ":"at+jwt"}}"#)) + "."
}

/// It knows `EdDSA` only.
#[tokio::test]
async fn pyjwt_and_we_verify_each_others_tokens() {
    exchange("pyjwt_peer.py", &["HS256", "EdDSA", "ES256"], &["EdDSA", "ES256", "RS256", "PS256"]).await;
}

const ALL: [&str; 5] = ["EdDSA", "Ed25519", "ES256", "RS256", "PS256"];

#[tokio::test]
async fn joserfc_and_we_verify_each_others_tokens() {
    exchange("joserfc_peer.py", &["HS256", "EdDSA", "Ed25519", "ES256"], &ALL).await;
}

#[tokio::test]
async fn jose_and_we_verify_each_others_tokens() {
    exchange("jose_peer.mjs", &["HS256", "EdDSA", "Ed25519", "ES256"], &ALL).await;
}
