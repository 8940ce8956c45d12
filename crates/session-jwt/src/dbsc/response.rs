//! [`Response`]: the JWT with which a browser answers a challenge.

use crate::algorithm::Algorithm;
use crate::encoding;
use crate::keys::verifying_key::{PublicKey, VerifyingKey};
use crate::tokens::error::VerifyError;
use crate::tokens::gate::{Segments, verify_signature};
use crate::tokens::header::{AcceptedTypes, Header};
use crate::tokens::members::Members;

/// The longest, in bytes.
const MAX_LEN: usize = 4096;

/// What a browser has signed: the challenge.
pub(super) struct Response {
    pub(super) challenge: String,
}

impl Response {
    /// That of a registration, and the key that it brings.
    pub(super) fn of_registration(text: &str) -> Result<(Self, String), VerifyError> {
        let segments = split(text)?;
        let (header, jwk) = Header::read_with_key(segments.header, AcceptedTypes::BoundSession)?;
        let key = signed_by(&segments, &header, &jwk)?;
        Ok((Self::read(&segments)?, key))
    }

    /// That of a renewal, by the key that was registered. One that brings a key is none.
    pub(super) fn of_renewal(text: &str, jwk: &str) -> Result<Self, VerifyError> {
        let segments = split(text)?;
        if Header::read_with_key(segments.header, AcceptedTypes::BoundSession).is_ok() {
            return Err(VerifyError::Header);
        }
        let header = Header::read(segments.header, AcceptedTypes::BoundSession)?;
        signed_by(&segments, &header, jwk)?;
        Self::read(&segments)
    }

    fn read(segments: &Segments<'_>) -> Result<Self, VerifyError> {
        let payload = encoding::decode(segments.payload).ok_or(VerifyError::Encoding)?;
        let claims = Members::parse(&payload)?;
        Ok(Self { challenge: claims.text("jti")?.ok_or(VerifyError::Missing("jti"))? })
    }
}

fn split(text: &str) -> Result<Segments<'_>, VerifyError> {
    if text.len() > MAX_LEN {
        return Err(VerifyError::TooLong);
    }
    Segments::split(text.as_bytes()).ok_or(VerifyError::Segments)
}

/// The public key in `jwk`, in one form, whose signature this is.
fn signed_by(segments: &Segments<'_>, header: &Header, jwk: &str) -> Result<String, VerifyError> {
    let key = PublicKey::from_jwk_of_proof(jwk).map_err(|_| VerifyError::Key)?;
    if key.algorithm() != Algorithm::Es256 || header.algorithm() != Some(Algorithm::Es256) {
        return Err(VerifyError::Algorithm);
    }
    verify_signature(&VerifyingKey::Public(key.material().clone()), segments.signed, segments.signature)?;
    Ok(key.to_bare_jwk())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::Value;

    use super::*;
    use crate::dbsc::header;

    /// Of another project: `tests/vectors`.
    fn vector(name: &str) -> Value {
        let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
        vector[name].as_str().unwrap()
    }

    #[test]
    fn a_registration_and_a_renewal_are_those_of_the_vectors() {
        let registration = vector("registration.json");
        let (response, jwk) = Response::of_registration(text(&registration, "secureSessionResponse")).unwrap();
        assert_eq!(response.challenge, text(&registration, "challenge"));
        assert_eq!(serde_json::from_str::<Value>(&jwk).unwrap(), registration["publicKeyJwk"]);
        let refresh = vector("refresh.json");
        let renewal = text(&refresh, "secureSessionResponse");
        assert_eq!(Response::of_renewal(renewal, &jwk).unwrap().challenge, text(&refresh, "challenge"));
        // One is never the other.
        assert!(Response::of_registration(renewal).is_err());
        assert!(Response::of_renewal(text(&registration, "secureSessionResponse"), &jwk).is_err());
        let other = r#"{"kty":"EC","crv":"P-256","x":"Vz9U8cvWj3uS99m0wUVHpy_E3YC9J_FR5f58sAvtV88","y":"w6igtfi0CD66jENtoacKu91VPjjz-uwJh1EBIQEyWXA"}"#;
        assert_eq!(Response::of_renewal(renewal, other).err(), Some(VerifyError::Signature));
    }

    #[test]
    fn headers_are_those_of_the_vectors() {
        let vector = vector("registration-header.json");
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let written = header::registration(text(inputs, "registrationPath"), text(inputs, "challenge"));
        assert_eq!(written, text(expected, "Secure-Session-Registration"));
        let written = header::challenge(text(inputs, "challenge"), text(inputs, "sessionId"));
        assert_eq!(written, text(expected, "Secure-Session-Challenge (with id)"));
    }
}
