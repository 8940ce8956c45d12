//! [`TokenSource`]: how an adapter verifies access tokens, and what it says when there is none.

use std::fmt;
use std::sync::Arc;

use session_core::adapter::{
    BearerRejectionKind, Challenge, RequestHead, Requirement, TokenScheme, presented_token, report_refusal,
};
use session_core::{Clock, EventKind, SessionManager, SessionSummary, Timestamp};
use tokio::sync::Mutex;

use super::requirement::{TokenRequirement, acr_values};
use crate::dpop::policy::{Checked, Dpop, DpopMode};
use crate::dpop::proof::ProofError;
use crate::dpop::replays::ProofId;
use crate::remote::verifier::{RemoteVerifier, RemoteVerifyError};
use crate::token_service::TokenService;
use crate::tokens::claims::Claims;
use crate::tokens::error::VerifyError;
use crate::tokens::issuer_claims::IssuerClaims;
use crate::tokens::verifier::Verifier;

/// Where access tokens come from; what is behind the bearer extractors of an adapter, without types of a framework. Cheap to
/// clone.
#[derive(Clone)]
#[must_use]
pub struct TokenSource {
    issuer: Issuer,
    challenge: Arc<Challenge>,
    dpop: Option<Arc<Dpop>>,
    used: Option<Arc<Used>>,
}

/// The proof of one request, which all of its extractors may look at.
struct Used {
    /// What it is that was used up.
    proof: Mutex<Option<ProofId>>,
    /// Where that is remembered.
    by: Arc<Dpop>,
}

#[derive(Clone)]
enum Issuer {
    Service(Arc<TokenService>),
    Verifier(Arc<Verifier>, Arc<dyn Clock>),
    Remote(RemoteVerifier),
}

impl TokenSource {
    /// Tokens of this service, which can ask the store too.
    pub fn service(tokens: Arc<TokenService>) -> Self {
        Self::of(Issuer::Service(tokens))
    }

    /// Tokens of another server, verified with its public keys alone.
    pub fn verifier(verifier: Arc<Verifier>, clock: impl Clock) -> Self {
        Self::of(Issuer::Verifier(verifier, Arc::new(clock)))
    }

    /// Tokens of another server, whose public keys are fetched from it.
    pub fn remote(verifier: RemoteVerifier) -> Self {
        Self::of(Issuer::Remote(verifier))
    }

    /// What `WWW-Authenticate` says beside the error.
    pub fn with_challenge(self, challenge: Challenge) -> Self {
        Self { challenge: Arc::new(challenge), ..self }.advertised()
    }

    /// Tokens that are bound to the key of their client are accepted, with a proof; or no others are. Challenges say so. Without
    /// it, a bound token is refused.
    pub fn with_dpop(self, dpop: Dpop) -> Self {
        if dpop.current_mode() == DpopMode::Off {
            return self;
        }
        Self { dpop: Some(Arc::new(dpop)), ..self }.advertised()
    }

    /// With a challenge that names the scheme `DPoP`, if that is accepted.
    fn advertised(self) -> Self {
        let Some(dpop) = &self.dpop else { return self };
        let is_required = dpop.current_mode() == DpopMode::Required;
        let challenge = Challenge::clone(&self.challenge).dpop(dpop.algorithm_names().join(" "), is_required);
        Self { challenge: challenge.map_or(self.challenge, Arc::new), ..self }
    }

    fn of(issuer: Issuer) -> Self {
        Self { issuer, challenge: Arc::default(), dpop: None, used: None }
    }

    /// For the extractors of one request, all of which may look at its proof. `outer` is that of a layer around this one.
    pub fn for_request(&self, head: &impl RequestHead, outer: Option<&Self>) -> Self {
        let outer = outer.and_then(|outer| outer.used.as_ref());
        let used = match &self.dpop {
            // For a layer further inside.
            None => outer.map(Arc::clone),
            Some(_) if head.values("dpop").next().is_none() => None,
            // What was used up elsewhere counts only where the same memory would be asked.
            Some(dpop) => match outer.filter(|outer| dpop.remembers_with(&outer.by)) {
                Some(outer) => Some(Arc::clone(outer)),
                None => Some(Arc::new(Used { proof: Mutex::default(), by: Arc::clone(dpop) })),
            },
        };
        Self { used, ..self.clone() }
    }

