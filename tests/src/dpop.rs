//! The key of a client, and its proofs (DPoP, RFC 9449).

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use session_core::Timestamp;
use sha2::{Digest as _, Sha256};

/// A client that proves with each request that it has its key.
#[derive(Debug)]
pub struct DpopClient {
    key: SigningKey,
    proofs: AtomicU64,
}

/// What a proof is of.
#[derive(Clone, Copy, Debug)]
pub struct Proved<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its URI.
    pub uri: &'a str,
    /// When it is sent.
    pub at: Timestamp,
    /// The access token beside it.
    pub token: Option<&'a str>,
    /// The nonce of the server.
    pub nonce: Option<&'a str>,
}

impl DpopClient {
    /// The one of this number, which is not zero.
    ///
    /// # Panics
    /// If it is zero.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let Ok(key) = SigningKey::from_slice(&[number; 32]) else { panic!("{number} is the number of no key") };
        Self { key, proofs: AtomicU64::new(0) }
    }

    /// A new proof.
    #[must_use]
    pub fn proof(&self, proved: &Proved<'_>) -> String {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        let mut claims = json!({
            "jti": self.proofs.fetch_add(1, Ordering::Relaxed).to_string(),
            "htm": proved.method,
            "htu": proved.uri,
            "iat": proved.at.as_millis() / 1000,
        });
        if let Some(token) = proved.token {
            claims["ath"] = encode(Sha256::digest(token)).into();
        }
        if let Some(nonce) = proved.nonce {
            claims["nonce"] = nonce.into();
        }
        self.signed(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk }), &claims)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature: Signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", encode(signature.to_bytes()))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
