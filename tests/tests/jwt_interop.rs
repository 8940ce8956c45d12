//! Interoperability with three other implementations, PyJWT, joserfc and jose: their tokens verify here, and ours verify
//! there.
//!
//! A peer is a script in `tests/interop`. It reads one JSON object from its standard input:
//!
//! - `tokens`: one of our tokens for each algorithm. It verifies them with `jwks` (public keys) and `secret` (HS256), and
//!   returns their `claims`, and whether it rejected (`refused`) each one with a modified signature.
//! - `pems`: our private keys, which it compares with `jwks`.
//! - `claims`: what it signs, with `secret` and, for each algorithm of `theirs`, with a key of its own. It returns the
//!   `tokens`, their `jwks`, and in `keys` every form of those keys that could be ours.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use session_core::{Assurance, Authentication, Clock as _, OsEntropy, Proof, SessionId, SystemClock, UserId};
use session_jwt::{
    AccessTokens, Algorithm, KeyRing, PublicKey, Rotation, SigningKey, Subject, TokenPolicy, Verifier, VerifyError,
    VerifyingKeys,
};
use session_testbed::servers::run_script;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://api.example";

fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).unwrap()
}

async fn exchange(peer: &'static str, theirs: &[&str]) {
    let now = SystemClock.now();
    let algorithms = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256];
    let names = algorithms.map(Algorithm::as_str);
    let keys = algorithms.map(|algorithm| SigningKey::generate(algorithm, &OsEntropy).unwrap());
    let pems = json!({ "EdDSA": *keys[1].to_pem().unwrap(), "ES256": *keys[2].to_pem().unwrap() });
    let secret = keys[0].to_jwk();
    let issuers =
        keys.map(|key| AccessTokens::new(policy(), KeyRing::with_key(key, Rotation::default(), now)).unwrap());

    let user = UserId::new("zoë \"<&\u{1f511}>\\").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let authentication = Authentication::new(user, Proof::new(Assurance::Aal2, now).method("pwd"));
    let subject = Subject::new(session, &authentication, now + Duration::from_secs(3600));
    let (mut tokens, mut jwks) = (Map::new(), Map::new());
    for (name, issuer) in names.into_iter().zip(&issuers) {
        tokens.insert(name.to_owned(), issuer.issue(&subject, now).await.unwrap().expose().into());
        jwks.insert(name.to_owned(), serde_json::to_value(issuer.jwks(now)).unwrap());
    }
    let seconds = now.as_millis() / 1000;
    let question = json!({
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "tokens": tokens,
        "jwks": jwks,
        "secret": serde_json::from_str::<Value>(&secret).unwrap(),
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
    for name in names {
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
    let shared = Verifier::for_issuer(policy(), VerifyingKeys::from_ring(&issuers[0].ring()));
    for name in theirs.iter().chain(&["HS256"]) {
        let verifier = if *name == "HS256" { &shared } else { &published };
        let signed = answer["tokens"][name].as_array().unwrap();
        assert_eq!(signed.len(), 3);
        for token in signed {
            let token = token.as_str().unwrap();
            let claims = verifier.verify(token, now).unwrap_or_else(|error| panic!("{name}: {error}: {token}"));
            assert_eq!((claims.session, &claims.user), (session, &authentication.user));
            assert_eq!((claims.token_id.as_str(), claims.level), ("of the peer", Some(Assurance::Aal2)));
            // An issuer accepts it only with its own secret, under a header that is written like its own.
            for issuer in &issuers {
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
    assert_eq!(answer["keys"].as_object().unwrap().len(), 2);
    for (name, key) in answer["keys"].as_object().unwrap() {
        let text = |form: &str| key[form].as_str().unwrap();
        let from_pem = SigningKey::from_pem(text("pem")).unwrap();
        assert_eq!(from_pem.algorithm().as_str(), name);
        assert_eq!(from_pem.kid(), SigningKey::from_jwk(text("jwk")).unwrap().kid(), "{name}");
        assert_eq!(from_pem.kid(), PublicKey::from_pem(text("public_pem")).unwrap().thumbprint(), "{name}");
    }
}

/// The header segment that `issuer` writes, with its dot.
fn own_header(name: &str, issuer: &AccessTokens) -> String {
    let kid = issuer.ring().keys(SystemClock.now()).next().unwrap().kid;
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}","kid":"{kid}","typ":"at+jwt"}}"#)) + "."
}

#[tokio::test]
async fn pyjwt_and_we_verify_each_others_tokens() {
    exchange("pyjwt_peer.py", &["EdDSA", "ES256"]).await;
}

#[tokio::test]
async fn joserfc_and_we_verify_each_others_tokens() {
    exchange("joserfc_peer.py", &["EdDSA", "ES256"]).await;
}

#[tokio::test]
async fn jose_and_we_verify_each_others_tokens() {
    exchange("jose_peer.mjs", &["EdDSA", "ES256"]).await;
}
