//! The key of a device, and what a browser signs with it (Device Bound Session Credentials).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// A key that never leaves its device.
#[derive(Clone, Debug)]
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// The one of this number, which is not zero.
    ///
    /// # Panics
    /// If it is zero.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&number.to_be_bytes());
        let Ok(key) = SigningKey::from_slice(&bytes) else { panic!("{number} is the number of no key") };
        Self(key)
    }

    /// `Secure-Session-Response` of a registration.
    #[must_use]
    pub fn registration(&self, challenge: &str) -> String {
        let point = self.0.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        self.signed(&json!({ "typ": "dbsc+jwt", "alg": "ES256", "jwk": jwk }), challenge)
    }

    /// `Secure-Session-Response` of a renewal.
    #[must_use]
    pub fn renewal(&self, challenge: &str) -> String {
        self.signed(&json!({ "typ": "dbsc+jwt", "alg": "ES256" }), challenge)
    }

    fn signed(&self, header: &Value, challenge: &str) -> String {
        let payload = json!({ "jti": challenge });
        let message = format!("{}.{}", encode(header.to_string()), encode(payload.to_string()));
        let signature: Signature = self.0.sign(message.as_bytes());
        format!("\"{message}.{}\"", encode(signature.to_bytes()))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
