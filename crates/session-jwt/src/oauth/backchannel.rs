//! [`BackchannelLogout`]: an OpenID provider says that one of its sessions has ended.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use session_core::adapter::{RequestHead, report_refusal};
use session_core::{Error, EventKind, SessionManager, StoreErrorKind, Timestamp, UserId};

use super::answer::{Answer, Refused};
use super::endpoint::fields;
use super::used_tokens::UsedTokens;
use crate::remote::verifier::{RemoteVerifier, RemoteVerifyError};
use crate::token_service::AccountsError;
use crate::tokens::error::VerifyError;
use crate::tokens::logout_claims::LogoutClaims;
use crate::tokens::policy::TokenPolicy;
use crate::tokens::verifier::Verifier;

/// Who the users of an OpenID provider are here.
///
/// ```
/// use async_trait::async_trait;
/// use session_core::UserId;
/// use session_jwt::{AccountsError, LogoutClaims, ProviderUsers};
///
/// /// Users have the names here that they have there, as their logins say.
/// #[derive(Debug)]
/// struct SameNames;
///
/// #[async_trait]
/// impl ProviderUsers for SameNames {
///     async fn user(&self, subject: &str, _: &LogoutClaims) -> Result<Option<UserId>, AccountsError> {
///         Ok(UserId::new(subject).ok())
///     }
/// }
/// ```
#[async_trait]
pub trait ProviderUsers: fmt::Debug + Send + Sync + 'static {
    /// The user whom the provider calls `subject` in a verified logout token: the same that logins of this subject are for.
    /// `None` if there is none here, so that nothing has to end.
    ///
    /// # Errors
    /// If it cannot be found out now: 503.
    async fn user(&self, subject: &str, logout: &LogoutClaims) -> Result<Option<UserId>, AccountsError>;
}

/// What is behind the back-channel logout URI of a client of an OpenID provider (OpenID Connect Back-Channel Logout 1.0),
/// without types of a framework. One for each provider, at a URI of its own. Clones share everything.
///
/// When a user logs out there, the provider sends a `POST`, a form with `logout_token=…`. Then the sessions here end,
/// cookies and refresh tokens alike:
///
/// | the token has | what ends |
/// |---|---|
/// | `sub` and `sid` | what began in that session of the provider ([`Login::provider_session`](session_core::Login::provider_session)), by [`revoke_provider_session`](SessionManager::revoke_provider_session) |
/// | `sub` alone | all of the user, logins by other means included, by [`revoke_all`](SessionManager::revoke_all) |
/// | `sid` alone | nothing: sessions are found by their user. 400; if the provider has a setting for it, let it send `sub` |
///
/// # Answers
///
/// 200 `{}` when the sessions have ended, or there were none. Else `{"error":"<code>","error_description":"…"}`: 400
/// `invalid_request` for a token that is refused, with the reason; 405 and 413 `invalid_request`; 501 `unsupported` if the
/// sessions are client-side, which nobody can list; 503 `temporarily_unavailable` if the store, the keys of the provider or
/// [`ProviderUsers`] cannot be asked, or a session of the user cannot be read. For that too the specification has 400, but
/// a provider that repeats requests should repeat this one. No answer may be cached. Each token that is refused is
/// [`EventKind::InvalidLogoutToken`].
///
/// # Replays
///
/// A server that has obeyed a token refuses it until it has expired, by its `jti`. Other servers do not know of it, nor does
/// the same one after a restart: there a copy is obeyed once more. If it has `sid`, that ends nothing that should live,
/// because nothing begins in a session of the provider that has ended. With `sub` alone it ends what the user has begun
/// since. So a copy must not be good for long: give the policy a [lifetime](crate::TokenPolicyBuilder::lifetime) of two
/// minutes, or of what the provider gives its logout tokens. Sessions that began after `iat` are not spared: if the clock of
/// the provider is late, they are what it wants to end.
///
/// # Cost
///
/// Round trips are those of [`revoke_provider_session`](SessionManager::revoke_provider_session) or
/// [`revoke_all`](SessionManager::revoke_all); none for a token that is refused.
#[derive(Clone)]
#[must_use]
pub struct BackchannelLogout {
    manager: SessionManager,
    source: Source,
    users: Arc<dyn ProviderUsers>,
    used: Arc<UsedTokens>,
}

#[derive(Clone)]
enum Source {
    Verifier(Arc<Verifier>),
    Remote(RemoteVerifier),
}

