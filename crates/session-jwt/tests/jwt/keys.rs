//! What is accepted as a key, and what is refused.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::common::{ALGORITHMS, Broken, Constant, Forge, encode, now, policy};
use session_core::{EntropyError, OsEntropy};
use session_jwt::{AccessTokens, Algorithm, KeyError, KeyRing, PublicKey, Rotation, SigningKey, VerifyingKeys};

#[test]
fn weak_hmac_keys_are_refused() {
    let pattern: Vec<u8> = (0..64).map(|index| index % 9).collect();
    let table: [(&str, &[u8], KeyError); 10] = [
        ("empty", b"", KeyError::TooShort),
        ("one byte", b"x", KeyError::TooShort),
        ("31 bytes", &[7; 31], KeyError::TooShort),
        ("1025 bytes", &[7; 1025], KeyError::TooLong),
        ("zeros", &[0; 32], KeyError::WellKnown),
        ("one letter", &[b'a'; 64], KeyError::WellKnown),
        ("a pattern", &pattern, KeyError::WellKnown),
        ("the example of jwt.io", b"a-string-secret-at-least-256-bits-long", KeyError::WellKnown),
        ("a default of a product", b"super-secret-jwt-token-with-at-least-32-characters-long", KeyError::WellKnown),
        ("RFC 7520", &crate::common::decode("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"), KeyError::WellKnown),
    ];
    for (name, bytes, error) in table {
        assert_eq!(SigningKey::from_secret(bytes).unwrap_err(), error, "{name}");
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(bytes));
        assert_eq!(SigningKey::from_jwk(&jwk).unwrap_err(), error, "{name} as JWK");
    }
    let mut random: Vec<u8> = (0..32).map(|index| index * 7 + 3).collect();
    assert!(SigningKey::from_secret(&random).is_ok());
    // One random key in 65536 begins like this DER sequence.
    random[..2].copy_from_slice(&[0x30, 30]);
    assert!(SigningKey::from_secret(&random).is_ok());
}

/// The forms in which `bytes` are written down.
fn spellings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = [
        ("hex", pairs.concat()),
        ("upper-case hex", pairs.concat().to_uppercase()),
        ("hex with colons", pairs.join(":")),
        ("hex in lines", pairs.chunks(16).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")),
        ("base64", STANDARD.encode(bytes)),
        ("base64 without padding", STANDARD_NO_PAD.encode(bytes)),
        ("base64url", URL_SAFE.encode(bytes)),
        ("base64url without padding", encode(bytes)),
        ("base64 and a newline", STANDARD.encode(bytes) + "\n"),
    ];
    let texts = texts.map(|(name, text)| (name, text.into_bytes()));
    [("bytes", bytes.to_vec())].into_iter().chain(texts).collect()
}

