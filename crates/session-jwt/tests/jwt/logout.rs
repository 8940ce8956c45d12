//! Logout tokens of OpenID providers: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::{ALGORITHMS, Claims, Forge, ISSUER, NOW, encode, exact, header, now};
use session_core::Timestamp;
use session_jwt::VerifyError::{self, *};
use session_jwt::{Algorithm, LogoutClaims, TokenPolicy, Verifier, VerifyingKeys};

const CLIENT: &str = "our-client-id";
const EVENTS: &str = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;
const LIFETIME: u64 = 120;
const LEEWAY: u64 = 5;
const AHEAD: u64 = 30;

fn verifier(forge: &Forge) -> Verifier {
    let policy = TokenPolicy::builder(ISSUER, CLIENT).lifetime(Duration::from_secs(LIFETIME)).build().unwrap();
    Verifier::for_issuer(policy, VerifyingKeys::from_ring(&forge.ring()))
}

fn claims() -> Claims {
    let claims = [
        ("iss", format!("\"{ISSUER}\"")),
        ("sub", "\"248289761001\"".to_owned()),
        ("aud", format!("\"{CLIENT}\"")),
        ("iat", NOW.to_string()),
        ("exp", (NOW + LIFETIME).to_string()),
        ("jti", "\"bWJq\"".to_owned()),
        ("sid", "\"08a5019c-17e1-4977-8f42-65a12843ea02\"".to_owned()),
        ("events", EVENTS.to_owned()),
    ];
    Claims(claims.map(|(name, value)| (name.to_owned(), value)).into())
}

fn forge() -> Forge {
    Forge::new(Algorithm::EdDsa, 1)
}

fn token(forge: &Forge, typ: &str, claims: &Claims) -> String {
    forge.token(header(forge.alg(), &forge.kid(), typ), claims.json())
}

fn verify_at(claims: &Claims, now: Timestamp) -> Result<LogoutClaims, VerifyError> {
    verifier(&forge()).verify_logout(token(&forge(), "logout+jwt", claims), now)
}

fn verify(claims: &Claims) -> Result<LogoutClaims, VerifyError> {
    verify_at(claims, now())
}

#[track_caller]
fn assert_refused(claims: &Claims, error: VerifyError) {
    assert_eq!(verify(claims).map(|_| ()), Err(error), "{}", claims.json());
}

