//! The hybrid: short-lived access tokens, and refresh tokens that a store knows.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::{
    DeleteOutcome, EncodedToken, Error, Login, Persistence, PresentedToken, SessionManager, SessionSummary, UserId,
};

use crate::claims::Claims;
use crate::tokens::{AccessToken, AccessTokens, IssueError, Subject};
use crate::verify::VerifyError;

/// What a client gets: an access token for requests, and a refresh token for the next pair.
#[must_use]
pub struct TokenPair {
    /// For the `Authorization` header. Checked without a store.
    pub access: AccessToken,
    /// For [`TokenService::refresh`], once.
    pub refresh: EncodedToken,
    /// The session that both belong to.
    pub session: SessionSummary,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Where an application looks whether a user may still be logged in. Asked with every refresh, so that an account that was
/// locked, deleted, or given new credentials gets no new access token.
#[async_trait]
pub trait Accounts: fmt::Debug + Send + Sync + 'static {
    /// Whether the account of `user` is in order, so that `session` may go on.
    ///
    /// # Errors
    /// If it cannot be told now. The refresh fails then, and nothing changes: the client may repeat it.
    async fn status(&self, user: &UserId, session: &SessionSummary) -> Result<AccountStatus, AccountsError>;
}

/// What [`Accounts::status`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// The session may go on.
    Active,
    /// The account is locked or gone, or its credentials are newer than the session: the session ends.
    Disabled,
}

