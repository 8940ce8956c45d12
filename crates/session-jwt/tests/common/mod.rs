//! Fixed keys, and tokens as an attacker writes them.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part; a panic is how a test fails")]

pub(crate) mod visit;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, spki::der::pem::LineEnding};
use hmac::{Hmac, KeyInit as _, Mac as _};
use session_core::{Assurance, Authentication, Entropy, EntropyError, Proof, SessionId, Timestamp, UserId};
use session_jwt::{
    AccessTokens, Algorithm, KeyRing, Rotation, SigningKey, Subject, TokenPolicy, Verifier, VerifyingKeys,
};
use sha2::Sha256;

pub(crate) const ISSUER: &str = "https://login.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256];

/// 2026-01-01T00:00:00Z, in seconds.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds as i64 * 1000)
}

pub(crate) fn now() -> Timestamp {
    at(NOW)
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(crate) fn policy() -> TokenPolicy {
    TokenPolicy::new(ISSUER, AUDIENCE).unwrap()
}

pub(crate) fn alice() -> Authentication {
    let proof = Proof::new(Assurance::Aal2, now()).method("pwd").method("otp");
    Authentication::new(UserId::new("alice").unwrap(), proof)
}

pub(crate) const SESSION: SessionId = SessionId::from_bytes([9; 16]);

pub(crate) fn issue(tokens: &AccessTokens, now: Timestamp) -> String {
    let authentication = alice();
    let subject = Subject::new(SESSION, &authentication, now + Duration::from_secs(8 * 3600));
    at_once(tokens.issue(&subject, now)).unwrap().expose().to_owned()
}

/// What a future returns that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Compares headers byte for byte.
pub(crate) fn exact(ring: &KeyRing) -> Verifier {
    Verifier::new(policy(), VerifyingKeys::from_ring(ring))
}

/// Parses headers.
pub(crate) fn parsed(ring: &KeyRing) -> Verifier {
    Verifier::for_issuer(policy(), VerifyingKeys::from_ring(ring))
}

/// A random generator that fails.
#[derive(Debug)]
pub(crate) struct Broken;

impl Entropy for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// A random generator that repeats one byte.
#[derive(Debug)]
pub(crate) struct Constant(pub(crate) u8);

impl Entropy for Constant {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(self.0);
        Ok(())
    }
}

/// A key whose bytes are known to the test.
#[derive(Clone)]
pub(crate) enum Forge {
    Hs256(Vec<u8>),
    EdDsa(ed25519_dalek::SigningKey),
    Es256(p256::ecdsa::SigningKey),
}

impl Forge {
    /// The key of this algorithm and number.
    pub(crate) fn new(algorithm: Algorithm, number: u8) -> Self {
        let bytes: Vec<u8> = (number..number + 32).collect();
        match algorithm {
            Algorithm::Hs256 => Self::Hs256(bytes),
            Algorithm::EdDsa => Self::EdDsa(ed25519_dalek::SigningKey::from_bytes(&bytes.try_into().unwrap())),
            Algorithm::Es256 => Self::Es256(p256::ecdsa::SigningKey::from_slice(&bytes).unwrap()),
            Algorithm::Rs256 | Algorithm::Ps256 | _ => unreachable!("{algorithm:?} is new"),
        }
    }

    pub(crate) fn key(&self) -> SigningKey {
        let pem = match self {
            Self::Hs256(bytes) => return SigningKey::from_secret(bytes).unwrap(),
            Self::EdDsa(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Es256(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        SigningKey::from_pem(&pem.unwrap()).unwrap()
    }

    pub(crate) fn kid(&self) -> String {
        self.key().kid().to_owned()
    }

    pub(crate) fn alg(&self) -> &'static str {
        self.key().algorithm().as_str()
    }

    pub(crate) fn ring(&self) -> KeyRing {
        KeyRing::with_key(self.key(), Rotation::default(), now())
    }

    /// The forms in which the public key is known; none for an HMAC key.
    pub(crate) fn public_forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (raw, pem, der) = match self {
            Self::Hs256(_) => return Vec::new(),
            Self::EdDsa(key) => {
                let key = key.verifying_key();
                (key.to_bytes().to_vec(), key.to_public_key_pem(LineEnding::LF), key.to_public_key_der())
            }
            Self::Es256(key) => {
                let key = key.verifying_key();
                (key.to_sec1_bytes().to_vec(), key.to_public_key_pem(LineEnding::LF), key.to_public_key_der())
            }
        };
        let jwk = self.ring().jwks(now()).to_json().into_bytes();
        vec![("raw", raw), ("pem", pem.unwrap().into_bytes()), ("der", der.unwrap().into_vec()), ("jwks", jwk)]
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256(bytes) => hmac(bytes, message),
            Self::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
            Self::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }

    /// A token with exactly these bytes in its segments, and a valid signature.
    pub(crate) fn token(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign(&format!("{}.{}", encode(header), encode(payload)))
    }

    pub(crate) fn sign(&self, message: &str) -> String {
        format!("{message}.{}", encode(self.signature(message.as_bytes())))
    }

    /// The header that this library writes.
    pub(crate) fn header(&self) -> String {
        header(self.alg(), &self.kid(), "at+jwt")
    }

    /// A token with this payload that is otherwise valid.
    pub(crate) fn with_payload(&self, payload: &Claims) -> String {
        self.token(self.header(), payload.json())
    }

    /// A valid token.
    pub(crate) fn good(&self) -> String {
        self.with_payload(&Claims::good())
    }
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

pub(crate) fn header(alg: &str, kid: &str, typ: &str) -> String {
    format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#)
}

/// Claims as JSON text, one by one, so that a test can write what no JSON library does.
#[derive(Clone)]
pub(crate) struct Claims(pub(crate) Vec<(String, String)>);

impl Claims {
    /// Claims that are accepted at [`NOW`].
    pub(crate) fn good() -> Self {
        let (iat, exp) = (NOW.to_string(), (NOW + 300).to_string());
        let sid = format!("\"{SESSION}\"");
        let (iss, aud) = (format!("\"{ISSUER}\""), format!("\"{AUDIENCE}\""));
        let claims = [
            ("iss", iss.as_str()),
            ("sub", "\"alice\""),
            ("aud", &aud),
            ("exp", &exp),
            ("iat", &iat),
            ("jti", "\"a-token\""),
            ("sid", &sid),
            ("auth_time", &iat),
            ("amr", r#"["pwd"]"#),
        ];
        Self(claims.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    pub(crate) fn json(&self) -> String {
        let members: Vec<String> = self.0.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}
