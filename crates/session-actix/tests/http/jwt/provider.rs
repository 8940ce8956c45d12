//! Other software that signs tokens: an OpenID provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use session_core::{Clock, ManualClock, UserId};
use session_jwt::{
    AccountsError, BoxError, FetchJwks, JwksDocument, LogoutClaims, ProviderUsers, RemoteVerifier, TokenPolicy,
    Verifier, VerifyingKeys,
};

pub(super) const ISSUER: &str = "https://id.example/realms/shop";

/// A provider whose server answers, or does not. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    is_down: Arc<AtomicBool>,
    clock: ManualClock,
}

impl Provider {
    pub(super) fn new(clock: &ManualClock) -> Self {
        Self { is_down: Arc::default(), clock: clock.clone() }
    }

    pub(super) fn is_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_millis() / 1000
    }

    /// A token with these claims beside its names and times.
    pub(super) fn sign(&self, typ: &str, audience: &str, claims: Value) -> String {
        let mut payload = json!({ "iss": ISSUER, "aud": audience, "iat": self.now(), "exp": self.now() + 120 });
        for (name, value) in claims.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let header = json!({ "typ": typ, "alg": "EdDSA", "kid": "provider", "x5t": "AAAA" });
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{payload}");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair().sign(message.as_bytes())))
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(pair().public_key());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "provider", "use": "sig" }] }).to_string()
    }

    fn policy(audience: &str) -> TokenPolicy {
        TokenPolicy::builder(ISSUER, audience).lifetime(Duration::from_secs(120)).build().unwrap()
    }

    /// With keys that the application has.
    pub(super) fn verifier(&self, audience: &str) -> Verifier {
        let keys = VerifyingKeys::from_jwks(&self.jwks()).unwrap();
        Verifier::for_issuer(Self::policy(audience), keys).allow_generic_type()
    }

    /// With keys that are fetched.
    pub(super) fn remote(&self, audience: &str) -> RemoteVerifier {
        let verifier = Verifier::for_issuer(Self::policy(audience), VerifyingKeys::none()).allow_generic_type();
        let remote = RemoteVerifier::new(verifier, format!("{ISSUER}/certs"), self.clone()).unwrap();
        remote.with_clock(self.clock.clone())
    }
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

#[async_trait]
impl FetchJwks for Provider {
    async fn fetch(&self, url: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
        assert_eq!(url, format!("{ISSUER}/certs"));
        if self.is_down.load(Ordering::SeqCst) {
            return Err("connection refused".into());
        }
        Ok(document.push(self.jwks().as_bytes())?)
    }
}

/// Users have the same names here.
#[async_trait]
impl ProviderUsers for Provider {
    async fn user(&self, subject: &str, _: &LogoutClaims) -> Result<Option<UserId>, AccountsError> {
        Ok(UserId::new(subject).ok())
    }
}
