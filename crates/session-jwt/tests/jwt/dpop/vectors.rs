//! The vectors of another project: `tests/vectors`.

use serde_json::Value;
use session_core::adapter::RequestHead as _;
use session_jwt::{Dpop, ProofError, PublicKey};

use super::Head;
use crate::common::{at, at_once};

fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap()
}

/// The proof of a vector, at this request.
fn verify(vector: &Value, method: &'static str, url: &str, token: Option<&str>) -> Result<String, ProofError> {
    let (base, path) = url.split_at(url["https://".len()..].find('/').unwrap() + "https://".len());
    let head = Head::new(method, path).with("dpop", text(vector, "dpopHeader"));
    assert_eq!(head.target_path(), path);
    let verified = at_once(Dpop::new(base).unwrap().verify(&head, token, at(1_700_000_000)));
    verified.map(|key| key.unwrap().thumbprint().to_string())
}

#[test]
fn a_proof_without_a_token() {
    let vector = vector("dpop-proof.json");
    let url = text(&vector, "url");
    assert_eq!(verify(&vector, "GET", url, None).unwrap(), text(&vector, "jkt"));
    assert_eq!(PublicKey::from_jwk(&vector["publicKeyJwk"].to_string()).unwrap().thumbprint(), text(&vector, "jkt"));
    assert!(matches!(verify(&vector, "POST", url, None), Err(ProofError::Method)));
    assert!(matches!(verify(&vector, "GET", "https://api.example.com/other", None), Err(ProofError::Uri)));
    assert!(matches!(verify(&vector, "GET", url, Some("a token")), Err(ProofError::AccessToken)));
}

#[test]
fn a_proof_beside_its_token() {
    let vector = vector("dpop-bound-token.json");
    let (url, token) = (text(&vector, "url"), text(&vector, "accessToken"));
    assert_eq!(verify(&vector, "POST", url, Some(token)).unwrap(), text(&vector["tokenCnf"], "jkt"));
    assert!(matches!(verify(&vector, "POST", url, Some("a-different-token")), Err(ProofError::AccessToken)));
}

#[test]
fn uris_are_compared_in_their_normal_form() {
    let cases = vector("dpop-htu-normalization.json")["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (claimed, url) = (text(&case, "claimedHtu"), text(&case, "requestUrl"));
        let start = url.find("://").unwrap() + 3;
        let (base, path) = url.split_at(url[start..].find('/').unwrap() + start);
        let forge = crate::common::Forge::new(session_jwt::Algorithm::Es256, 1);
        let proof = super::Proof::new(&forge, "GET", claimed, claimed).signed(&forge);
        let head = Head::new("GET", path).with("dpop", proof);
        let verified = at_once(Dpop::new(base).unwrap().verify(&head, None, crate::common::now()));
        assert_eq!(verified.is_ok(), case["expectMatch"].as_bool().unwrap(), "{case}");
    }
}