impl BackchannelLogout {
    /// With keys that are fetched from the provider. The audience of the verifier's policy is the client id:
    ///
    /// ```
    /// use std::time::Duration;
    /// use session_core::SessionManager;
    /// use session_jwt::{
    ///     BackchannelLogout, FetchJwks, ProviderUsers, RemoteVerifier, TokenPolicy, Verifier, VerifyingKeys,
    /// };
    ///
    /// fn logout(
    ///     sessions: SessionManager,
    ///     client: impl FetchJwks,
    ///     users: impl ProviderUsers,
    /// ) -> Result<BackchannelLogout, Box<dyn std::error::Error>> {
    ///     let policy = TokenPolicy::builder("https://login.example", "our-client-id");
    ///     let policy = policy.lifetime(Duration::from_secs(120)).build()?;
    ///     let verifier = Verifier::for_issuer(policy, VerifyingKeys::none());
    ///     let verifier = verifier.allow_generic_type(); // only if the provider does not write `logout+jwt`
    ///     let verifier = RemoteVerifier::new(verifier, "https://login.example/jwks.json", client)?;
    ///     Ok(BackchannelLogout::new(sessions, verifier, users))
    /// }
    /// ```
    pub fn new(sessions: SessionManager, verifier: RemoteVerifier, users: impl ProviderUsers) -> Self {
        Self::of(sessions, Source::Remote(verifier), users)
    }

    /// With keys that the application has. The time is that of `sessions`.
    pub fn with_keys(sessions: SessionManager, verifier: Arc<Verifier>, users: impl ProviderUsers) -> Self {
        Self::of(sessions, Source::Verifier(verifier), users)
    }

    fn of(manager: SessionManager, source: Source, users: impl ProviderUsers) -> Self {
        Self { manager, source, users: Arc::new(users), used: Arc::default() }
    }

    /// Answers a request of the provider.
    pub async fn answer(&self, head: &impl RequestHead, body: &[u8]) -> Answer {
        match self.log_out(head, body).await {
            Ok(()) => Answer::json(200, json!({})),
            Err(Failure::Refused(refused)) => refused.into(),
            Err(Failure::Token(refused)) => {
                report_refusal(&self.manager, head, EventKind::InvalidLogoutToken);
                refused.into()
            }
            Err(Failure::Invalid(error)) => {
                report_refusal(&self.manager, head, EventKind::InvalidLogoutToken);
                // Whoever has no key learns what anybody knows: nothing is read before the signature was verified.
                Answer::json(400, json!({ "error": "invalid_request", "error_description": error.to_string() }))
            }
        }
    }

    async fn log_out(&self, head: &impl RequestHead, body: &[u8]) -> Result<(), Failure> {
        let fields = fields(head, body)?;
        let token = fields.text("logout_token")?.filter(|_| fields.is_form()).ok_or(NO_LOGOUT_TOKEN)?;
        let (claims, now) = self.verify(token).await?;
        if self.used.has(&claims.token_id, now) {
            return Err(Failure::Token(USED));
        }
        let subject = claims.subject.as_deref().ok_or(Failure::Token(NO_SUBJECT))?;
        if let Some(user) = self.users.user(subject, &claims).await.map_err(|_| Refused::LATER)? {
            let ended = match &claims.sid {
                Some(sid) => self.manager.revoke_provider_session(&user, &claims.issuer, sid).await,
                None => self.manager.revoke_all(&user).await,
            };
            ended.map_err(refused)?;
        }
        // Only now: after a failure, the provider may repeat the request.
        self.used.add(&claims.token_id, claims.expires_at + TokenPolicy::MAX_LEEWAY, now);
        Ok(())
    }

    async fn verify(&self, token: &str) -> Result<(LogoutClaims, Timestamp), Failure> {
        match &self.source {
            Source::Verifier(verifier) => {
                let now = self.manager.now();
                Ok((verifier.verify_logout(token, now)?, now))
            }
            Source::Remote(verifier) => match verifier.verify_logout(token).await {
                Ok(claims) => Ok((claims, verifier.now())),
                Err(RemoteVerifyError::Token(error)) => Err(error.into()),
                // Nothing is known of the token.
                Err(RemoteVerifyError::Keys(_)) => Err(Refused::LATER.into()),
            },
        }
    }
}

const NO_LOGOUT_TOKEN: Refused = Refused(400, "invalid_request", "the body is not a form with a logout_token");
const USED: Refused = Refused(400, "invalid_request", "the logout token was used before");
const NO_SUBJECT: Refused =
    Refused(400, "invalid_request", "the logout token has sid and no sub: this client needs sub, with sid or without");
const CLIENT_SIDE: Refused = Refused(501, "unsupported", "the sessions of this client cannot be ended by their user");

fn refused(error: Error) -> Refused {
    if matches!(&error, Error::Store(error) if error.kind() == StoreErrorKind::Unsupported) {
        return CLIENT_SIDE;
    }
    error.into()
}

/// Why nothing was done, or not all.
enum Failure {
    /// There is no verdict about a token.
    Refused(Refused),
    /// A token that is genuine.
    Token(Refused),
    /// A token that is not, or not valid.
    Invalid(VerifyError),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Debug for BackchannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source: &dyn fmt::Debug = match &self.source {
            Source::Verifier(verifier) => verifier,
            Source::Remote(verifier) => verifier,
        };
        f.debug_struct("BackchannelLogout")
            .field("verifier", source)
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}
