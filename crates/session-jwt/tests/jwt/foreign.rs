//! Access tokens of other software: what it writes, and what is refused of it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::{AUDIENCE, Claims, Forge, ISSUER, NOW, at, encode, header, now};
use async_trait::async_trait;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use serde::Deserialize;
use session_core::{ManualClock, Timestamp};
use session_jwt::{
    Algorithm, BoxError, FetchJwks, IssuerClaims, JwksDocument, PublicKey, RemoteVerifier, RemoteVerifyError,
    TokenPolicy, Verifier, VerifyError, VerifyingKeys,
};

const HOUR: u64 = 3600;
const LEEWAY: u64 = 5;
const AHEAD: u64 = 30;
const UUID: &str = "08a5019c-17e1-4977-8f42-65a12843ea02";

fn policy(lifetime: u64) -> TokenPolicy {
    TokenPolicy::builder(ISSUER, AUDIENCE).lifetime(Duration::from_secs(lifetime)).build().unwrap()
}

fn forge() -> Forge {
    Forge::new(Algorithm::EdDsa, 1)
}

/// With `typ` as RFC 9068 demands, and a lifetime of an hour.
fn verifier() -> Verifier {
    Verifier::for_issuer(policy(HOUR), VerifyingKeys::from_ring(&forge().ring()))
}

fn verify_at(claims: &Claims, now: Timestamp) -> Result<IssuerClaims, VerifyError> {
    verifier().verify_foreign(forge().with_payload(claims), now)
}

fn verify(claims: &Claims) -> Result<IssuerClaims, VerifyError> {
    verify_at(claims, now())
}

#[track_caller]
fn assert_refused(claims: &Claims, error: VerifyError) {
    assert_eq!(verify(claims).map(|_| ()), Err(error), "{}", claims.json());
}

/// These claims in place of, or beside, those that each token needs.
fn claims(others: &[(&str, &str)]) -> Claims {
    let needed = [
        ("iss", format!("\"{ISSUER}\"")),
        ("aud", format!("\"{AUDIENCE}\"")),
        ("sub", "\"alice\"".to_owned()),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 300).to_string()),
    ];
    let needed = Claims(needed.map(|(name, value)| (name.to_owned(), value)).into());
    others.iter().fold(needed, |claims, (name, value)| claims.with(name, value))
}

