//! JWKS documents of others: what can be used serves, and the rest does no harm.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::common::{Claims, Forge, now, policy};
use session_jwt::{Algorithm, KeyError, PublicKey, Verifier, VerifyError, VerifyingKeys};

const RSA: &str = include_str!("../rsa/public.pem");

/// The public JWK of a key, with this `kid`.
fn jwk(forge: &Forge, kid: &str) -> String {
    let document = forge.ring().jwks(now()).to_json();
    let entry = &document[r#"{"keys":["#.len()..document.len() - 2];
    entry.replace(&forge.kid(), kid)
}

/// The same without `kid`.
fn nameless(forge: &Forge) -> String {
    jwk(forge, "k").replace(r#""kid":"k","#, "")
}

fn document(entries: &[&str]) -> String {
    format!(r#"{{"keys":[{}],"more":1}}"#, entries.join(","))
}

fn kids(document: &str) -> Vec<String> {
    let keys = VerifyingKeys::from_jwks(document).unwrap();
    let mut kids: Vec<String> = keys.kids().map(str::to_owned).collect();
    kids.sort();
    kids
}

fn verifier(document: &str) -> Verifier {
    Verifier::for_issuer(policy(), VerifyingKeys::from_jwks(document).unwrap())
}

/// A token of `forge`, whose header has this `kid`, or none.
fn token(forge: &Forge, kid: Option<&str>) -> String {
    let kid = kid.map(|kid| format!(r#""kid":"{kid}","#)).unwrap_or_default();
    forge.token(format!(r#"{{"alg":"{}",{kid}"typ":"at+jwt"}}"#, forge.alg()), Claims::good().json())
}

fn verify(document: &str, token: &str) -> Result<(), VerifyError> {
    verifier(document).verify(token, now()).map(|_| ())
}

#[test]
fn what_cannot_be_used_is_left_out_and_the_rest_serves() {
    let [good, other] = [1, 100].map(|number| Forge::new(Algorithm::Es256, number));
    let (key, bad) = (jwk(&good, "good"), jwk(&other, "bad"));
    let changed = |from: &str, to: &str| {
        let changed = bad.replacen(from, to, 1);
        assert_ne!(changed, bad, "{from}");
        changed
    };
    let with = |members: &str| changed("{", &format!("{{{members},"));
    let long = "k".repeat(129);
    let small_order = r#"{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","kid":"bad"}"#;
    let unusable = [
        changed(r#""kty":"EC","#, ""),
        changed("EC", "ec"),
        changed("EC", "OKP"),
        changed("P-256", "P-521"),
        changed(r#""x":""#, r#""x":"A"#),
        changed(r#""y":""#, r#""y":"AAAA"#),
        changed(r#""y":""#, r#""z":""#),
        changed(r#""x":""#, r#""x":1,"z":""#),
        changed(r#""kid":"bad""#, r#""kid":"""#),
        changed(r#""kid":"bad""#, &format!(r#""kid":"{long}""#)),
        changed(r#""kid":"bad""#, r#""kid":1"#),
        changed(r#""kid":"bad""#, r#""kid":["bad"]"#),
        changed("ES256", "ES384"),
        changed("ES256", "none"),
        changed("ES256", "HS256"),
        changed("ES256", "RS256"),
        changed("ES256", "EdDSA"),
        changed(r#""ES256""#, "256"),
        changed(r#""use":"sig""#, r#""use":"enc""#),
        changed(r#""use":"sig""#, r#""use":["sig"]"#),
        with(r#""key_ops":["sign"]"#),
        with(r#""key_ops":[]"#),
        with(r#""key_ops":"verify""#),
        with(r#""kid":"bad""#),
        with(r#""x":"AAAA""#),
        with(r#""k\u0069d":"good""#),
        with(r#""d":"AAAA""#),
        with(r#""d":1"#),
        with(r#""k":"AAAA""#),
        with(r#""p":"AAAA""#),
        with(r#""oth":[]"#),
        small_order.to_owned(),
        r#"{"kty":"oct","k":"c2VjcmV0","kid":"bad"}"#.to_owned(),
        r#"{"kty":"oct","kid":"bad"}"#.to_owned(),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"bad"}"#.to_owned(),
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA","kid":"bad"}"#.to_owned(),
        Forge::new(Algorithm::EdDsa, 1).key().to_jwk().to_string(),
        "{}".to_owned(),
        "null".to_owned(),
        "1".to_owned(),
        "\"EC\"".to_owned(),
        "[]".to_owned(),
        format!("[{key}]"),
        "[".repeat(50_000) + &"]".repeat(50_000),
    ];
    for bad in &unusable {
        for text in [document(&[bad, &key]), document(&[&key, bad]), document(&[bad, &key, bad])] {
            assert_eq!(kids(&text), ["good"], "{bad:.200}");
            assert_eq!(verify(&text, &token(&good, Some("good"))), Ok(()), "{bad:.200}");
            assert_eq!(verify(&text, &token(&other, Some("bad"))), Err(VerifyError::Key), "{bad:.200}");
        }
        assert_eq!(VerifyingKeys::from_jwks(&document(&[bad])).unwrap_err(), KeyError::Count, "{bad:.200}");
    }
    let all: Vec<&str> = unusable.iter().map(String::as_str).chain([&*key]).collect();
    assert_eq!(kids(&document(&all)), ["good"]);
    // What is only unusual is no reason.
    for members in [r#""key_ops":["sign","verify"]"#, r#""x5c":["!"]"#, r#""ext":true,"nbf":9"#, r#""d":null"#] {
        assert_eq!(kids(&document(&[&with(members)])), ["bad"], "{members}");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let key = jwk(&Forge::new(Algorithm::Es256, 1), "a");
    let good = document(&[&key]);
    for text in ["", "1", "[]", "{}", "null", "<html>", r#"{"keys":1}"#, r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        assert_eq!(VerifyingKeys::from_jwks(text).unwrap_err(), KeyError::Jwk, "{text}");
    }
    let twice = good.replace("\"more\":1", &format!("\"keys\":[{key}]"));
    let (cut, more, list) = (&good[..good.len() - 1], format!("{good}{good}"), format!("[{key}]"));
    for text in [&*twice, cut, &more, &list, &good.replace("[{", "[NaN,{")] {
        assert_eq!(VerifyingKeys::from_jwks(text).unwrap_err(), KeyError::Jwk, "{text}");
    }
    assert_eq!(VerifyingKeys::from_jwks(&document(&[])).unwrap_err(), KeyError::Count);
}

#[test]
fn at_most_a_hundred_keys_are_used() {
    let key = Forge::new(Algorithm::Es256, 1);
    let entry = jwk(&key, "NUMBER");
    let entries: Vec<String> = (0..1500).map(|number| entry.replace("NUMBER", &format!("{number}"))).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let text = document(&entries);
    assert_eq!(kids(&text).len(), 100);
    assert_eq!(verify(&text, &token(&key, Some("99"))), Ok(()));
    assert_eq!(verify(&text, &token(&key, Some("100"))), Err(VerifyError::Key));
    // After many that cannot be used.
    let unusable = vec!["{}"; 500];
    assert_eq!(kids(&document(&[&unusable[..], &entries[..1]].concat())), ["0"]);
}

/// "good" must not be the name of a key of which the document leaves open whether it is that one.
#[test]
fn two_keys_with_one_name_are_told_apart_or_left_out() {
    let [one, other] = [1, 100].map(|number| Forge::new(Algorithm::Es256, number));
    let edwards = Forge::new(Algorithm::EdDsa, 1);
    let rest = jwk(&Forge::new(Algorithm::Es256, 50), "rest");
    for order in [[&one, &other], [&other, &one]] {
        let [first, second] = order.map(|forge| jwk(forge, "good"));
        for text in [document(&[&first, &second, &rest]), document(&[&first, &rest, &second, &first, &second])] {
            assert_eq!(kids(&text), ["rest"]);
            for forge in [&one, &other] {
                assert_eq!(verify(&text, &token(forge, Some("good"))), Err(VerifyError::Key));
            }
        }
        assert_eq!(VerifyingKeys::from_jwks(&document(&[&first, &second])).unwrap_err(), KeyError::Count);
    }
    // The same key twice is one key.
    let key = jwk(&one, "good");
    assert_eq!(verify(&document(&[&key, &rest, &key]), &token(&one, Some("good"))), Ok(()));
    // One that cannot be used has no say.
    let encrypts = jwk(&other, "good").replace("sig", "enc");
    assert_eq!(verify(&document(&[&encrypts, &key]), &token(&one, Some("good"))), Ok(()));
    // Keys for different algorithms may share a name (RFC 7517, section 4.5); each verifies its own only.
    for text in [document(&[&key, &jwk(&edwards, "good")]), document(&[&jwk(&edwards, "good"), &key])] {
        for forge in [&one, &edwards] {
            assert_eq!(verify(&text, &token(forge, Some("good"))), Ok(()));
        }
        let claims = Claims::good().json();
        let crossed = one.token(crate::common::header("EdDSA", "good", "at+jwt"), &claims);
        assert_eq!(verify(&text, &crossed), Err(VerifyError::Signature));
        let absent = one.token(crate::common::header("RS256", "good", "at+jwt"), &claims);
        assert_eq!(verify(&text, &absent), Err(VerifyError::Algorithm));
    }
    let public = |forge: &Forge| PublicKey::from_jwk(&jwk(forge, "good")).unwrap();
    let set = |keys: [&Forge; 2]| VerifyingKeys::from_public(keys.map(public));
    assert_eq!(set([&one, &other]).unwrap_err(), KeyError::DuplicateKid);
    assert!(set([&one, &edwards]).is_ok());
}

#[test]
fn a_key_whose_private_half_is_published_verifies_nothing() {
    let [leaked, other] = [1, 100].map(|number| Forge::new(Algorithm::EdDsa, number));
    let private = leaked.key().to_jwk();
    let rest = jwk(&other, "rest");
    for public in [jwk(&leaked, "public"), nameless(&leaked)] {
        for text in [document(&[&public, &private, &rest]), document(&[&private, &rest, &public])] {
            assert_eq!(kids(&text), ["rest"]);
        }
    }
}

#[test]
fn a_token_without_kid_is_verified_with_the_only_key_for_its_algorithm() {
    let [one, other] = [1, 100].map(|number| Forge::new(Algorithm::Es256, number));
    let edwards = Forge::new(Algorithm::EdDsa, 1);
    let bare = token(&one, None);
    for key in [nameless(&one), jwk(&one, "a")] {
        assert_eq!(verify(&document(&[&key]), &bare), Ok(()));
        assert_eq!(
            verify(&document(&[&jwk(&edwards, "e"), &key]), &bare),
            Ok(()),
            "the other is for another algorithm"
        );
        for second in [nameless(&other), jwk(&other, "b")] {
            assert_eq!(verify(&document(&[&key, &second]), &bare), Err(VerifyError::Key), "none is tried in turn");
        }
    }
    assert_eq!(verify(&document(&[&nameless(&edwards)]), &bare), Err(VerifyError::Key));
    assert_eq!(verify(&document(&[&nameless(&other)]), &bare), Err(VerifyError::Signature));
    // A key without a name has its thumbprint, and no other.
    let text = document(&[&nameless(&one)]);
    assert_eq!(verify(&text, &token(&one, Some(&one.kid()))), Ok(()));
    for kid in ["", "k", &other.kid()] {
        assert_eq!(verify(&text, &token(&one, Some(kid))), Err(VerifyError::Key));
    }
    // The verifier that compares headers needs one.
    let exact = Verifier::new(policy(), VerifyingKeys::from_jwks(&text).unwrap());
    assert_eq!(exact.verify(&bare, now()).unwrap_err(), VerifyError::Header);
}

#[test]
fn documents_with_other_types_beside_ours() {
    let key = PublicKey::from_pem(RSA).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Rs256);
    let text = document(&[
        r#"{"kty":"new","kid":"n"}"#,
        &jwk(&Forge::new(Algorithm::EdDsa, 1), "e"),
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA","kid":"p"}"#,
        &jwk(&Forge::new(Algorithm::Es256, 1), "c"),
    ]);
    assert_eq!(kids(&text), ["c", "e"]);
}
