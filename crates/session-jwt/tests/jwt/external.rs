//! Keys that a service or a module holds.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Forge, ISSUER, SESSION, alice, encode, now, policy};
use async_trait::async_trait;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use session_core::{OsEntropy, Policy, Timestamp};
use session_jwt::{
    AccessTokens, Algorithm, AlgorithmNames, ExternalSigner, IssueError, JwtSeal, KeyError, KeyRing, KeyState,
    PublicKey, Rotation, SigningError, SigningKey, Subject, Verifier, VerifyingKeys,
};

const HOUR: Duration = Duration::from_secs(3600);

/// How the service behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Signs,
    /// ASN.1 instead of the form of JWS.
    Der,
    Fails(SigningError),
    /// The signature of another message.
    Mistakes,
    /// These many bytes.
    Garbage(usize),
    Hangs,
}

/// The service, which has the key.
struct Kms {
    forge: KmsKey,
    mode: Mutex<Mode>,
    calls: AtomicUsize,
}

enum KmsKey {
    Forge(Forge),
    Rsa(ring::rsa::KeyPair, Algorithm),
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kms")
    }
}

const ALGORITHMS: [Algorithm; 4] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];

impl Kms {
    fn new(algorithm: Algorithm, number: u8) -> Arc<Self> {
        let forge = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => KmsKey::Rsa(rsa(), algorithm),
            other @ (Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Hs256 | _) => {
                KmsKey::Forge(Forge::new(other, number))
            }
        };
        Arc::new(Self { forge, mode: Mutex::new(Mode::Signs), calls: AtomicUsize::new(0) })
    }

    fn becomes(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn public(&self) -> PublicKey {
        match &self.forge {
            KmsKey::Forge(forge) => forge.key().public().unwrap(),
            KmsKey::Rsa(_, Algorithm::Rs256) => PublicKey::from_pem(include_str!("../rsa/public.pem")).unwrap(),
            KmsKey::Rsa(..) => PublicKey::from_pem(include_str!("../rsa/public.pem")).unwrap().for_ps256().unwrap(),
        }
    }

    fn key(self: &Arc<Self>, kid: &str) -> SigningKey {
        SigningKey::external(&self.public().with_kid(kid).unwrap(), Arc::clone(self) as _)
    }

    fn ring(self: &Arc<Self>, kid: &str) -> KeyRing {
        KeyRing::with_key(self.key(kid), Rotation::default(), now())
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.forge {
            KmsKey::Forge(forge) => forge.signature(message),
            KmsKey::Rsa(pair, algorithm) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let random = ring::rand::SystemRandom::new();
                let padding: &'static dyn RsaEncoding =
                    if *algorithm == Algorithm::Rs256 { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

#[async_trait]
impl ExternalSigner for Kms {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await; // it is elsewhere
        let mode = *self.mode.lock().unwrap();
        match mode {
            Mode::Signs => Ok(self.signature(message)),
            Mode::Der => {
                let signature = p256::ecdsa::Signature::from_slice(&self.signature(message)).unwrap();
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Mode::Fails(error) => Err(error),
            Mode::Mistakes => Ok(self.signature(&message[1..])),
            Mode::Garbage(length) => Ok(vec![0x30; length]),
            Mode::Hangs => std::future::pending().await,
        }
    }
}

fn rsa() -> ring::rsa::KeyPair {
    use base64::Engine as _;
    let body: String = include_str!("../rsa/private.pem").lines().filter(|line| !line.starts_with('-')).collect();
    ring::rsa::KeyPair::from_pkcs8(&base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap()
}

async fn issue(tokens: &AccessTokens, now: Timestamp) -> Result<String, IssueError> {
    let authentication = alice();
    let subject = Subject::new(SESSION, &authentication, now + HOUR);
    tokens.issue(&subject, now).await.map(|token| token.expose().to_owned())
}

#[tokio::test]
async fn tokens_of_an_external_key_are_as_any_other() {
    for algorithm in ALGORITHMS {
        let kms = Kms::new(algorithm, 1);
        let tokens = AccessTokens::new(policy(), kms.ring("arn:key/1")).unwrap();
        let token = issue(&tokens, now()).await.unwrap();
        assert_eq!(kms.calls.load(Ordering::SeqCst), 1);
        assert_eq!(tokens.verify(&token, now()).unwrap().session, SESSION);
        let document = tokens.jwks(now()).to_json();
        assert!(document.contains(r#""kid":"arn:key/1""#), "{document}");
        let keys = || VerifyingKeys::from_jwks(&document).unwrap();
        for verifier in [Verifier::new(policy(), keys()), Verifier::for_issuer(policy(), keys())] {
            assert_eq!(verifier.verify(&token, now()).unwrap().user.as_str(), "alice", "{algorithm:?}");
        }
        let ring = tokens.ring().with_algorithm_names(AlgorithmNames::FullySpecified);
        tokens.set_ring(ring).unwrap();
        let spelled = issue(&tokens, now()).await.unwrap();
        assert!(tokens.verify(spelled, now()).is_ok() && tokens.verify(token, now()).is_ok());
    }
}

#[tokio::test]
async fn the_form_of_signature_that_services_return_is_understood() {
    let kms = Kms::new(Algorithm::Es256, 1);
    let tokens = AccessTokens::new(policy(), kms.ring("k")).unwrap();
    kms.becomes(Mode::Der);
    for second in 0..200 {
        let token = issue(&tokens, now() + Duration::from_secs(second)).await.unwrap();
        assert!(tokens.verify(&token, now() + Duration::from_secs(second)).is_ok());
        assert_eq!(token.rsplit_once('.').unwrap().1.len(), 86);
    }
}

#[tokio::test]
async fn a_wrong_signature_is_not_handed_out() {
    for algorithm in ALGORITHMS {
        let kms = Kms::new(algorithm, 1);
        let tokens = AccessTokens::new(policy(), kms.ring("k")).unwrap();
        let lengths = [0, 1, 63, 64, 65, 70, 72, 256, 257, 100_000].map(Mode::Garbage);
        for mode in [Mode::Mistakes].into_iter().chain(lengths) {
            kms.becomes(mode);
            let error = issue(&tokens, now()).await.unwrap_err();
            assert_eq!(error, IssueError::Signing(SigningError::WrongSignature), "{algorithm:?} {mode:?}");
        }
        // The key of another account.
        let wrong = SigningKey::external(&Kms::new(algorithm_like(algorithm), 100).public(), kms.clone());
        let tokens = AccessTokens::new(policy(), KeyRing::with_key(wrong, Rotation::default(), now())).unwrap();
        kms.becomes(Mode::Signs);
        assert_eq!(issue(&tokens, now()).await.unwrap_err(), IssueError::Signing(SigningError::WrongSignature));
    }
}

/// One of which there are two different keys here.
fn algorithm_like(algorithm: Algorithm) -> Algorithm {
    match algorithm {
        Algorithm::Rs256 => Algorithm::Ps256,
        Algorithm::Ps256 => Algorithm::Rs256,
        other @ (Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Hs256 | _) => other,
    }
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_a_signer_reach_the_caller_who_sets_the_time_limit() {
    let kms = Kms::new(Algorithm::EdDsa, 1);
    let tokens = AccessTokens::new(policy(), kms.ring("k")).unwrap();
    for error in [SigningError::Unavailable, SigningError::Refused] {
        kms.becomes(Mode::Fails(error));
        assert_eq!(issue(&tokens, now()).await.unwrap_err(), IssueError::Signing(error));
    }
    kms.becomes(Mode::Hangs);
    assert!(tokio::time::timeout(Duration::from_secs(1), issue(&tokens, now())).await.is_err());
    // What was given up leaves nothing behind.
    kms.becomes(Mode::Signs);
    assert!(issue(&tokens, now()).await.is_ok());
    // An expired session asks nobody.
    let calls = kms.calls.load(Ordering::SeqCst);
    let authentication = alice();
    let expired = tokens.issue(&Subject::new(SESSION, &authentication, now()), now()).await;
    assert_eq!(expired.unwrap_err(), IssueError::SessionExpired);
    assert_eq!(kms.calls.load(Ordering::SeqCst), calls);
}

#[tokio::test]
async fn a_stored_ring_has_the_public_half_and_finds_its_signer() {
    for algorithm in ALGORITHMS {
        let kms = Kms::new(algorithm, 1);
        let local = Forge::new(Algorithm::EdDsa, 50);
        let ring = kms.ring("arn:key/1").publish(local.key(), now()).unwrap();
        let json = ring.to_json();
        if let KmsKey::Forge(_) = &kms.forge {
            assert!(!json.contains(&encode((1..33).collect::<Vec<u8>>())), "its secret");
        }
        assert_eq!(json.matches("\"d\"").count(), 1, "that of the local key");
        assert_eq!(KeyRing::from_json(&json).unwrap_err(), KeyError::External);
        assert_eq!(KeyRing::from_json_with(&json, |_| None).unwrap_err(), KeyError::External);
        let again = KeyRing::from_json_with(&json, |public| {
            assert_eq!((public.kid(), public.algorithm()), ("arn:key/1", algorithm));
            assert_eq!(public.thumbprint(), kms.public().thumbprint());
            Some(kms.clone())
        });
        let again = again.unwrap();
        assert_eq!(again.to_json(), json);
        let tokens = AccessTokens::new(policy(), again).unwrap();
        let token = issue(&tokens, now()).await.unwrap();
        assert!(tokens.verify(token, now()).is_ok());
        // Neither kind of key is read as the other.
        let private = json.replace(r#""external":true,"#, "");
        assert!(KeyRing::from_json_with(&private, |_| Some(kms.clone())).is_err());
        let external = json.replace(r#""signs_until":null,"#, r#""signs_until":null,"external":true,"#);
        assert_eq!(KeyRing::from_json_with(&external, |_| Some(kms.clone())).unwrap_err(), KeyError::Private);
    }
    let local = Forge::new(Algorithm::EdDsa, 50).ring();
    assert!(!local.to_json().contains("external"), "earlier releases read it");
    assert!(KeyRing::from_json_with(&local.to_json(), |_| panic!("nobody to ask for")).is_ok());
}

#[tokio::test]
async fn local_and_external_keys_follow_each_other() {
    let kms = Kms::new(Algorithm::Es256, 1);
    let start = Forge::new(Algorithm::EdDsa, 50).ring();
    let ring = start.publish(kms.key("k"), now()).unwrap();
    let tokens = AccessTokens::new(policy(), ring.clone()).unwrap();
    let day = Rotation::default().publish_ahead();
    let before = issue(&tokens, now() + day - HOUR).await.unwrap();
    assert_eq!(kms.calls.load(Ordering::SeqCst), 0);
    let after = issue(&tokens, now() + day).await.unwrap();
    assert_eq!(kms.calls.load(Ordering::SeqCst), 1);
    assert!(tokens.verify(after, now() + day).is_ok() && tokens.verify(before, now() + day - HOUR).is_ok());

    // No successor is generated, however late it is; the old key goes all the same.
    let late = now() + 1000 * day;
    let rotated = ring.rotate(late, &OsEntropy).unwrap().unwrap();
    assert_eq!(
        rotated.keys(late).map(|key| (key.kid, key.state)).collect::<Vec<_>>(),
        [("k".into(), KeyState::Signing)]
    );
    assert!(rotated.rotate(late, &OsEntropy).unwrap().is_none());
    assert_eq!(rotated.retire("k", late, &OsEntropy).unwrap_err(), KeyError::External);
    let back = rotated.publish(Forge::new(Algorithm::EdDsa, 100).key(), late).unwrap();
    let retired = back.retire("k", late, &OsEntropy).unwrap();
    assert_eq!(retired.keys(late).map(|key| key.state).collect::<Vec<_>>(), [KeyState::Signing]);
    assert!(retired.rotate(late + 30 * day, &OsEntropy).unwrap().is_some());
    // One name for two keys is refused here, too.
    assert_eq!(rotated.publish(Kms::new(Algorithm::EdDsa, 9).key("k"), late).unwrap_err(), KeyError::DuplicateKid);
    assert_eq!(Forge::new(Algorithm::Hs256, 1).ring().publish(kms.key("k"), late).unwrap_err(), KeyError::Mixed);
}

#[test]
fn sessions_are_not_sealed_by_somebody_elsewhere() {
    let kms = Kms::new(Algorithm::EdDsa, 1);
    let rotation = Rotation::builder().verify_for(24 * 7 * HOUR).build().unwrap();
    let external = KeyRing::with_key(kms.key("k"), rotation, now());
    assert_eq!(JwtSeal::new(ISSUER, external.clone(), &Policy::standard()).unwrap_err(), KeyError::External);
    let local = KeyRing::with_key(Forge::new(Algorithm::EdDsa, 50).key(), rotation, now());
    let seal = JwtSeal::new(ISSUER, local.clone(), &Policy::standard()).unwrap();
    assert_eq!(seal.set_ring(external).unwrap_err(), KeyError::External);
    // Also as the next key.
    let next = local.publish(kms.key("k"), now()).unwrap();
    assert_eq!(seal.set_ring(next).unwrap_err(), KeyError::External);
}

#[test]
fn what_is_elsewhere_cannot_be_exported() {
    let key = Kms::new(Algorithm::Es256, 1).key("k");
    assert!(key.is_external() && !Forge::new(Algorithm::Es256, 1).key().is_external());
    assert_eq!(key.to_pem().unwrap_err(), KeyError::External);
    assert!(!key.to_jwk().contains("\"d\""));
    assert!(SigningKey::from_jwk(&key.to_jwk()).is_err());
    assert_eq!(key.public().unwrap().kid(), "k");
    assert_eq!(format!("{key:?}"), "SigningKey(Es256, ..)");
}
