//! The table of tokens that must be rejected: each under every algorithm, by the verifier that compares headers and by the
//! one that parses them, with the expected error and without panic.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use crate::common::{ALGORITHMS, AUDIENCE, Claims, Forge, ISSUER, NOW, encode, exact, header, hmac, now, parsed};
use curve25519_dalek::Scalar;
use session_jwt::KeyError;
use session_jwt::VerifyError::{self, *};
use sha2::{Digest as _, Sha512};

struct Row {
    name: String,
    token: Vec<u8>,
    /// The error of the verifier that compares headers.
    exact: VerifyError,
    /// The error of the one that parses them.
    parsed: VerifyError,
}

struct Table {
    forge: Forge,
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, name: impl Into<String>, token: impl Into<Vec<u8>>, exact: VerifyError, parsed: VerifyError) {
        self.rows.push(Row { name: name.into(), token: token.into(), exact, parsed });
    }

    /// Both verifiers return the same error.
    fn both(&mut self, name: impl Into<String>, token: impl Into<Vec<u8>>, error: VerifyError) {
        self.row(name, token, error, error);
    }

    /// A header that is not ours, with a valid signature.
    fn header(&mut self, name: impl Into<String>, header: impl AsRef<[u8]>, parsed: VerifyError) {
        let token = self.forge.token(header, Claims::good().json());
        self.row(name, token, Header, parsed);
    }

    /// A wrong payload, with a valid signature.
    fn payload(&mut self, name: impl Into<String>, payload: impl AsRef<[u8]>, error: VerifyError) {
        self.both(name, self.forge.token(self.forge.header(), payload), error);
    }

    fn claim(&mut self, name: &'static str, value: &str, error: VerifyError) {
        self.payload(format!("{name} is {value:.40}"), Claims::good().with(name, value).json(), error);
    }
}