/// The accounts could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the accounts could not be asked")]
pub struct AccountsError(#[source] Box<dyn StdError + Send + Sync>);

impl AccountsError {
    /// For the error of whatever was asked.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Why there is no new pair of tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenServiceError {
    /// The refresh token is malformed, unknown, expired, revoked, or was used before; or the account is barred. One answer
    /// for all of them (`invalid_grant`): log in again. The events say which.
    #[error("the refresh token is not valid; the user must log in again")]
    InvalidGrant,
    /// The session could not be read or written: [`Error::Store`] and [`Error::Entropy`] are worth a retry,
    /// [`Error::LimitReached`] means that another session must end first.
    #[error(transparent)]
    Session(#[from] Error),
    /// The accounts could not be asked. Worth a retry with the same token.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The access token could not be issued. Inside the grace window, the refresh can be repeated with the same token.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a [`TokenService`] makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HybridConfigError {
    /// An access token would be used instead of refreshing until the session has expired.
    #[error("the lifetime of an access token must be shorter than the idle timeout of a session")]
    Timeouts,
    /// An honest client would use a successor while the grace window of its predecessor is still open, and a late request
    /// with the predecessor would look like theft.
    #[error("the lifetime of an access token must not be shorter than the policy's refresh grace")]
    Grace,
}

/// Logs in, refreshes, revokes. Share it behind an [`Arc`].
///
/// A refresh token is a session token of kind [`Refresh`](session_core::Kind::Refresh): its session is in the same list of
/// devices, under the same limit and timeouts as one with a cookie, and is revoked in the same ways. A refresh counts as
/// activity; presenting an access token does not.
///
/// | | round trips |
/// |---|---|
/// | [`verify`](Self::verify) | 0 |
/// | [`login`](Self::login) | 1 |
/// | [`refresh`](Self::refresh) | 2; 1 for a replay inside the grace window; and what [`Accounts`] needs |
/// | [`revoke`](Self::revoke) | 2; 1 with an access token |
/// | [`check_session`](Self::check_session) | 1 |
pub struct TokenService {
    manager: SessionManager,
    tokens: Arc<AccessTokens>,
    accounts: Arc<dyn Accounts>,
}

impl TokenService {
    /// Sessions of `manager`, access tokens of `tokens`, accounts of the application.
    ///
    /// # Errors
    /// [`HybridConfigError`] if the lifetime of access tokens does not fit the policy of the sessions.
    pub fn new(
        manager: SessionManager,
        tokens: Arc<AccessTokens>,
        accounts: impl Accounts,
    ) -> Result<Self, HybridConfigError> {
        let (lifetime, policy) = (tokens.policy().lifetime(), manager.policy());
        let shortest = [Persistence::Transient, Persistence::Persistent].map(|kept| policy.timeouts(true, kept).idle);
        if shortest.iter().any(|idle| lifetime >= *idle) {
            return Err(HybridConfigError::Timeouts);
        }
        if lifetime < policy.refresh_grace() {
            return Err(HybridConfigError::Grace);
        }
        Ok(Self { manager, tokens, accounts: Arc::new(accounts) })
    }

    /// Begins a session. `replaces` is the refresh token that the client has already, if any: its session ends in the same
    /// step.
    ///
    /// # Errors
    /// [`TokenServiceError`]; a `replaces` that is not valid is none.
    pub async fn login(&self, login: Login, replaces: Option<&str>) -> Result<TokenPair, TokenServiceError> {
        let replaces = replaces.and_then(|text| PresentedToken::parse(text.as_bytes()).ok());
        let grant = self.manager.issue_refresh_token(login, replaces.as_ref()).await?;
        self.pair(grant)
    }

    /// Uses a refresh token up, and issues the next pair. A second use inside the policy's
    /// [grace window](session_core::Policy::refresh_grace) gets the identical refresh token again; any later one is reuse,
    /// and ends the session although this call fails.
    ///
    /// # Errors
    /// [`TokenServiceError`]. Unless it is [`InvalidGrant`](TokenServiceError::InvalidGrant), repeat it with the same token.
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, TokenServiceError> {
        let token = PresentedToken::parse(token.as_bytes()).map_err(|_| TokenServiceError::InvalidGrant)?;
        let refresh = self.manager.verify_refresh_token(&token).await?.ok_or(TokenServiceError::InvalidGrant)?;
        let session = refresh.session();
        let user = session.authentication.as_ref().map(|authentication| authentication.user.clone());
        let user = user.ok_or(TokenServiceError::InvalidGrant)?;
        match self.accounts.status(&user, session).await? {
            AccountStatus::Active => {}
            AccountStatus::Disabled => {
                let _ = self.manager.revoke(&user, &session.id).await?;
                return Err(TokenServiceError::InvalidGrant);
            }
        }
        let grant = self.manager.rotate(refresh).await?.ok_or(TokenServiceError::InvalidGrant)?;
        self.pair(grant)
    }

    /// Ends the session of a refresh token, or of a valid access token: logout. Any other text changes nothing and is no
    /// error (RFC 7009).
    ///
    /// # Errors
    /// [`Error::Store`]; safe to repeat.
    pub async fn revoke(&self, token: &str) -> Result<DeleteOutcome, Error> {
        if let Ok(token) = PresentedToken::parse(token.as_bytes()) {
            return self.manager.revoke_refresh_token(&token).await;
        }
        match self.verify(token) {
            Ok(claims) => self.manager.revoke(&claims.user, &claims.session).await,
            Err(_) => Ok(DeleteOutcome::Absent),
        }
    }

    /// Checks an access token. No I/O: a session that was revoked is noticed when the token expires, at the latest after
    /// its lifetime and the leeway.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify(&self, access: &str) -> Result<Claims, VerifyError> {
        self.tokens.verify(access, self.manager.now())
    }

    /// Whether the session of a verified token is still alive, by the store: for what must not be done with a token that
    /// was revoked a moment ago. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not revoked.
    pub async fn check_session(&self, claims: &Claims) -> Result<Option<SessionSummary>, Error> {
        self.manager.find_live(&claims.session, &claims.user).await
    }

    /// The sessions.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// The access tokens.
    #[must_use]
    pub fn tokens(&self) -> &Arc<AccessTokens> {
        &self.tokens
    }

    fn pair(&self, grant: session_core::IssuedRefreshToken) -> Result<TokenPair, TokenServiceError> {
        let session_core::IssuedRefreshToken { token, session, .. } = grant;
        let authentication = session.authentication.as_ref().ok_or(TokenServiceError::InvalidGrant)?;
        let subject = Subject { session: session.id, authentication, deadline: session.absolute_deadline() };
        let access = self.tokens.issue(&subject, self.manager.now())?;
        Ok(TokenPair { access, refresh: token.encode(), session })
    }
}

impl fmt::Debug for TokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenService")
            .field("manager", &self.manager)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
