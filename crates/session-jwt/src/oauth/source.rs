//! [`TokenSource`]: how an adapter verifies access tokens, and what it says when there is none.

use std::fmt;
use std::sync::Arc;

use session_core::adapter::{BearerRejectionKind, Challenge, RequestHead, Requirement, bearer_token, report_refusal};
use session_core::{Clock, EventKind, SessionManager, SessionSummary};

use super::requirement::{TokenRequirement, acr_values};
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
        Self { challenge: Arc::new(challenge), ..self }
    }

    fn of(issuer: Issuer) -> Self {
        Self { issuer, challenge: Arc::default() }
    }

    /// The claims of the token in the `Authorization` header, if they meet `R`. No round trip, but for keys.
    ///
    /// # Errors
    /// [`BearerRejectionKind::Missing`], [`Malformed`](BearerRejectionKind::Malformed) and
    /// [`Invalid`](BearerRejectionKind::Invalid); what [`Claims::meets`] says;
    /// [`KeysUnavailable`](BearerRejectionKind::KeysUnavailable) if they could not be fetched.
    pub async fn open<R: TokenRequirement>(&self, head: &impl RequestHead) -> Result<Claims, BearerRejectionKind> {
        let token = bearer_token(head)?.ok_or(BearerRejectionKind::Missing)?;
        let (verified, now) = match &self.issuer {
            Issuer::Service(tokens) => (tokens.verify(token), tokens.manager().now()),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify(token, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify(token).await)?, verifier.now()),
        };
        let Ok(claims) = verified else {
            self.report_invalid(head);
            return Err(BearerRejectionKind::Invalid);
        };
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
        let token = bearer_token(head)?.ok_or(BearerRejectionKind::Missing)?;
        let (verified, now) = match &self.issuer {
            Issuer::Service(_) => return Err(BearerRejectionKind::LayerMissing),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify_foreign(token, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify_foreign(token).await)?, verifier.now()),
        };
        let claims = verified.map_err(|_| BearerRejectionKind::Invalid)?;
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

    /// An event, where there is a manager that has observers.
    fn report_invalid(&self, head: &impl RequestHead) {
        if let Issuer::Service(tokens) = &self.issuer {
            report_refusal(tokens.manager(), head, EventKind::InvalidAccessToken);
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
