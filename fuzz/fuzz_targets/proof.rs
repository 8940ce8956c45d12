//! Proofs of possession (DPoP). The first byte selects what is arbitrary; the rest is it.
#![no_main]

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use session_core::adapter::RequestHead;
use session_core::{RequestContext, Timestamp};
use session_jwt::{Dpop, ProofError, ProvenKey};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const HEADER: &str = r#"{"typ":"dpop+jwt","alg":"ES256","jwk":"#;
const CLAIMS: &str = r#"{"jti":"j","htm":"GET","htu":"https://a/p","iat":1767225600}"#;

struct Head<'h>(&'h [u8]);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/p"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        (name == "dpop").then_some(self.0).into_iter()
    }

    fn describe(&self, _: &mut RequestContext) {}
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_slice(&[1; 32]).expect("a key"));

static JWK: LazyLock<String> = LazyLock::new(|| {
    let point = KEY.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
});

fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature: Signature = KEY.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// By a server that has seen no other.
fn verify(proof: &[u8]) -> Result<Option<ProvenKey>, ProofError> {
    let dpop = Dpop::new("https://a").expect("a base");
    match pin!(dpop.verify(&Head(proof), None, NOW)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verified) => verified,
        Poll::Pending => unreachable!("it asks no store"),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    let header = format!("{HEADER}{}}}", *JWK);
    match choice % 4 {
        // A whole proof, which nobody signed.
        0 => assert!(verify(input).is_err()),
        // A header.
        1 => {
            if verify(signed(input, CLAIMS.as_bytes()).as_bytes()).is_ok() {
                let text = std::str::from_utf8(input).expect("JSON");
                assert!(text.contains("dpop+jwt") && text.contains("ES256"));
            }
        }
        // Claims.
        2 => {
            if verify(signed(header.as_bytes(), input).as_bytes()).is_ok() {
                let text = std::str::from_utf8(input).expect("JSON");
                assert!(["jti", "htm", "htu", "iat"].iter().all(|claim| text.contains(claim) || text.contains('\\')));
            }
        }
        // A URI.
        _ => {
            let Ok(uri) = std::str::from_utf8(input) else { return };
            if uri.contains(['"', '\\']) || uri.chars().any(char::is_control) {
                return;
            }
            let claims = CLAIMS.replace("https://a/p", uri);
            if verify(signed(header.as_bytes(), claims.as_bytes()).as_bytes()).is_ok() {
                let uri = uri.to_ascii_lowercase();
                let rest = uri.strip_prefix("https://").expect("the scheme");
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                assert!(["a", "a:", "a:443", "%61", "%61:", "%61:443"].contains(&authority), "{authority}");
            }
        }
    }
});