#[test]
fn a_good_token_says_who_logged_out() {
    for algorithm in ALGORITHMS {
        let forge = Forge::new(algorithm, 1);
        let read = verifier(&forge).verify_logout(token(&forge, "logout+jwt", &claims()), now()).unwrap();
        assert_eq!((read.issuer.as_str(), read.token_id.as_str()), (ISSUER, "bWJq"));
        assert_eq!(read.subject.as_deref(), Some("248289761001"));
        assert_eq!(read.sid.as_deref(), Some("08a5019c-17e1-4977-8f42-65a12843ea02"));
        assert_eq!((read.issued_at, read.expires_at), (now(), now() + Duration::from_secs(LIFETIME)));
        let shown = format!("{read:?}");
        assert!(!shown.contains("2482") && !shown.contains("08a5") && !shown.contains("bWJq"), "{shown}");
    }
    assert!(verify(&claims().without("sid")).unwrap().sid.is_none());
    assert!(verify(&claims().with("sid", "null")).unwrap().sid.is_none());
    assert!(verify(&claims().without("sub")).unwrap().subject.is_none());
    let more = claims().with("aud", r#"["other","our-client-id"]"#).with("trace_id", "{}").with("typ", "\"Logout\"");
    assert!(verify(&more).is_ok(), "what is not understood is ignored");
}

#[test]
fn every_bad_claim_is_refused() {
    for name in ["iss", "aud", "iat", "exp", "jti", "events"] {
        assert_refused(&claims().without(name), Missing(name));
        assert_refused(&claims().with(name, "null"), Missing(name));
    }
    assert_refused(&claims().without("sub").without("sid"), Missing("sub"));
    for (name, values) in [
        ("iss", &["1", "[]"][..]),
        ("aud", &["1", "[]", "{}"]),
        ("iat", &["\"1767225600\"", "-1"]),
        ("exp", &["\"1767225700\"", "true"]),
        ("nbf", &["\"1767225600\""]),
        ("jti", &["1", "{}"]),
        // Neither is taken for a missing one: then more would end, or nothing.
        ("sub", &["1", "{}", "\"\""]),
        ("sid", &["1", "[]", "\"\""]),
        // Its presence is enough.
        ("nonce", &["\"n\"", "\"\"", "null", "false"]),
        ("events", &["[]", "1", "\"http://schemas.openid.net/event/backchannel-logout\"", "true"]),
    ] {
        for value in values {
            assert_refused(&claims().with(name, value), Invalid(name));
        }
    }
    assert_refused(&claims().with("jti", "\"\""), Missing("jti"));
    assert!(verify(&claims().with("jti", &format!("\"{}\"", "j".repeat(128)))).is_ok());
    assert_refused(&claims().with("jti", &format!("\"{}\"", "j".repeat(129))), Invalid("jti"));
    assert_refused(&claims().with("iss", "\"https://login.example/\""), Issuer);
    assert_refused(&claims().with("aud", "\"https://api.example\""), Audience);
    assert_refused(&claims().with("aud", r#"["our-client-id2"]"#), Audience);
    for (name, value) in claims().0 {
        assert_refused(&claims().also(&name, &value), Duplicate);
    }
    assert_refused(&claims().also("x", "1").also("x", "1"), Duplicate);
}

#[test]
fn events_says_that_it_is_a_logout_token() {
    let uri = "http://schemas.openid.net/event/backchannel-logout";
    for events in
        ["{}", r#"{"https://schemas.openid.net/event/backchannel-logout":{}}"#, r#"{"backchannel-logout":{}}"#]
    {
        assert_refused(&claims().with("events", events), Missing("events"));
    }
    for value in ["null", "1", "[]", "\"\"", "true"] {
        assert_refused(&claims().with("events", &format!(r#"{{"{uri}":{value}}}"#)), Invalid("events"));
    }
    assert_refused(&claims().with("events", &format!(r#"{{"{uri}":{{}},"{uri}":{{}}}}"#)), Invalid("events"));
    for events in [format!(r#"{{"{uri}":{{"reason":"x"}}}}"#), format!(r#"{{"other":1,"{uri}":{{}}}}"#)] {
        assert!(verify(&claims().with("events", &events)).is_ok());
    }
}

#[test]
fn times_on_each_boundary() {
    let ms = |seconds: u64, millis: i64| Timestamp::from_millis(seconds as i64 * 1000 + millis);
    let end = NOW + LIFETIME + LEEWAY;
    assert!(verify_at(&claims(), ms(end, -1)).is_ok());
    assert_eq!(verify_at(&claims(), ms(end, 0)).unwrap_err(), Expired);
    assert!(verify_at(&claims(), ms(NOW - AHEAD, 0)).is_ok());
    assert_eq!(verify_at(&claims(), ms(NOW - AHEAD, -1)).unwrap_err(), IssuedInFuture);
    assert!(verify(&claims().with("nbf", &(NOW + AHEAD).to_string())).is_ok());
    assert_refused(&claims().with("nbf", &(NOW + AHEAD + 1).to_string()), NotYetValid);
    for exp in [NOW + LIFETIME + 1, NOW + 3600, NOW, NOW - 1] {
        assert_refused(&claims().with("exp", &exp.to_string()), Lifetime);
    }
}

#[test]
fn only_tokens_of_this_kind() {
    let generic = || verifier(&forge()).allow_generic_type();
    let untyped = forge().token(format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, forge().kid()), claims().json());
    for typ in ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt"] {
        let token = token(&forge(), typ, &claims());
        assert!(verifier(&forge()).verify_logout(&token, now()).is_ok(), "{typ}");
        assert!(generic().verify_logout(&token, now()).is_ok(), "{typ}");
        assert_eq!(generic().verify_foreign(&token, now()).unwrap_err(), Type);
        assert_eq!(generic().verify(&token, now()).unwrap_err(), Type);
    }
    for token in [untyped, token(&forge(), "JWT", &claims()), token(&forge(), "jwt", &claims())] {
        assert_eq!(verifier(&forge()).verify_logout(&token, now()).unwrap_err(), Type);
        assert!(generic().verify_logout(&token, now()).is_ok());
    }
    for typ in ["at+jwt", "secevent+jwt", "session+jwt", "dpop+jwt", "", "logout", "logout+jwt "] {
        for verifier in [verifier(&forge()), generic()] {
            let answer = verifier.verify_logout(token(&forge(), typ, &claims()), now());
            assert_eq!(answer.unwrap_err(), Type, "{typ}");
        }
    }
    // An ID token of a provider that writes `JWT` into all headers.
    let id_token = claims().without("events").without("jti").with("nonce", "\"n\"");
    assert!(generic().verify_logout(token(&forge(), "JWT", &id_token), now()).is_err());
}

#[test]
fn only_the_providers_keys() {
    let verifier = verifier(&forge());
    let payload = encode(claims().json());
    for alg in ["none", "None", "HS256", "RS256", "ES256"] {
        let head = encode(header(alg, &forge().kid(), "logout+jwt"));
        assert_eq!(verifier.verify_logout(format!("{head}.{payload}."), now()).unwrap_err(), Segments, "{alg}");
        assert_eq!(verifier.verify_logout(format!("{head}.{payload}.AAAA"), now()).unwrap_err(), Algorithm, "{alg}");
    }
    let other = Forge::new(Algorithm::EdDsa, 2);
    assert_eq!(verifier.verify_logout(token(&other, "logout+jwt", &claims()), now()).unwrap_err(), Key);
    let forged = other.token(header("EdDSA", &forge().kid(), "logout+jwt"), claims().json());
    assert_eq!(verifier.verify_logout(forged, now()).unwrap_err(), Signature);
    assert_eq!(verifier.verify_logout("x".repeat(9000), now()).unwrap_err(), TooLong);
}

/// A verifier of our own access tokens takes no access token for a logout token either.
#[test]
fn access_tokens_are_no_logout_tokens() {
    let verifier = exact(&forge().ring());
    assert_eq!(verifier.verify_logout(forge().good(), now()).unwrap_err(), Type);
    let typed = token(&forge(), "logout+jwt", &Claims::good());
    assert_eq!(verifier.verify_logout(typed, now()).unwrap_err(), Missing("events"));
}