#[test]
fn a_key_file_or_a_public_key_is_no_hmac_key() {
    let ssh = "AAAAC3NzaC1lZDI1NTE5AAAAIJqYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    // PKCS#1, of 2048 bits, without its end.
    let rsa = "MIIBCgKCAQEA0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX\
               jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9\
               c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-c\
               sFCur-kEgU8awapJzKnqDKgw";
    let mut forms = vec![
        ("ssh", format!("ssh-ed25519 {ssh} alice@example").into_bytes()),
        ("ssh without its name", ssh.as_bytes().to_vec()),
        ("ssh ecdsa", b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY".to_vec()),
        ("text of a certificate", b"\n -----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUY".to_vec()),
        ("PEM without its frame", b"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_vec()),
        ("RSA", rsa.as_bytes().to_vec()),
    ];
    forms.extend(spellings(&crate::common::decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")));
    for (algorithm, number) in [Algorithm::EdDsa, Algorithm::Es256].into_iter().flat_map(|it| [(it, 1), (it, 77)]) {
        let forge = Forge::new(algorithm, number);
        for (name, bytes) in forge.public_forms() {
            match name {
                // As variables of the environment have them, too.
                "pem" | "jwks" => forms.extend(spellings(&bytes)),
                // A compressed point, an uncompressed one, and that without its first byte.
                "raw" | "der" => forms.extend(spellings(&bytes)),
                other => panic!("{other} is new"),
            }
        }
        if let Forge::Es256(key) = &forge {
            let point = key.verifying_key().to_sec1_point(false);
            forms.extend(spellings(point.as_bytes()).into_iter().chain(spellings(&point.as_bytes()[1..])));
        }
        forms.push(("private JWK", forge.key().to_jwk().as_bytes().to_vec()));
    }
    assert!(forms.len() > 120, "{}", forms.len());
    for (name, bytes) in forms {
        assert_eq!(SigningKey::from_secret(&bytes).unwrap_err(), KeyError::NotASecret, "{name}, {} bytes", bytes.len());
    }
}

/// One in sixteen of those that are as long as a public key, none of the longer ones, and a generator goes on.
#[test]
fn few_secrets_are_taken_for_a_public_key() {
    let random = |length: usize| {
        let mut bytes = vec![0; length];
        session_core::Entropy::fill(&OsEntropy, &mut bytes).unwrap();
        bytes
    };
    let refused = |length| (0..512).filter(|_| SigningKey::from_secret(&random(length)).is_err()).count();
    assert!((4..80).contains(&refused(32)), "32 of 512 are expected");
    for length in [48, 63, 64, 65, 128] {
        assert_eq!(refused(length), 0, "{length} bytes");
    }
    for _ in 0..256 {
        assert!(SigningKey::generate(Algorithm::Hs256, &OsEntropy).is_ok());
    }
}

#[test]
fn points_that_are_none_are_refused() {
    let okp = |x: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}"#);
    let ec = |x: &str, y: &str| format!(r#"{{"kty":"EC","crv":"P-256","kid":"k","x":"{x}","y":"{y}"}}"#);
    let zero = encode([0; 32]);
    let one = encode([&[1][..], &[0; 31]].concat());
    let small_order = encode(crate::common::decode("x2oHD3fhw1KaGqDFSX78xLtcQn-jqw_hyRjVtiuJoXA"));
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert!(PublicKey::from_jwk(&ec(x, y)).is_ok());
    let prime = "_____wAAAAEAAAAAAAAAAAAAAAD_______________8";
    let table = [
        ("Ed25519, all zero", okp(&zero), KeyError::Invalid),
        ("Ed25519, the neutral point", okp(&one), KeyError::Invalid),
        ("Ed25519, a point of small order", okp(&small_order), KeyError::Invalid),
        ("Ed25519, not on the curve", okp(&encode([&[2][..], &[0; 31]].concat())), KeyError::Invalid),
        ("Ed25519, 31 bytes", okp(&encode([7; 31])), KeyError::Jwk),
        ("Ed25519, 33 bytes", okp(&encode([7; 33])), KeyError::Jwk),
        ("Ed25519, padded", okp("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="), KeyError::Jwk),
        ("Ed25519, unused bits", okp("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"), KeyError::Jwk),
        ("P-256, not on the curve", ec(x, x), KeyError::Invalid),
        ("P-256, all zero", ec(&zero, &zero), KeyError::Invalid),
        ("P-256, x is the prime", ec(prime, y), KeyError::Invalid),
        ("P-256, x without its leading byte", ec(&encode(&crate::common::decode(x)[1..]), y), KeyError::Jwk),
        ("P-256 without y", format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#), KeyError::Jwk),
        ("another curve", ec(x, y).replace("P-256", "P-384"), KeyError::Jwk),
        ("X25519", okp(&one).replace("Ed25519", "X25519"), KeyError::Jwk),
        ("for encryption", ec(x, y).replace("\"kid\"", "\"use\":\"enc\",\"kid\""), KeyError::Jwk),
        ("for deriving", ec(x, y).replace("\"kid\"", "\"key_ops\":[\"deriveKey\"],\"kid\""), KeyError::Jwk),
        ("for another algorithm", ec(x, y).replace("\"kid\"", "\"alg\":\"ECDH-ES\",\"kid\""), KeyError::Jwk),
        ("x twice", ec(x, y).replace("\"kid\"", "\"x\":\"\",\"kid\""), KeyError::Jwk),
        ("empty kid", ec(x, y).replace("\"k\"", "\"\""), KeyError::Kid),
        ("long kid", ec(x, y).replace("\"k\"", &format!("\"{}\"", "k".repeat(129))), KeyError::Kid),
        ("a private key", Forge::new(Algorithm::EdDsa, 1).key().to_jwk().to_string(), KeyError::Private),
        ("a secret", r#"{"kty":"oct","k":"AAAA"}"#.to_owned(), KeyError::Private),
        ("a short RSA key", r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(), KeyError::Invalid),
        ("no JSON", "kty".to_owned(), KeyError::Jwk),
    ];
    for (name, jwk, error) in table {
        assert_eq!(PublicKey::from_jwk(&jwk).unwrap_err(), error, "{name}");
    }
}

#[test]
fn halves_of_different_keys_are_no_key() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let [one, other] = [1, 100].map(|number| Forge::new(algorithm, number).key().to_jwk());
        let d = |jwk: &str| jwk.split("\"d\":\"").nth(1).unwrap()[..43].to_owned();
        let mixed = one.replace(&d(&one), &d(&other));
        assert_eq!(SigningKey::from_jwk(&mixed).unwrap_err(), KeyError::Mismatch);
        let zero = one.replace(&d(&one), &encode([0; 32]));
        assert!(SigningKey::from_jwk(&zero).is_err());
    }
}

#[test]
fn keys_survive_pem_and_jwk() {
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(algorithm, &OsEntropy).unwrap();
        assert_eq!(SigningKey::from_jwk(&key.to_jwk()).unwrap().to_jwk(), key.to_jwk());
    }
    assert_eq!(Forge::new(Algorithm::Hs256, 1).key().to_pem().unwrap_err(), KeyError::Pem);
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let private = SigningKey::generate(algorithm, &OsEntropy).unwrap().to_pem().unwrap();
        let again = SigningKey::from_pem(&private).unwrap();
        assert_eq!((again.algorithm(), again.to_pem().unwrap()), (algorithm, private.clone()));

        let forge = Forge::new(algorithm, 1);
        let public = forge.public_forms().into_iter().find(|(name, _)| *name == "pem").unwrap().1;
        let public = String::from_utf8(public).unwrap();
        let key = PublicKey::from_pem(&public).unwrap();
        assert_eq!((key.algorithm(), key.kid()), (algorithm, &*forge.kid()));
        // Neither half is accepted as the other.
        assert_eq!(PublicKey::from_pem(&private).unwrap_err(), KeyError::Pem);
        assert_eq!(SigningKey::from_pem(&public).unwrap_err(), KeyError::Pem);
    }
}

#[test]
fn nothing_secret_is_shown() {
    for algorithm in ALGORITHMS {
        let forge = Forge::new(algorithm, 1);
        let ring = forge.ring();
        let secret: Vec<u8> = (1..33).collect();
        let tokens = AccessTokens::new(policy(), ring.clone()).unwrap();
        let shown = format!("{:?} {ring:?} {tokens:?} {:?}", forge.key(), VerifyingKeys::from_ring(&ring));
        let decimal = secret.iter().take(4).map(u8::to_string).collect::<Vec<_>>().join(", ");
        for trace in [encode(&secret), decimal, "01020304".to_owned()] {
            assert!(!shown.contains(&trace), "{shown}");
        }
        assert!(!tokens.jwks(now()).to_json().contains(&encode(&secret)));
        assert!(!tokens.jwks(now()).to_json().contains("\"d\""));
        assert!(ring.to_json().contains(&encode(&secret)));
    }
}

#[test]
fn hmac_kids_are_equal_for_equal_keys_only_and_are_not_hashes_of_the_key() {
    use sha2::Digest as _;
    let [one, other] = [1, 100].map(|number| Forge::new(Algorithm::Hs256, number).kid());
    assert_eq!(one, Forge::new(Algorithm::Hs256, 1).kid());
    assert_ne!(one, other);
    let hash = encode(sha2::Sha256::digest((1..33).collect::<Vec<u8>>()));
    assert!(!hash.starts_with(&one));
}

#[test]
fn without_randomness_there_is_no_key() {
    for algorithm in ALGORITHMS {
        let error = SigningKey::generate(algorithm, &Broken).unwrap_err();
        assert_eq!(error, KeyError::Entropy(EntropyError));
    }
    // Constant bytes are detected where they are not a valid key.
    assert!(SigningKey::generate(Algorithm::Hs256, &Constant(5)).is_err());
    assert!(SigningKey::generate(Algorithm::Es256, &Constant(0)).is_err());
    assert!(SigningKey::generate(Algorithm::Es256, &Constant(0xff)).is_err());
}

#[test]
fn a_stored_ring_is_read_as_it_was_or_not_at_all() {
    for algorithm in ALGORITHMS {
        let ring = Forge::new(algorithm, 1).ring();
        let ring = ring.publish(Forge::new(algorithm, 100).key(), now()).unwrap();
        let json = ring.to_json();
        let again = KeyRing::from_json(&json).unwrap();
        assert_eq!(again.to_json(), json);
        assert_eq!(again.rotation(), Rotation::default());
        for (from, to) in [
            (r#""format":1"#, r#""format":2"#),
            (r#""signs_until":null"#, r#""signs_until":1"#),
            (r#""keys":["#, r#""more":1,"keys":["#),
            (r#""kid""#, r#""kid":"twice","kid""#),
            (r#""sign_for":2592000000"#, r#""sign_for":1"#),
        ] {
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, *json, "{from}");
            assert!(KeyRing::from_json(&changed).is_err(), "{to}");
        }
        assert!(KeyRing::from_json(&json[..json.len() - 1]).is_err());
        assert!(KeyRing::from_json(&format!("{}x", *json)).is_err());
    }
    let empty = r#"{"format":1,"publish_ahead":1,"sign_for":2,"verify_for":1,"keys":[]}"#;
    assert_eq!(KeyRing::from_json(empty).unwrap_err(), KeyError::Count);
}
