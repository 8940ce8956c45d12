//! Foreign tokens that are signed with RSA.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::common::{Claims, Forge, encode, header, now, policy};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaEncoding};
use session_core::OsEntropy;
use session_jwt::{Algorithm, KeyError, PublicKey, SigningKey, Verifier, VerifyError, VerifyingKeys};

/// Made by OpenSSL for these tests.
const PRIVATE: &str = include_str!("../rsa/private.pem");
const PUBLIC: &str = include_str!("../rsa/public.pem");
/// Of 1024 bits.
const SHORT: &str = include_str!("../rsa/short.pem");

fn pair() -> KeyPair {
    use base64::Engine as _;
    let body: String = PRIVATE.lines().filter(|line| !line.starts_with('-')).collect();
    KeyPair::from_pkcs8(&base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap()
}

fn sign(encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = pair();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn token(alg: &str, kid: &str, encoding: &'static dyn RsaEncoding) -> String {
    let message = format!("{}.{}", encode(header(alg, kid, "at+jwt")), encode(Claims::good().json()));
    let signature = sign(encoding, message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// `n` and `e`, big-endian.
fn numbers() -> (Vec<u8>, Vec<u8>) {
    let pair = pair();
    let key = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
    (key.n, key.e)
}

fn jwk(n: &[u8], e: &[u8], more: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{}","e":"{}","kid":"r"{more}}}"#, encode(n), encode(e))
}

fn own_jwk(more: &str) -> String {
    let (n, e) = numbers();
    jwk(&n, &e, more)
}

fn verifiers(key: &str) -> [Verifier; 2] {
    let keys = || VerifyingKeys::from_jwks(&format!(r#"{{"keys":[{key}]}}"#)).unwrap();
    [Verifier::for_issuer(policy(), keys()), Verifier::new(policy(), keys())]
}

#[test]
fn a_key_verifies_its_own_algorithm_only() {
    let [rs256, ps256] = [token("RS256", "r", &RSA_PKCS1_SHA256), token("PS256", "r", &RSA_PSS_SHA256)];
    for (more, good, other) in [
        ("", &rs256, &ps256), // what issuers mean that leave it out
        (r#","alg":"RS256","use":"sig""#, &rs256, &ps256),
        (r#","alg":"PS256","key_ops":["verify"]"#, &ps256, &rs256),
    ] {
        for (verifier, error) in
            verifiers(&own_jwk(more)).into_iter().zip([VerifyError::Algorithm, VerifyError::Header])
        {
            assert!(verifier.verify(good, now()).is_ok(), "{more}");
            assert_eq!(verifier.verify(other, now()).unwrap_err(), error, "{more}");
        }
    }
    // The padding is that of the key, whatever was signed.
    for (more, alg, encodings) in [
        (r#","alg":"RS256""#, "RS256", [&RSA_PSS_SHA256 as &'static dyn RsaEncoding, &RSA_PKCS1_SHA384]),
        (r#","alg":"PS256""#, "PS256", [&RSA_PKCS1_SHA256, &RSA_PSS_SHA384]),
    ] {
        for encoding in encodings {
            for verifier in verifiers(&own_jwk(more)) {
                assert_eq!(verifier.verify(token(alg, "r", encoding), now()).unwrap_err(), VerifyError::Signature);
            }
        }
    }
    for alg in ["RS384", "RS512", "PS384", "RS1", "RSA-OAEP", "RSA-OAEP-256", "HS256", "ES256", ""] {
        let key = own_jwk(&format!(r#","alg":"{alg}""#));
        assert_eq!(PublicKey::from_jwk(&key).unwrap_err(), KeyError::Jwk, "{alg}");
    }
    // Both may be in one set, under one name.
    let both = format!("{},{}", own_jwk(r#","alg":"RS256""#), own_jwk(r#","alg":"PS256""#));
    for verifier in verifiers(&both) {
        assert!(verifier.verify(&rs256, now()).is_ok() && verifier.verify(&ps256, now()).is_ok());
    }
}

#[test]
fn no_signature_but_that_of_the_key_is_accepted() {
    let good = token("RS256", "r", &RSA_PKCS1_SHA256);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = crate::common::decode(signature);
    let (n, _) = numbers();
    let [verifier, _] = verifiers(&own_jwk(""));
    let with = |bytes: &[u8]| format!("{message}.{}", encode(bytes));
    assert!(verifier.verify(with(&bytes), now()).is_ok());
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    let wrong = [
        flipped,
        vec![0; 256],
        [&[0; 255][..], &[1]].concat(),
        vec![0xff; 256],
        n.clone(),
        bytes[..255].to_vec(),
        bytes[1..].to_vec(),
        [&bytes[..], &[0]].concat(),
        [&[0][..], &bytes].concat(),
        [&bytes[..], &bytes].concat(),
        vec![1; 1024],
        vec![1; 1025],
        vec![1; 4000],
        vec![0; 64],
        crate::common::hmac(PUBLIC.as_bytes(), message.as_bytes()),
    ];
    for bytes in wrong {
        assert_eq!(verifier.verify(with(&bytes), now()).unwrap_err(), VerifyError::Signature, "{} bytes", bytes.len());
    }
    for text in [format!("{good}="), format!("{good}\n"), format!("{message}.{}", "A".repeat(341))] {
        assert_eq!(verifier.verify(text, now()).unwrap_err(), VerifyError::Encoding);
    }
    let public = crate::common::hmac(PUBLIC.as_bytes(), message.as_bytes());
    let confused =
        format!("{}.{}.{}", encode(header("HS256", "r", "at+jwt")), message.split('.').nth(1).unwrap(), encode(public));
    assert_eq!(verifier.verify(confused, now()).unwrap_err(), VerifyError::Algorithm);
    let other = Claims::good().with("sub", "\"eve\"").json();
    let swapped = format!("{}.{}.{signature}", message.split('.').next().unwrap(), encode(other));
    assert_eq!(verifier.verify(swapped, now()).unwrap_err(), VerifyError::Signature);
}

#[test]
fn keys_out_of_bounds_are_refused() {
    let (n, e) = numbers();
    let odd = |bits: usize| {
        let mut number = vec![0; bits.div_ceil(8)];
        number[0] = 1 << ((bits - 1) % 8);
        *number.last_mut().unwrap() |= 1;
        number
    };
    let exponent = |number: u64| number.to_be_bytes().to_vec();
    let mut even = n.clone();
    even[255] &= 0xfe;
    let refused = [
        ("no modulus", vec![], e.clone()),
        ("512 bits", odd(512), e.clone()),
        ("1024 bits", odd(1024), e.clone()),
        ("2047 bits", odd(2047), e.clone()),
        ("2047 bits in 300 bytes", [&[0; 44][..], &odd(2047)].concat(), e.clone()),
        ("8193 bits", odd(8193), e.clone()),
        ("16384 bits", odd(16384), e.clone()),
        ("even modulus", even, e.clone()),
        ("zero", vec![0; 256], e.clone()),
        ("no exponent", n.clone(), vec![]),
        ("exponent 0", n.clone(), vec![0]),
        ("exponent 1", n.clone(), vec![1]),
        ("exponent 2", n.clone(), vec![2]),
        ("exponent 65536", n.clone(), exponent(65536)),
        ("exponent 2^33 + 1", n.clone(), exponent((1 << 33) + 1)),
        ("exponent of 9 bytes", n.clone(), vec![1; 9]),
        ("exponent of 256 bytes", n.clone(), n.clone()),
    ];
    for (name, n, e) in refused {
        assert_eq!(PublicKey::from_jwk(&jwk(&n, &e, "")).unwrap_err(), KeyError::Invalid, "{name}");
    }
    for (n, e) in
        [(odd(2048), vec![3]), (odd(3072), vec![5]), (odd(8192), vec![1, 0, 1]), (n.clone(), exponent((1 << 33) - 1))]
    {
        assert!(PublicKey::from_jwk(&jwk(&n, &e, "")).is_ok());
    }
    // The sign of a Java number: the same key.
    let padded = PublicKey::from_jwk(&jwk(&[&[0][..], &n].concat(), &exponent(65537), "")).unwrap();
    assert_eq!(padded.thumbprint(), PublicKey::from_pem(PUBLIC).unwrap().thumbprint());
    for key in [own_jwk("").replace("\"n\"", "\"m\""), own_jwk("").replace("\"e\":\"", "\"e\":\"=")] {
        assert_eq!(PublicKey::from_jwk(&key).unwrap_err(), KeyError::Jwk);
    }
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        assert_eq!(PublicKey::from_jwk(&own_jwk(&format!(r#","{member}":"AQAB""#))).unwrap_err(), KeyError::Private);
    }
    assert_eq!(PublicKey::from_pem(SHORT).unwrap_err(), KeyError::Invalid);
    assert_eq!(PublicKey::from_pem(PRIVATE).unwrap_err(), KeyError::Pem);
    assert_eq!(PublicKey::from_pem(&PUBLIC.replace("AQ8AMII", "AQ8AMIJ")).unwrap_err(), KeyError::Pem);
}

#[test]
fn a_pem_is_for_rs256_and_for_ps256_on_request() {
    let key = PublicKey::from_pem(PUBLIC).unwrap().with_kid("r").unwrap();
    assert_eq!((key.algorithm(), key.kid()), (Algorithm::Rs256, "r"));
    let pss = key.clone().for_ps256().unwrap();
    assert_eq!((pss.algorithm(), pss.kid(), pss.thumbprint()), (Algorithm::Ps256, "r", key.thumbprint()));
    for (key, token) in [(key, token("RS256", "r", &RSA_PKCS1_SHA256)), (pss, token("PS256", "r", &RSA_PSS_SHA256))] {
        let verifier = Verifier::new(policy(), VerifyingKeys::from_public([key]).unwrap());
        assert!(verifier.verify(token, now()).is_ok());
    }
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = Forge::new(algorithm, 1).key().public().unwrap();
        assert_eq!(key.for_ps256().unwrap_err(), KeyError::Jwk);
    }
}

#[test]
fn thumbprints_are_those_of_rfc_7638() {
    // Its section 3.1.
    let jwk = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    assert_eq!(PublicKey::from_jwk(jwk).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn no_rsa_key_is_held_here() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        assert_eq!(SigningKey::generate(algorithm, &OsEntropy).unwrap_err(), KeyError::Rsa);
    }
    assert_eq!(SigningKey::from_pem(PRIVATE).unwrap_err(), KeyError::Pem);
    assert!(SigningKey::from_jwk(&own_jwk(r#","d":"AQAB""#)).is_err());
    for text in [PRIVATE, PUBLIC] {
        assert_eq!(SigningKey::from_secret(text.as_bytes()).unwrap_err(), KeyError::NotASecret);
    }
}