/// As they look at the issuers; `iss` and `aud` are ours.
fn keycloak() -> Claims {
    claims(&[
        ("exp", &(NOW + 300).to_string()),
        ("auth_time", &(NOW - 60).to_string()),
        ("jti", r#""onrtac:5d1f9a6c-2b8e-4a57-9d0a-4c6f0c0f7d11""#),
        ("aud", &format!(r#"["{AUDIENCE}","account"]"#)),
        ("sub", r#""f3b6c0de-1111-4222-8333-944455556666""#),
        ("typ", r#""Bearer""#),
        ("azp", r#""web""#),
        ("sid", &format!("\"{UUID}\"")),
        ("acr", r#""1""#),
        ("allowed-origins", r#"["https://shop.example"]"#),
        ("realm_access", r#"{"roles":["offline_access","admin"]}"#),
        ("resource_access", r#"{"account":{"roles":["manage-account","view-profile"]}}"#),
        ("scope", r#""openid profile orders:read""#),
        ("email_verified", "false"),
    ])
}

fn entra() -> Claims {
    claims(&[
        ("nbf", &NOW.to_string()),
        ("exp", &(NOW + 4567).to_string()),
        ("aio", r#""ATQAy/8TAAAA""#),
        ("azp", r#""b14a7505-96e9-4927-91e8-0601d0fc9caa""#),
        ("azpacr", r#""0""#),
        ("oid", r#""690222be-ff1a-4d56-abd1-7e4f7d38e474""#),
        ("rh", r#""0.AAA.""#),
        ("scp", r#""orders.read orders.write""#),
        ("sid", &format!("\"{UUID}\"")),
        ("sub", r#""HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ""#),
        ("tid", r#""fa15d692-e9c7-4460-a743-29f2956fd429""#),
        ("uti", r#""fqiBqXLPj0eQa82S-IYFAA""#),
        ("ver", r#""2.0""#),
    ])
}

fn entra_v1() -> Claims {
    entra().without("azp").with("appid", r#""b14a7505""#).with("acr", r#""1""#).with("amr", r#"["pwd"]"#)
}

fn auth0() -> Claims {
    claims(&[
        ("sub", r#""auth0|5f7c8ec7c33c6c004bbafe82""#),
        ("aud", &format!(r#"["{AUDIENCE}","https://tenant.auth0.com/userinfo"]"#)),
        ("exp", &(NOW + 24 * HOUR).to_string()),
        ("azp", r#""my_client_id""#),
        ("scope", r#""openid orders:read""#),
        ("permissions", r#"["create:orders"]"#),
        ("https://shop.example/roles", r#"["admin"]"#),
    ])
}

fn okta() -> Claims {
    claims(&[
        ("ver", "1"),
        ("jti", r#""AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMA0D7uX39RE""#),
        ("exp", &(NOW + HOUR).to_string()),
        ("cid", r#""0oa2z7q""#),
        ("uid", r#""00u5t60iloOHN9pBi0h7""#),
        ("scp", r#"["openid","orders:read"]"#),
        ("auth_time", &(NOW - HOUR).to_string()),
        ("sub", r#""alice@example.com""#),
    ])
}

/// Signed with RS256, as all of them do.
fn sign(header: &str, claims: &Claims) -> String {
    use base64::Engine as _;
    let body: String = include_str!("../rsa/private.pem").lines().filter(|line| !line.starts_with('-')).collect();
    let pair = KeyPair::from_pkcs8(&base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap();
    let message = format!("{}.{}", encode(header), encode(claims.json()));
    let mut signature = vec![0; pair.public().modulus_len()];
    let padding = &ring::signature::RSA_PKCS1_SHA256;
    pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", encode(signature))
}

#[test]
fn tokens_of_known_issuers_are_read() {
    let key = PublicKey::from_pem(include_str!("../rsa/public.pem")).unwrap();
    let kid = key.kid().to_owned();
    let strict = Verifier::for_issuer(policy(24 * HOUR), VerifyingKeys::from_public([key.clone()]).unwrap());
    let generic = Verifier::for_issuer(policy(24 * HOUR), VerifyingKeys::from_public([key]).unwrap());
    let generic = generic.allow_generic_type();
    let typed = |typ: &str| format!(r#"{{"typ":"{typ}","alg":"RS256","x5t":"dGh1bWI","kid":"{kid}"}}"#);
    let untyped = format!(r#"{{"kid":"{kid}","alg":"RS256"}}"#);
    for (name, header, claims, client, scope, acr) in [
        ("Keycloak", typed("JWT"), keycloak(), Some("web"), "openid profile orders:read", Some("1")),
        (
            "Entra ID",
            typed("JWT"),
            entra(),
            Some("b14a7505-96e9-4927-91e8-0601d0fc9caa"),
            "orders.read orders.write",
            None,
        ),
        ("Entra ID, version 1", typed("JWT"), entra_v1(), Some("b14a7505"), "orders.read orders.write", Some("1")),
        ("Auth0", typed("JWT"), auth0(), Some("my_client_id"), "openid orders:read", None),
        ("Auth0, RFC 9068", typed("at+jwt"), auth0(), Some("my_client_id"), "openid orders:read", None),
        ("Okta", untyped, okta(), Some("0oa2z7q"), "openid orders:read", None),
    ] {
        let token = sign(&header, &claims);
        let read = generic.verify_foreign(&token, now()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((read.client.as_deref(), read.scope.as_deref()), (client, Some(scope)), "{name}");
        assert_eq!((read.acr.as_deref(), read.issued_at), (acr, Some(now())), "{name}");
        assert!(scope.split(' ').all(|one| read.has_scope(one)), "{name}");
        assert!(!read.has_scope("orders"), "{name}");
        let refused = strict.verify_foreign(&token, now()).map(|_| ());
        let strict_answer = if header.contains("at+jwt") { Ok(()) } else { Err(VerifyError::Type) };
        assert_eq!(refused, strict_answer, "{name}");
        assert!(generic.verify(&token, now()).is_err(), "{name}: none of ours");
    }
}

/// The application reads what it knows of, as it was signed.
#[test]
fn other_claims_are_the_applications_to_read() {
    #[derive(Deserialize)]
    struct Realm {
        roles: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Mine {
        realm_access: Realm,
        sid: String,
        #[serde(rename = "allowed-origins")]
        origins: Vec<String>,
    }
    let read = verify(&keycloak()).unwrap();
    let mine: Mine = read.read().unwrap();
    assert_eq!((mine.realm_access.roles[1].as_str(), mine.sid.as_str()), ("admin", UUID));
    assert_eq!(mine.origins, ["https://shop.example"]);
    assert_eq!(
        (read.subject.as_str(), read.authenticated_at),
        ("f3b6c0de-1111-4222-8333-944455556666", Some(at(NOW - 60)))
    );
    assert!(verify(&claims(&[])).unwrap().read::<Mine>().is_err());
    let shown = format!("{read:?}");
    for hidden in ["f3b6", "onrtac", "web", UUID, "admin", "orders"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn what_is_needed_is_needed() {
    assert!(verify(&claims(&[])).is_ok());
    for name in ["iss", "aud", "sub", "exp"] {
        assert_refused(&claims(&[]).without(name), VerifyError::Missing(name));
        assert_refused(&claims(&[(name, "null")]), VerifyError::Missing(name));
    }
    assert_refused(&claims(&[("sub", r#""""#)]), VerifyError::Missing("sub"));
    // What is not needed may be missing, or null, as some issuers write it.
    for name in ["iat", "nbf", "auth_time", "scope", "scp", "acr", "jti", "client_id", "azp", "sid", "nonce"] {
        assert!(verify(&claims(&[(name, "null")])).is_ok(), "{name}");
    }
    let read = verify(&claims(&[]).without("iat")).unwrap();
    assert!(read.issued_at.is_none() && read.scope.is_none() && read.client.is_none() && read.token_id.is_none());
    assert!(!read.has_scope("orders:read") && !read.has_scope(""));
}

#[test]
fn wrong_types_are_refused() {
    for (name, values) in [
        ("iss", &["1", "true", "{}", r#"["https://login.example"]"#][..]),
        ("aud", &["1", "[]", "[1]", "{}", "[null]", r#"["https://api.example",1]"#, r#"[["https://api.example"]]"#]),
        ("sub", &["1", "{}", r#"["alice"]"#]),
        ("exp", &["\"1767225900\"", "true", "[]", "-1", "1e12", "1e400", "253402300800"]),
        ("iat", &["\"1767225600\"", "{}", "-0.5"]),
        ("nbf", &["\"0\"", "[]", "1e300"]),
        ("auth_time", &["\"0\"", "false", "-1767225600"]),
        ("client_id", &["1", "{}"]),
        ("azp", &["1", "[]"]),
        ("cid", &["1"]),
        ("scope", &["1", "true", "{}", "[1]", r#"["a",null]"#, r#"["a b"]"#, r#"[""]"#]),
        ("scp", &["1", "{}", r#"["orders:read orders:write"]"#]),
        ("jti", &["1", "{}"]),
    ] {
        for value in values {
            assert_refused(&claims(&[(name, value)]), VerifyError::Invalid(name));
        }
    }
    // What `acr` means knows the issuer; some write numbers.
    assert_eq!(verify(&claims(&[("acr", "1")])).unwrap().acr, None);
    for payload in ["[]", "1", "null", "{", "{}{}", r#"{"exp":01}"#, r#"{"exp":NaN}"#, "{\"a\":\"\u{1}\"}", "{} x"] {
        let answer = verifier().verify_foreign(forge().token(forge().header(), payload), now());
        assert_eq!(answer.map(|_| ()), Err(VerifyError::Payload), "{payload}");
    }
}

/// Whichever of two an application would read, another reader would read the other.
#[test]
fn claims_that_occur_twice_are_refused() {
    for (name, value) in
        [("sub", "\"bob\""), ("sub", "null"), ("exp", "1"), ("aud", "\"x\""), ("scope", "\"a\""), ("roles", "1")]
    {
        let twice = claims(&[]).also(name, value).also(name, value);
        assert_refused(&twice, VerifyError::Duplicate);
        assert_refused(&claims(&[("roles", "[]"), ("scope", "\"b\"")]).also(name, value), VerifyError::Duplicate);
    }
    assert_refused(&claims(&[]).also("\\u0073ub", "\"bob\""), VerifyError::Duplicate);
    // Names that only look the same.
    assert!(verify(&claims(&[("Sub", "\"bob\""), ("sub ", "1"), ("ѕub", "1")])).is_ok());
}

#[test]
fn only_this_issuer_and_this_audience() {
    for iss in ["https://login.example/", "https://login.exampl", "HTTPS://login.example", "login.example", ""] {
        assert_refused(&claims(&[("iss", &format!("\"{iss}\""))]), VerifyError::Issuer);
    }
    for aud in [r#""account""#, r#""https://api.example/""#, r#"["account","https://api.example.evil"]"#, r#""""#] {
        assert_refused(&claims(&[("aud", aud)]), VerifyError::Audience);
    }
    assert!(verify(&claims(&[("iss", r#""https:\/\/login.example""#)])).is_ok(), "escaped, and the same");
}

#[test]
fn times_on_each_boundary() {
    let ms = |seconds: u64, millis: i64| Timestamp::from_millis(seconds as i64 * 1000 + millis);
    let exp = NOW + 300;
    assert!(verify_at(&claims(&[]), ms(exp + LEEWAY, -1)).is_ok());
    assert_eq!(verify_at(&claims(&[]), ms(exp + LEEWAY, 0)).unwrap_err(), VerifyError::Expired);
    let fraction = claims(&[("exp", &format!("{exp}.25"))]);
    assert!(verify_at(&fraction, ms(exp + LEEWAY, 249)).is_ok());
    assert_eq!(verify_at(&fraction, ms(exp + LEEWAY, 250)).unwrap_err(), VerifyError::Expired);
    assert_eq!(verify(&fraction).unwrap().expires_at, ms(exp, 250));
    assert_eq!(verify(&claims(&[("exp", "1.7672259e9")])).unwrap().expires_at, at(exp));
    for (name, error) in [("nbf", VerifyError::NotYetValid), ("iat", VerifyError::IssuedInFuture)] {
        assert!(verify(&claims(&[(name, &(NOW + AHEAD).to_string())])).is_ok());
        assert_refused(&claims(&[(name, &format!("{}.001", NOW + AHEAD))]), error);
        assert_refused(&claims(&[(name, &(NOW + AHEAD + 1).to_string())]), error);
    }
    assert!(verify(&claims(&[("auth_time", &(NOW + AHEAD).to_string())])).is_ok());
    assert_refused(&claims(&[("auth_time", &(NOW + AHEAD + 1).to_string())]), VerifyError::Invalid("auth_time"));
    for long_ago in ["0", "0.0", "-0.0", "1"] {
        assert!(verify(&claims(&[("nbf", long_ago), ("auth_time", long_ago)])).is_ok(), "{long_ago}");
    }
}

#[test]
fn no_token_is_good_for_longer_than_the_policy_says() {
    assert!(verify(&claims(&[("exp", &(NOW + HOUR).to_string())])).is_ok());
    for exp in [format!("{}.001", NOW + HOUR), (NOW + HOUR + 1).to_string(), "253402300799".to_owned()] {
        assert_refused(&claims(&[("exp", &exp)]), VerifyError::Lifetime);
    }
    for exp in [NOW, NOW - 1, NOW - 4] {
        assert_refused(&claims(&[("exp", &exp.to_string())]), VerifyError::Lifetime);
    }
    // Without `iat` it is good for as long as that at the end of its life.
    let silent = claims(&[("exp", &(NOW + 30 * HOUR).to_string())]).without("iat");
    let begins = NOW + 29 * HOUR - AHEAD;
    assert_refused(&silent, VerifyError::Lifetime);
    assert_eq!(verify_at(&silent, at(begins - 1)).unwrap_err(), VerifyError::Lifetime);
    assert!(verify_at(&silent, at(begins)).is_ok());
}

#[test]
fn scopes_in_each_shape() {
    for (others, scope) in [
        (&[("scope", r#""a b""#)][..], Some("a b")),
        (&[("scope", r#"["a","b"]"#)], Some("a b")),
        (&[("scp", r#"["a","b"]"#)], Some("a b")),
        (&[("scp", r#""a b""#)], Some("a b")),
        (&[("scope", r#""a""#), ("scp", r#"["a","b"]"#)], Some("a")),
        (&[("scope", "null"), ("scp", r#""b""#)], Some("b")),
        (&[("scope", r#""""#), ("scp", r#""b""#)], Some("")),
        (&[("scp", "[]")], Some("")),
        (&[("scopes", r#""a""#)], None),
    ] {
        assert_eq!(verify(&claims(others)).unwrap().scope.as_deref(), scope, "{others:?}");
    }
}

/// `client_id` first, whatever the order.
#[test]
fn the_client_has_one_name() {
    let all = [("appid", "\"d\""), ("cid", "\"c\""), ("azp", "\"b\""), ("client_id", "\"a\"")];
    for (number, name) in ["d", "c", "b", "a"].into_iter().enumerate() {
        assert_eq!(verify(&claims(&all[..=number])).unwrap().client.as_deref(), Some(name));
    }
}

/// An issuer that writes `JWT` into all headers signs them with the same keys.
#[test]
fn a_logout_token_is_no_access_token() {
    let event = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;
    let token = claims(&[("jti", "\"j\""), ("events", event)]);
    assert_refused(&token, VerifyError::Type);
    let generic = verifier().allow_generic_type();
    let typed = |typ| forge().token(header("EdDSA", &forge().kid(), typ), token.json());
    for typ in ["JWT", "logout+jwt", "at+jwt"] {
        assert_eq!(generic.verify_foreign(typed(typ), now()).unwrap_err(), VerifyError::Type, "{typ}");
    }
    for value in ["null", "5", "[]"] {
        let events = format!(r#"{{"http://schemas.openid.net/event/backchannel-logout":{value}}}"#);
        assert_refused(&claims(&[("events", &events)]), VerifyError::Type);
    }
    for events in ["null", "[]", "{}", "\"concerts\"", r#"{"https://schemas.openid.net/secevent/caep":{}}"#] {
        assert!(verify(&claims(&[("events", events)])).is_ok(), "{events}: a claim of the application's");
    }
}

/// A server with the keys, or without an answer.
#[derive(Debug)]
struct Server(Option<String>);

#[async_trait]
impl FetchJwks for Server {
    async fn fetch(&self, _: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
        Ok(document.push(self.0.as_ref().ok_or("connection refused")?.as_bytes())?)
    }
}

#[tokio::test]
async fn without_keys_nothing_is_known_of_a_token() {
    let remote = |keys| {
        let verifier = Verifier::for_issuer(policy(HOUR), VerifyingKeys::none());
        let remote = RemoteVerifier::new(verifier, "https://login.example/jwks.json", Server(keys)).unwrap();
        remote.with_clock(ManualClock::new(now()))
    };
    let good = forge().with_payload(&okta());
    let expired = forge().with_payload(&claims(&[("iat", "1"), ("exp", "2")]));
    for token in [&good, &expired, "not.a.token"] {
        let error = remote(None).verify_foreign(token).await.unwrap_err();
        assert!(matches!(error, RemoteVerifyError::Keys(_)), "{error:?}");
    }
    let remote = remote(Some(forge().ring().jwks(now()).to_json()));
    assert_eq!(remote.verify_foreign(&good).await.unwrap().subject, "alice@example.com");
    let error = remote.verify_foreign(&expired).await.unwrap_err();
    assert!(matches!(error, RemoteVerifyError::Token(VerifyError::Expired)), "{error:?}");
}
