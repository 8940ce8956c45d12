//! Access tokens: the cost of issuing and verifying, next to that of the bare signature, for each algorithm.
//!
//! The bare calls sign and verify the same message with the same libraries. The difference is everything else: the entropy
//! of `jti`, JSON, base64url, the lookup of the key, and all checks.
#![allow(clippy::unwrap_used, reason = "a panic is how a benchmark fails")]
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::Verifier as _;
use session_core::{Assurance, Authentication, OsEntropy, Proof, SessionId, Timestamp, UserId};
use session_jwt::{AccessTokens, Algorithm, KeyRing, Rotation, Subject, TokenPolicy, Verifier, VerifyingKeys};
use sha2::Sha256;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What a future returns that waits for nothing, as issuing does with keys of this process.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn access_tokens(criterion: &mut Criterion) {
    let user = UserId::new("0190b3a2-7c1e-7d2f-9a3b-5c4d6e7f8a9b").unwrap();
    let session = SessionId::generate(Some(&user), &OsEntropy).unwrap();
    let authentication = Authentication::new(user, Proof::new(Assurance::Aal1, NOW).method("pwd"));
    let subject = Subject::new(session, &authentication, NOW + Duration::from_secs(3600));
    let policy = TokenPolicy::new("https://login.example", "https://api.example").unwrap();
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256] {
        let ring = KeyRing::generate(algorithm, Rotation::default(), NOW, &OsEntropy).unwrap();
        let verifier = Verifier::for_issuer(policy.clone(), VerifyingKeys::from_ring(&ring));
        let tokens = AccessTokens::new(policy.clone(), ring).unwrap();
        let token = at_once(tokens.issue(&subject, NOW)).unwrap();
        let token = token.expose();
        let mut group = criterion.benchmark_group(format!("jwt/{}", algorithm.as_str()));
        bench(&mut group, "issue", || at_once(tokens.issue(black_box(&subject), NOW)).unwrap());
        bench(&mut group, "verify", || tokens.verify(black_box(token), NOW).unwrap());
        bench(&mut group, "verify-for-issuer", || verifier.verify(black_box(token), NOW).unwrap());

        let message = black_box(token.rsplit_once('.').unwrap().0.as_bytes());
        match algorithm {
            Algorithm::Hs256 => {
                let mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
                let tag = mac.clone().chain_update(message).finalize().into_bytes();
                bench(&mut group, "bare-sign", || mac.clone().chain_update(message).finalize().into_bytes());
                bench(&mut group, "bare-verify", || mac.clone().chain_update(message).verify_slice(&tag).unwrap());
                // With a key that was not absorbed before, as ours is.
                bench(&mut group, "keyed-verify", || {
                    let mac = Hmac::<Sha256>::new_from_slice(black_box(&[7; 32])).unwrap();
                    mac.chain_update(message).verify_slice(&tag).unwrap();
                });
            }
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
                let (public, signed) = (key.verifying_key(), key.sign(message));
                bench(&mut group, "bare-sign", || key.sign(message));
                bench(&mut group, "bare-verify", || public.verify_strict(message, &signed).unwrap());
            }
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
                let signed: p256::ecdsa::Signature = key.sign(message);
                let public = key.verifying_key();
                bench(&mut group, "bare-sign", || -> p256::ecdsa::Signature { key.sign(message) });
                bench(&mut group, "bare-verify", || public.verify(message, &signed).unwrap());
            }
            Algorithm::Rs256 | Algorithm::Ps256 | _ => unreachable!("{algorithm:?} is not in the list"),
        }
        group.finish();
    }
}

fn bench<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut call: impl FnMut() -> T) {
    group.bench_function(name, |bencher| bencher.iter(&mut call));
}

criterion_group!(benches, access_tokens);
criterion_main!(benches);