    fn now(&self) -> Timestamp {
        match &self.issuer {
            Issuer::Service(tokens) => tokens.manager().now(),
            Issuer::Verifier(_, clock) => clock.now(),
            Issuer::Remote(verifier) => verifier.now(),
        }
    }

    /// Whether answers to this request have a `DPoP-Nonce`: its client sends proofs, and they need one.
    #[must_use]
    pub fn hands_out_nonces(&self, head: &impl RequestHead) -> bool {
        self.nonce().is_some() && head.values("dpop").next().is_some()
    }

    /// The value of `DPoP-Nonce` in an answer that is sent now. With it belongs `Cache-Control: no-store`, unless the application
    /// says something itself.
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        self.dpop.as_ref()?.nonce(self.now())
    }

    /// The token in the `Authorization` header, and the proof beside it.
    fn presented<'h>(&self, head: &'h impl RequestHead) -> Result<(&'h str, Option<Checked>), BearerRejectionKind> {
        let (scheme, token) = presented_token(head)?.ok_or(BearerRejectionKind::Missing)?;
        match (scheme, &self.dpop) {
            (TokenScheme::Bearer, Some(dpop)) if dpop.current_mode() == DpopMode::Required => {
                self.report_invalid(head);
                Err(BearerRejectionKind::Invalid)
            }
            (TokenScheme::Bearer, _) => Ok((token, None)),
            // A scheme that is not known here.
            (TokenScheme::Dpop, None) => Err(BearerRejectionKind::Missing),
            (TokenScheme::Dpop, Some(dpop)) => match dpop.check(head, Some(token), self.seen(), self.now()) {
                Ok(Some(checked)) => Ok((token, Some(checked))),
                Ok(None) => {
                    self.report(head, EventKind::InvalidProof);
                    Err(BearerRejectionKind::InvalidProof)
                }
                Err(error) => Err(self.refuse(head, &error)),
            },
        }
    }

    /// The proof that this request has used up.
    fn seen(&self) -> Option<ProofId> {
        self.used.as_ref().and_then(|used| used.proof.try_lock().ok().and_then(|used| *used))
    }

    /// Uses the proof up.
    async fn use_up(&self, head: &impl RequestHead, proof: Option<Checked>) -> Result<(), BearerRejectionKind> {
        let (Some(dpop), Some(proof)) = (&self.dpop, proof) else { return Ok(()) };
        let Some(used) = &self.used else {
            return dpop.accept(proof, self.now()).await.map(drop).map_err(|error| self.refuse(head, &error));
        };
        let id = proof.id;
        // Held until the store has answered: extractors of one request may run at the same time.
        let mut used = used.proof.lock().await;
        if *used != Some(id) {
            dpop.accept(proof, self.now()).await.map_err(|error| self.refuse(head, &error))?;
            *used = Some(id);
        }
        Ok(())
    }

    fn refuse(&self, head: &impl RequestHead, error: &ProofError) -> BearerRejectionKind {
        tracing::debug!(target: "session", %error, "DPoP proof refused");
        if error.is_of_client() {
            self.report(head, EventKind::InvalidProof);
            BearerRejectionKind::InvalidProof
        } else if matches!(error, ProofError::Nonce) {
            BearerRejectionKind::NonceNeeded
        } else {
            BearerRejectionKind::StoreUnavailable
        }
    }

    /// The claims of the token in the `Authorization` header, if they meet `R`. No round trip, but for keys.
    ///
    /// # Errors
    /// [`BearerRejectionKind::Missing`], [`Malformed`](BearerRejectionKind::Malformed),
    /// [`Invalid`](BearerRejectionKind::Invalid), [`InvalidProof`](BearerRejectionKind::InvalidProof) and
    /// [`NonceNeeded`](BearerRejectionKind::NonceNeeded); what [`Claims::meets`] says;
    /// [`KeysUnavailable`](BearerRejectionKind::KeysUnavailable) if they could not be fetched.
    pub async fn open<R: TokenRequirement>(&self, head: &impl RequestHead) -> Result<Claims, BearerRejectionKind> {
        let (token, proof) = self.presented(head)?;
        let key = proof.as_ref().map(|proof| &proof.key);
        let (verified, now) = match &self.issuer {
            Issuer::Service(tokens) => (tokens.verify_with(token, key), tokens.manager().now()),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify_with(token, key, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify_with(token, key).await)?, verifier.now()),
        };
        let Ok(claims) = verified else {
            self.report_invalid(head);
            return Err(BearerRejectionKind::Invalid);
        };
        self.use_up(head, proof).await?;
        claims.meets::<R>(now).map(|()| claims)
    }

    /// The claims of the token of other software in the `Authorization` header, if they meet `R`. No round trip, but for keys.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`BearerRejectionKind::LayerMissing`] if tokens come from a service of ours.
    pub async fn open_foreign<R: TokenRequirement>(
        &self,
        head: &impl RequestHead,
    ) -> Result<IssuerClaims, BearerRejectionKind> {
        let (token, proof) = self.presented(head)?;
        let key = proof.as_ref().map(|proof| &proof.key);
        let (verified, now) = match &self.issuer {
            Issuer::Service(_) => return Err(BearerRejectionKind::LayerMissing),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify_foreign_with(token, key, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify_foreign_with(token, key).await)?, verifier.now()),
        };
        let claims = verified.map_err(|_| BearerRejectionKind::Invalid)?;
        self.use_up(head, proof).await?;
        claims.meets::<R>(now).map(|()| claims)
    }

    /// The session of a verified token, as fresh as `R` wants it, and its manager. One round trip at most.
    ///
    /// # Errors
    /// [`BearerRejectionKind::Invalid`] if it has ended, [`StoreUnavailable`](BearerRejectionKind::StoreUnavailable) if the store
    /// failed, [`LayerMissing`](BearerRejectionKind::LayerMissing) if there is none.
    pub async fn live_session<R: TokenRequirement>(
        &self,
        claims: &Claims,
        head: &impl RequestHead,
    ) -> Result<(SessionSummary, SessionManager), BearerRejectionKind> {
        let Issuer::Service(tokens) = &self.issuer else { return Err(BearerRejectionKind::LayerMissing) };
        match tokens.session_of(claims, R::FRESHNESS).await {
            Ok(Some(session)) => Ok((session, tokens.manager().clone())),
            Ok(None) => {
                self.report_invalid(head);
                Err(BearerRejectionKind::Invalid)
            }
            Err(_) => Err(BearerRejectionKind::StoreUnavailable),
        }
    }

    /// The value of `WWW-Authenticate` beside a rejection at a route that wants `R`.
    #[must_use]
    pub fn challenge<R: TokenRequirement>(&self, kind: BearerRejectionKind) -> Option<String> {
        let scope = R::SCOPES.join(" ");
        let requirement = Requirement {
            scope: Some(scope.as_str()).filter(|scope| !scope.is_empty()),
            acr_values: R::LEVEL.map(acr_values),
            max_age: R::MAX_AGE,
        };
        self.challenge.of(kind, &requirement)
    }

    fn report_invalid(&self, head: &impl RequestHead) {
        self.report(head, EventKind::InvalidAccessToken);
    }

    /// An event, where there is a manager that has observers.
    fn report(&self, head: &impl RequestHead, kind: EventKind) {
        if let Issuer::Service(tokens) = &self.issuer {
            report_refusal(tokens.manager(), head, kind);
        }
    }
}

/// Whether there are keys to verify with: without them, nothing is known of a token.
fn known<T>(answer: Result<T, RemoteVerifyError>) -> Result<Result<T, VerifyError>, BearerRejectionKind> {
    match answer {
        Ok(claims) => Ok(Ok(claims)),
        Err(RemoteVerifyError::Token(error)) => Ok(Err(error)),
        Err(_) => Err(BearerRejectionKind::KeysUnavailable),
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.issuer {
            Issuer::Service(_) => "Service",
            Issuer::Verifier(..) => "Verifier",
            Issuer::Remote(_) => "Remote",
        })
    }
}