fn headers(table: &mut Table) {
    let (alg, kid) = (table.forge.alg(), table.forge.kid());
    for none in ["none", "None", "NONE", "nOnE", " none", "none\\u0000", ""] {
        table.header(format!("alg {none:?}"), header(none, &kid, "at+jwt"), Algorithm);
    }
    let payload = encode(Claims::good().json());
    let unsigned = format!("{}.{payload}", encode(header("none", &kid, "at+jwt")));
    table.both("alg none without a signature", format!("{unsigned}."), Segments);
    table.row("alg none with some signature", format!("{unsigned}.AAAA"), Header, Algorithm);
    let others =
        ["HS256", "EdDSA", "ES256", "RS256", "PS256", "HS384", "ES256K", "Ed25519", "ESP256", "Ed448", "A128KW", "dir"];
    for other in others {
        // RFC 9864 has two names for the same.
        if other != alg && ![("EdDSA", "Ed25519"), ("ES256", "ESP256")].contains(&(alg, other)) {
            table.header(format!("alg {other}"), header(other, &kid, "at+jwt"), Algorithm);
        }
    }
    table.header("alg in lower case", header(&alg.to_lowercase(), &kid, "at+jwt"), Algorithm);
    for (form, public) in table.forge.public_forms() {
        let message = format!("{}.{payload}", encode(header("HS256", &kid, "at+jwt")));
        let token = format!("{message}.{}", encode(hmac(&public, message.as_bytes())));
        table.row(format!("HS256 keyed with the public key as {form}"), token, Header, Algorithm);
        let message = format!("{}.{payload}", encode(table.forge.header()));
        let token = format!("{message}.{}", encode(hmac(&public, message.as_bytes())));
        table.both(format!("our header, HMAC keyed with the public key as {form}"), token, Signature);
    }
    for typ in ["JWT", "refresh+jwt", "dpop+jwt", "logout+jwt", "dbsc+jwt", "at+jwt ", "at-jwt", "", "application/"] {
        table.header(format!("typ {typ:?}"), header(alg, &kid, typ), Type);
    }
    table.header("typ absent", format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#), Type);
    table.header("alg absent", format!(r#"{{"kid":"{kid}","typ":"at+jwt"}}"#), Header);
    table.header("kid and alg absent", r#"{"typ":"at+jwt"}"#, Header);
    table.header("kid absent, alg none", r#"{"alg":"none","typ":"at+jwt"}"#, Algorithm);
    table.header("kid absent, alg of no key", r#"{"alg":"RS256","typ":"at+jwt"}"#, Key);
    for value in ["null", "1", "true", "[\"at+jwt\"]", "{}"] {
        table.header(format!("typ is {value}"), format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":{value}}}"#), Header);
        table.header(format!("alg is {value}"), format!(r#"{{"alg":{value},"kid":"{kid}","typ":"at+jwt"}}"#), Header);
        table.header(format!("kid is {value}"), format!(r#"{{"alg":"{alg}","kid":{value},"typ":"at+jwt"}}"#), Header);
    }
    let extras = [
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("c\\u0072it", r#"["exp"]"#),
        ("zip", r#""DEF""#),
        ("b64", "false"),
        ("b64", "true"),
        ("enc", r#""A128GCM""#),
        ("x", "1,\"x\":1"),
        ("x", "NaN"),
        ("x", "[1"),
    ];
    for (name, value) in extras {
        let text = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt","{name}":{value}}}"#);
        table.header(format!("header member {name} {value}"), text, Header);
    }
    for name in ["alg", "kid", "typ", "\\u0061lg"] {
        let text = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt","{name}":"none"}}"#);
        table.header(format!("header member {name} twice"), text, Header);
    }
    for name in ["../../../../dev/null", "' OR 1=1 --", "\\u0000", "", "*", "https://evil.example/key", "$(id)"] {
        table.header(format!("kid {name:?}"), header(alg, name, "at+jwt"), Key);
    }
    table.header("kid with a NUL at the end", header(alg, &format!("{kid}\\u0000"), "at+jwt"), Key);
    table.header("kid of 2000 bytes", header(alg, &"k".repeat(2000), "at+jwt"), Key);
    table.header("kid of 4000 bytes", header(alg, &"k".repeat(4000), "at+jwt"), Header);
    let members: String = (0..30).map(|number| format!(r#","{number}":0"#)).collect();
    table.header("33 members", format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"{members}}}"#), Header);
    // No key comes from a token, nor from where it points to.
    let stranger = Forge::new(table.forge.key().algorithm(), 100);
    for (name, value) in [
        ("jwk", stranger.key().public().map_or_else(|| "{}".to_owned(), |_| jwk_of(&stranger))),
        ("jku", r#""https://evil.example/jwks.json""#.to_owned()),
        ("x5u", r#""https://evil.example/cert.pem""#.to_owned()),
        ("x5c", r#"["MIIB"]"#.to_owned()),
    ] {
        for (kid, error) in [(format!(r#""kid":"{kid}","#), Signature), (String::new(), Signature)] {
            let text = format!(r#"{{"alg":"{alg}",{kid}"typ":"at+jwt","{name}":{value}}}"#);
            table.row(format!("{name} of a stranger"), stranger.token(text, Claims::good().json()), Header, error);
        }
        let text = format!(r#"{{"alg":"{alg}","kid":"{}","typ":"at+jwt","{name}":{value}}}"#, stranger.kid());
        table.row(
            format!("{name} of a stranger, with its kid"),
            stranger.token(text, Claims::good().json()),
            Header,
            Key,
        );
    }
    table.both(
        "kid of 100,000 bytes",
        table.forge.token(header(alg, &"k".repeat(100_000), "at+jwt"), Claims::good().json()),
        TooLong,
    );
    let ours = table.forge.header();
    table.header("header after a BOM", format!("\u{feff}{ours}"), Header);
    table.header("header with trailing garbage", format!("{ours}{{}}"), Header);
    table.header("header is an array", format!("[{ours}]"), Header);
    table.header("header is a string", "\"at+jwt\"", Header);
    table.header("header is not JSON", "alg: none", Header);
    table.header("header is not UTF-8", b"{\"alg\":\"\xff\"}", Header);
    table.header("header nested 900 deep", format!("{}{}", "[".repeat(450), "]".repeat(450)), Header);
}

/// The public JWK.
fn jwk_of(forge: &Forge) -> String {
    let document = forge.ring().jwks(now()).to_json();
    document[r#"{"keys":["#.len()..document.len() - 2].to_owned()
}

fn segments(table: &mut Table) {
    let good = table.forge.good();
    let parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let (head, body, signature) = (&parts[0], &parts[1], &parts[2]);
    table.both("empty", "", Segments);
    table.both("one dot", ".", Segments);
    table.both("two dots", "..", Segments);
    table.both("8192 dots", ".".repeat(8192), Segments);
    table.both("one segment", head.as_str(), Segments);
    table.both("no signature", format!("{head}.{body}"), Segments);
    table.both("empty signature", format!("{head}.{body}."), Segments);
    table.both("empty payload", format!("{head}..{signature}"), Segments);
    table.both("empty header", format!(".{body}.{signature}"), Segments);
    table.both("a fourth segment", format!("{good}.{signature}"), Segments);
    table.both("an empty fourth segment", format!("{good}."), Segments);
    table.both("five segments, as a JWE", format!("{good}.AAAA.AAAA"), Segments);
    table.both("1 MiB", "A".repeat(1 << 20), TooLong);
    table.both("1 MiB of dots", ".".repeat(1 << 20), TooLong);
    table.both("8193 bytes", format!("{good}{}", "A".repeat(8193 - good.len())), TooLong);
    table.both("8192 bytes, signature too long", format!("{good}{}", "A".repeat(8192 - good.len())), Signature);
    table.row("space at the start", format!(" {good}"), Header, Header);
    table.row("Bearer at the start", format!("Bearer {good}"), Header, Header);
    table.row("NUL at the start", format!("\0{good}"), Header, Header);
    table.both("newline at the end", format!("{good}\n"), Encoding);
    table.both("NUL at the end", format!("{good}\0"), Encoding);
    table.both("space in the payload", format!("{head}. {body}.{signature}"), Signature);
    table.row("not UTF-8", [b"\xff\xfe", good.as_bytes()].concat(), Header, Header);
    table.row("header padded", format!("{head}=.{body}.{signature}"), Header, Header);
    table.both("signature padded", format!("{good}="), Encoding);
    table.both("signature padded twice", format!("{good}=="), Encoding);
    table.both("signature in the standard alphabet", format!("{head}.{body}.+/{}", &signature[2..]), Encoding);
    table.both("signature with unused bits set", format!("{head}.{body}.{}", with_unused_bits(signature)), Encoding);
    let mut json = Claims::good().json();
    while json.len().is_multiple_of(3) {
        json.push(' ');
    }
    let uneven = encode(json);
    let padded = format!("{uneven}{}", "=".repeat(4 - uneven.len() % 4));
    table.both("payload padded before signing", table.forge.sign(&format!("{head}.{padded}")), Encoding);
    let token = table.forge.sign(&format!("{head}.{}", with_unused_bits(&uneven)));
    table.both("payload with unused bits set before signing", token, Encoding);
    table.both("payload is not base64 but signed", table.forge.sign(&format!("{head}.$$$$")), Encoding);
    table.both("payload of five characters, signed", table.forge.sign(&format!("{head}.AAAAA")), Encoding);
    let reordered = format!("{body}.{head}.{signature}");
    table.row("header and payload swapped", reordered, Header, Header);
}

fn signatures(table: &mut Table) {
    let good = table.forge.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = crate::common::decode(signature);
    let with = |bytes: &[u8]| format!("{message}.{}", encode(bytes));
    table.both("signature of zeros", with(&vec![0; bytes.len()]), Signature);
    table.both("signature of ones", with(&vec![0xff; bytes.len()]), Signature);
    table.both("signature one byte short", with(&bytes[..bytes.len() - 1]), Signature);
    table.both("signature of half the length", with(&bytes[..bytes.len() / 2]), Signature);
    table.both("signature of one byte", with(&bytes[..1]), Signature);
    table.both("signature one byte long", with(&[&bytes[..], &[0]].concat()), Signature);
    table.both("signature twice", with(&[&bytes[..], &bytes[..]].concat()), Signature);
    let mut swapped = bytes.clone();
    swapped.rotate_left(bytes.len() / 2);
    table.both("halves of the signature swapped", with(&swapped), Signature);
    let other = table.forge.with_payload(&Claims::good().with("jti", "\"other\""));
    table.both("signature of another token", format!("{message}.{}", other.rsplit_once('.').unwrap().1), Signature);
    let (head, body) = message.split_once('.').unwrap();
    let other_body = other.split('.').nth(1).unwrap();
    table.both("payload of another token", format!("{head}.{other_body}.{signature}"), Signature);
    let stranger = Forge::new(table.forge.key().algorithm(), 100);
    table.both("another key under our kid", stranger.token(table.forge.header(), Claims::good().json()), Signature);
    table.row("another key under its kid", stranger.token(stranger.header(), Claims::good().json()), Header, Key);
    table.both("signature over the payload only", with(&table.forge.signature(body.as_bytes())), Signature);
    let decoded = table.forge.signature(Claims::good().json().as_bytes());
    table.both("signature over decoded JSON", with(&decoded), Signature);
    if let Forge::Es256(key) = &table.forge {
        use p256::ecdsa::signature::Signer as _;
        let signature: p256::ecdsa::Signature = key.sign(message.as_bytes());
        let (r, s) = bytes.split_at(32);
        let (zero, order) = ([0; 32], crate::common::decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE"));
        table.both("ECDSA in DER", with(signature.to_der().as_bytes()), Signature);
        table.both("r is 0", with(&[&zero[..], s].concat()), Signature);
        table.both("s is 0", with(&[r, &zero[..]].concat()), Signature);
        table.both("r is the order", with(&[&order[..], s].concat()), Signature);
        table.both("s is the order", with(&[r, &order[..]].concat()), Signature);
    }
    if let Forge::EdDsa(key) = &table.forge {
        // The signature equation holds, but the point has small order: only strict verification rejects it.
        let point = [&[1][..], &[0; 31]].concat();
        let hash = Sha512::digest([&point, key.verifying_key().as_bytes().as_slice(), message.as_bytes()].concat());
        let scalar = Scalar::from_bytes_mod_order_wide(&hash.into()) * key.to_scalar();
        table.both("R is the neutral point", with(&[&point[..], scalar.as_bytes()].concat()), Signature);
        let order = crate::common::decode("7dP1XBpjEljWnPei3vneFAAAAAAAAAAAAAAAAAAAABA");
        table.both("S is the order", with(&[&bytes[..32], &order].concat()), Signature);
    }
}

fn claims(table: &mut Table) {
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "sid", "auth_time", "amr"] {
        table.payload(format!("{name} missing"), Claims::good().without(name).json(), Missing(name));
        for value in ["null", "true", "{}", "NaN", "[[]]", "\"\\ud800\""] {
            table.claim(name, value, Invalid(name));
        }
        let again = Claims::good().0.into_iter().find(|(other, _)| other == name).unwrap().1;
        table.payload(format!("{name} twice"), Claims::good().also(name, &again).json(), Duplicate);
        let upper = name.to_uppercase();
        table.payload(
            format!("{upper} in its place"),
            Claims::good().without(name).also(&upper, &again).json(),
            Missing(name),
        );
    }
    for name in ["iss", "sub", "jti", "sid"] {
        table.claim(name, "1", Invalid(name));
        table.claim(name, "[\"alice\"]", Invalid(name));
    }
    for name in ["acr", "client_id"] {
        table.claim(name, "1", Invalid(name));
        table.claim(name, "null", Invalid(name));
    }
    for name in ["exp", "iat", "auth_time", "nbf"] {
        let text = format!("\"{NOW}\"");
        let values = [&text, "1.5", "1767225600.0", "1.7672256e9", "-1", "-0.0", "1e400", "Infinity"];
        for value in values {
            table.claim(name, value, Invalid(name));
        }
        // Integers, but not times.
        for value in ["253402300800", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
            table.claim(name, value, Invalid(name));
        }
        table.claim(name, "18446744073709551616", Invalid(name));
        table.claim(name, &"9".repeat(400), Invalid(name));
    }
    table.claim("nbf", "null", Invalid("nbf"));
    table.payload("an escaped duplicate", Claims::good().also("e\\u0078p", "1").json(), Duplicate);
    table.payload("an unknown claim twice", Claims::good().also("x", "1").also("x", "1").json(), Duplicate);
    table.claim("iss", &format!("[\"{ISSUER}\"]"), Invalid("iss"));
    for iss in
        ["", "https://evil.example", "https://login.example/", "HTTPS://login.example", "https://login.example\\u0000"]
    {
        table.claim("iss", &format!("\"{iss}\""), Issuer);
    }
    for aud in ["", "https://evil.example", "https://api.example/", "https://API.example", "https://api.exampl"] {
        table.claim("aud", &format!("\"{aud}\""), Audience);
        table.claim("aud", &format!("[\"{aud}\"]"), Audience);
    }
    for aud in ["1", "[]", "[1]", "[null]", "{\"0\":\"https://api.example\"}"] {
        table.claim("aud", aud, Invalid("aud"));
    }
    table.claim("aud", &format!("[\"{AUDIENCE}\",1]"), Invalid("aud"));
    table.claim("sub", "\"\"", Invalid("sub"));
    table.claim("sub", &format!("\"{}\"", "a".repeat(257)), Invalid("sub"));
    table.claim("jti", "\"\"", Invalid("jti"));
    table.claim("jti", &format!("\"{}\"", "a".repeat(129)), Invalid("jti"));
    for sid in ["", "CQkJCQkJCQkJCQkJCQkJC", "CQkJCQkJCQkJCQkJCQkJCR", "CQkJCQkJCQkJCQkJCQkJCQ==", "../../etc/passwd"] {
        table.claim("sid", &format!("\"{sid}\""), Invalid("sid"));
    }
    table.claim("amr", "\"pwd\"", Invalid("amr"));
    table.claim("amr", "[1]", Invalid("amr"));
    table.claim("amr", &format!("{}{}", "[".repeat(2000), "]".repeat(2000)), Invalid("amr"));
}

fn times(table: &mut Table) {
    let good = Claims::good;
    let span = |iat: u64, exp: u64| good().with("iat", &iat.to_string()).with("exp", &exp.to_string()).json();
    table.payload("expired an hour ago", span(NOW - 3900, NOW - 3600), Expired);
    table.payload("expires now, the leeway is over", span(NOW - 300, NOW - 5), Expired);
    table.payload("exp is 0", span(0, 0), Expired);
    table.payload("issued in the future", span(NOW + 31, NOW + 300), IssuedInFuture);
    table.payload("issued in the year 9999", span(253_402_300_700, 253_402_300_799), IssuedInFuture);
    table.payload("lives a second too long", span(NOW, NOW + 301), Lifetime);
    table.payload("lives until the year 9999", span(NOW, 253_402_300_799), Lifetime);
    table.payload("began at the epoch", span(0, NOW + 300), Lifetime);
    table.payload("expires when it is issued", span(NOW + 5, NOW + 5), Lifetime);
    table.payload("expires before it is issued", span(NOW + 5, NOW + 4), Lifetime);
    table.payload("not valid yet", good().with("nbf", &(NOW + 31).to_string()).json(), NotYetValid);
    table.payload(
        "authenticated after it was issued",
        good().with("auth_time", &(NOW + 31).to_string()).json(),
        Invalid("auth_time"),
    );
}

fn json(table: &mut Table) {
    let good = Claims::good().json();
    table.payload("trailing garbage", format!("{good}x"), Payload);
    table.payload("two objects", format!("{good}{good}"), Payload);
    table.payload("after a BOM", format!("\u{feff}{good}"), Payload);
    table.payload("trailing comma", good.replace('}', ",}"), Payload);
    table.payload("a comment", good.replace('{', "{/**/"), Payload);
    table.payload("cut off", &good[..good.len() - 1], Payload);
    table.payload("an array", format!("[{good}]"), Payload);
    table.payload("a string", "\"claims\"", Payload);
    table.payload("null", "null", Payload);
    table.payload("an empty object", "{}", Missing("iss"));
    table.payload("NUL bytes", b"\0\0\0", Payload);
    table.payload("not UTF-8", [good.as_bytes(), b"\xff"].concat(), Payload);
    table.payload("a claim that is not UTF-8", b"{\"iss\":\"\xff\"}", Payload);
    table.payload("names without quotes", "{iss:1}", Payload);
    table.payload("4000 brackets", Claims::good().also("x", &"[".repeat(4000)).json(), Payload);
    table.payload("compressed", [0x1f, 0x8b, 8, 0], Payload);
    table.payload("NaN in an unknown claim", Claims::good().also("x", "NaN").json(), Payload);
}

/// Sets the lowest bit of the last character, which encodes nothing.
fn with_unused_bits(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let index = ALPHABET.find(last).unwrap() | 1;
    assert_ne!(text.len() % 4, 0, "all bits of {text} are used");
    format!("{rest}{}", &ALPHABET[index..=index])
}

#[test]
fn every_malformed_or_malicious_token_is_refused_for_its_reason() {
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for algorithm in ALGORITHMS {
        let mut table = Table { forge: Forge::new(algorithm, 1), rows: Vec::new() };
        for fill in [headers, segments, signatures, claims, times, json] {
            fill(&mut table);
        }
        let ring = table.forge.ring();
        let (exact, parsed) = (exact(&ring), parsed(&ring));
        // The token from which all rows are derived is accepted.
        let good = table.forge.good();
        assert!(exact.verify(&good, now()).is_ok() && parsed.verify(&good, now()).is_ok());
        for Row { name, token, exact: by_exact, parsed: by_parsed } in table.rows {
            let errors = (exact.verify(&token, now()).err(), parsed.verify(&token, now()).err());
            if errors != (Some(by_exact), Some(by_parsed)) {
                wrong.push(format!("{algorithm:?}, {name}: {errors:?}, not {by_exact:?} and {by_parsed:?}"));
            }
            names.insert(name);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(names.len() >= 300, "{} rows", names.len());
}

#[test]
fn symmetric_and_public_keys_are_never_in_one_ring() {
    let later = now() + std::time::Duration::from_secs(60);
    let [secret, ed25519, p256] = ALGORITHMS.map(|algorithm| Forge::new(algorithm, 1));
    assert_eq!(ed25519.ring().publish(secret.key(), later).unwrap_err(), KeyError::Mixed);
    assert_eq!(secret.ring().publish(p256.key(), later).unwrap_err(), KeyError::Mixed);
    assert!(ed25519.ring().publish(p256.key(), later).is_ok());
}
