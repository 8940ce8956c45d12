//! [`TokenService`]: short-lived access tokens, and refresh tokens whose sessions are in a store.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::adapter::PresentedCookie;
use session_core::store::Freshness;
use session_core::{
    Authentication, DeleteOutcome, EncodedToken, Error, EventKind, Grant, IssuedRefreshToken, KeyThumbprint, Login,
    Persistence, PresentedToken, Scope, SessionManager, SessionSummary, StoreErrorKind, Timestamp, UserId,
    VerifiedRefreshToken,
};

use crate::dpop::key::ProvenKey;
use crate::tokens::access_tokens::{AccessToken, AccessTokens, IssueError, Subject};
use crate::tokens::account_claims::AccountClaims;
use crate::tokens::claims::Claims;
use crate::tokens::error::VerifyError;
use crate::tokens::policy::TokenPolicyError;

/// Tells whether a user may stay logged in. Called for every refresh, so that an account that was locked or deleted, or
/// whose credentials were changed, gets no further access token.
#[async_trait]
pub trait Accounts: fmt::Debug + Send + Sync + 'static {
    /// The status of the account of `user`, whose session is `session`.
    ///
    /// # Errors
    /// If the status cannot be determined now. The refresh then fails without effect, and the client may retry it.
    async fn status(&self, user: &UserId, session: &SessionSummary) -> Result<AccountStatus, AccountsError>;

    /// What access tokens of `user` say beside who that is: roles, a tenant. Asked at each login and each refresh, so that
    /// they change with the account. `grant` is what the session was granted for. Nothing, unless an implementation says
    /// otherwise.
    ///
    /// # Errors
    /// As [`status`](Self::status); a login then begins no session.
    async fn claims(&self, user: &UserId, grant: &Grant) -> Result<AccountClaims, AccountsError> {
        let _ = (user, grant);
        Ok(AccountClaims::new())
    }
}

/// The answer of [`Accounts::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// The session may continue.
    Active,
    /// The account is locked or deleted, or its credentials are newer than the session: the session ends.
    Disabled,
}

/// The status of an account could not be determined.
#[derive(Debug, thiserror::Error)]
#[error("the status of the account could not be determined")]
pub struct AccountsError(#[source] Box<dyn StdError + Send + Sync>);

impl AccountsError {
    /// Wraps the error of the application's store or service.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// What a client gets: an access token for its requests, and a refresh token for the next pair.
#[must_use]
#[non_exhaustive]
pub struct TokenPair {
    /// For the `Authorization` header. Verified without a store.
    pub access: AccessToken,
    /// For [`TokenService::refresh`], once.
    pub refresh: EncodedToken,
    /// The session that both belong to.
    pub session: SessionSummary,
    /// What the access token may be used for.
    pub scope: Scope,
    /// The key that the access token is bound to (RFC 9449). The refresh token is, too, if the login
    /// [said so](Login::bound_to).
    pub key: Option<KeyThumbprint>,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Why there is no new pair of tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenServiceError {
    /// The refresh token is malformed, unknown, expired, revoked or already used, or the account is disabled. One answer for
    /// all of them (`invalid_grant`): the user must log in again. The events tell them apart.
    #[error("the refresh token is not valid; the user must log in again")]
    InvalidGrant,
    /// The scope that was asked for is more than was granted (`invalid_scope`).
    #[error("the scope is more than was granted")]
    InvalidScope,
    /// The login was granted for an audience that the [`TokenPolicy`](crate::TokenPolicy) does not name: a bug in the
    /// application.
    #[error("the login is for an audience that the token policy does not issue for; name it with `also_for`")]
    Audience,
    /// The session could not be read or written. Retry after [`Error::Store`] and [`Error::Entropy`];
    /// [`Error::LimitReached`] means that another session must end first.
    #[error(transparent)]
    Session(#[from] Error),
    /// The status of the account could not be determined. Retry with the same token.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The access token could not be issued. Inside the grace window, retry with the same refresh token. A login began no
    /// session then; the one that it was to replace has ended all the same.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Login, refresh and revocation with pairs of tokens. Share it behind an [`Arc`].
///
/// A refresh token is a session token of kind [`Refresh`](session_core::Kind::Refresh). Its session is listed, limited,
/// timed out and revoked like one with a cookie. A refresh counts as activity; presenting an access token does not.
///
/// | | round trips |
/// |---|---|
/// | [`verify`](Self::verify) | 0 |
/// | [`login`](Self::login) | 1 |
/// | [`refresh`](Self::refresh) | 2, also for the first replay inside the grace window, 1 for the next; plus those of [`Accounts`] |
/// | [`revoke`](Self::revoke) | 2; 1 with an access token |
/// | [`check_session`](Self::check_session) | 1 |
pub struct TokenService {
    manager: SessionManager,
    tokens: Arc<AccessTokens>,
    accounts: Arc<dyn Accounts>,
}

impl TokenService {
    /// A service with the sessions of `manager`, the access tokens of `tokens`, and the accounts of the application.
    ///
    /// # Errors
    /// [`TokenPolicyError::OutlivesIdleTimeout`] or [`TokenPolicyError::ShorterThanRefreshGrace`] if the lifetime of access
    /// tokens does not fit the policy of the sessions.
    pub fn new(
        manager: SessionManager,
        tokens: Arc<AccessTokens>,
        accounts: impl Accounts,
    ) -> Result<Self, TokenPolicyError> {
        let (lifetime, policy) = (tokens.policy().lifetime(), manager.policy());
        let idle = [Persistence::Transient, Persistence::Persistent].map(|kept| policy.timeouts(true, kept).idle);
        if idle.iter().any(|idle| lifetime >= *idle) {
            return Err(TokenPolicyError::OutlivesIdleTimeout);
        }
        if lifetime < policy.refresh_grace() {
            return Err(TokenPolicyError::ShorterThanRefreshGrace);
        }
        Ok(Self { manager, tokens, accounts: Arc::new(accounts) })
    }

    /// Begins a session. `replaces` is the refresh token that the client already has, if any: its session ends in the same
    /// atomic step. An invalid one is ignored.
    ///
    /// What [`Login::grant`] says is kept with the session. Without an audience in it, it is that of the
    /// [`TokenPolicy`](crate::TokenPolicy). If the login is [bound to](Login::bound_to) a key, both tokens are.
    ///
    /// # Errors
    /// [`TokenServiceError`]
    pub async fn login(&self, login: Login, replaces: Option<&str>) -> Result<TokenPair, TokenServiceError> {
        let replaces = replaces.and_then(|text| PresentedToken::parse(text.as_bytes()).ok());
        self.login_instead(login, replaces.as_ref(), None).await
    }

    /// As [`login`](Self::login), in place of whatever a request presented: all of these sessions end. Two more round trips
    /// for each but the first. The access token is bound to the key of the login; if that has none, to `key`.
    pub(crate) async fn login_in_place_of(
        &self,
        login: Login,
        presented: &PresentedCookie,
        key: Option<KeyThumbprint>,
    ) -> Result<TokenPair, TokenServiceError> {
        let mut tokens = presented.tokens();
        let first = tokens.next();
        let pair = self.login_instead(login, first, key).await?;
        for other in tokens {
            // The login stands. A session that could not be ended is reported, and has no cookie any more.
            let _ = self.manager.revoke_refresh_token(other).await;
        }
        Ok(pair)
    }

    async fn login_instead(
        &self,
        login: Login,
        replaces: Option<&PresentedToken>,
        key: Option<KeyThumbprint>,
    ) -> Result<TokenPair, TokenServiceError> {
        let login = self.with_audience(login)?;
        if !self.is_ours(login.granted()) {
            return Err(TokenServiceError::Audience);
        }
        // Before there is a session: without an answer there is no login.
        let claims = self.accounts.claims(login.user(), login.granted()).await?;
        let issued = self.manager.issue_refresh_token(login, replaces).await?;
        let (id, user) = (issued.session.id, issued.session.user().cloned());
        let pair = self.pair(issued, &claims, key).await;
        if let (Err(_), Some(user)) = (&pair, user) {
            // No client has its token. If this fails too, it is reported, and the session ends by its idle timeout.
            let _ = self.manager.revoke(&user, &id).await;
        }
        pair
    }

    /// Consumes a refresh token and issues the next pair. A second use inside the policy's
    /// [grace window](session_core::Policy::refresh_grace) returns the identical refresh token again. A later use fails, and
    /// once the [clock skew](session_core::Policy::max_clock_skew) has passed it is reuse, which ends the session. One that is
    /// bound to a key is not valid here.
    ///
    /// # Errors
    /// [`TokenServiceError`]. Unless it is [`InvalidGrant`](TokenServiceError::InvalidGrant), retry with the same token.
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, TokenServiceError> {
        self.refresh_with(token, None).await
    }

    /// As [`refresh`](Self::refresh), by a client that has proved to have `key`: the access token is bound to it. A refresh token
    /// that is bound to another key is not valid.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub async fn refresh_with(&self, token: &str, key: Option<&ProvenKey>) -> Result<TokenPair, TokenServiceError> {
        let token = PresentedToken::parse(token.as_bytes()).map_err(|_| TokenServiceError::InvalidGrant)?;
        let key = key.map(ProvenKey::thumbprint);
        let verified = self.verify_refresh(&PresentedCookie::Token(token), key.as_ref()).await?;
        let claims = self.claims_of(&verified).await?;
        self.rotated(verified, &claims, key).await
    }

    /// The first half of a refresh: whose token is it?
    pub(crate) async fn verify_refresh(
        &self,
        presented: &PresentedCookie,
        key: Option<&KeyThumbprint>,
    ) -> Result<VerifiedRefreshToken, TokenServiceError> {
        let verified = valid(self.manager.verify_presented(presented, key).await)?;
        let refresh = verified.ok_or(TokenServiceError::InvalidGrant)?;
        // That of another issuer with the same store.
        if !self.is_ours(refresh.grant()) {
            self.manager.report(EventKind::UnknownToken, Some(refresh.session().id), None);
            return Err(TokenServiceError::InvalidGrant);
        }
        Ok(refresh)
    }

    /// The second half: it is used up.
    pub(crate) async fn rotated(
        &self,
        refresh: VerifiedRefreshToken,
        claims: &AccountClaims,
        key: Option<KeyThumbprint>,
    ) -> Result<TokenPair, TokenServiceError> {
        let rotated = valid(self.manager.rotate(refresh).await)?.ok_or(TokenServiceError::InvalidGrant)?;
        self.pair(rotated, claims, key).await
    }

    /// The second half, if it [is settling](VerifiedRefreshToken::is_settling) where its client keeps it: it stays.
    pub(crate) async fn kept(
        &self,
        refresh: &VerifiedRefreshToken,
        claims: &AccountClaims,
        key: Option<KeyThumbprint>,
    ) -> Result<(AccessToken, Scope), TokenServiceError> {
        let session = refresh.session();
        let user = session.user().ok_or(TokenServiceError::InvalidGrant)?;
        // It may have ended while the application was asked.
        let is_alive = self.manager.find_live(&session.id, user).await?.is_some();
        if !is_alive {
            return Err(TokenServiceError::InvalidGrant);
        }
        self.access(session, refresh.grant(), refresh.scope().clone(), claims, key).await
    }

    /// In between: whether the account is in order, and what the application says of it.
    pub(crate) async fn claims_of(&self, refresh: &VerifiedRefreshToken) -> Result<AccountClaims, TokenServiceError> {
        let session = refresh.session();
        let user = session.user().ok_or(TokenServiceError::InvalidGrant)?;
        // Its access tokens would be refused.
        let proof = session.authentication.as_ref().map(Authentication::strongest);
        if proof.is_some_and(|proof| self.is_too_old(whole_seconds(proof.at))) {
            return Err(TokenServiceError::InvalidGrant);
        }
        match self.accounts.status(user, session).await? {
            AccountStatus::Active => {}
            AccountStatus::Disabled => {
                let _ = self.manager.revoke(user, &session.id).await?;
                return Err(TokenServiceError::InvalidGrant);
            }
        }
        Ok(self.accounts.claims(user, refresh.grant()).await?)
    }

    /// Logout: ends the session of a refresh token or of an access token, also of one that has expired, as long as the key
    /// ring has its key. Any other text is a no-op, not an error (RFC 7009).
    ///
    /// # Errors
    /// [`Error::Store`]. Idempotent: retry.
    pub async fn revoke(&self, token: &str) -> Result<DeleteOutcome, Error> {
        if let Ok(token) = PresentedToken::parse(token.as_bytes()) {
            return self.manager.revoke_refresh_token(&token).await;
        }
        match self.tokens.verify_at_any_time(token, self.manager.now()) {
            Ok(claims) => self.manager.revoke(&claims.user, &claims.session).await,
            Err(_) => Ok(DeleteOutcome::Absent),
        }
    }

    /// Verifies an access token. No I/O: a revocation takes effect when the token expires, at the latest after its lifetime
    /// plus the leeway. [`not_before`](session_core::Policy::not_before) takes effect at once, where it is set; a token tells
    /// the time of its login in whole seconds, so it counts as the next one if it is between two.
    ///
    /// The token is presented by whoever has it: one that is bound to a key is refused.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify(&self, access: &str) -> Result<Claims, VerifyError> {
        self.verify_with(access, None)
    }

    /// As [`verify`](Self::verify), with the proof of a key: the token must be bound to it, and to none without one.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify_with(&self, access: &str, key: Option<&ProvenKey>) -> Result<Claims, VerifyError> {
        self.young_enough(self.tokens.verify_with(access, key, self.manager.now())?)
    }

    /// For whichever audience of ours it is, and whatever it is bound to.
    pub(crate) fn verify_for_any(&self, access: &str) -> Result<Claims, VerifyError> {
        self.young_enough(self.tokens.verify_for_any(access, self.manager.now())?)
    }

    /// The session of a verified token, loaded from the store; `None` if it has ended. For actions that must not be possible
    /// after a revocation. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: an unavailable session is not a revoked one.
    pub async fn check_session(&self, claims: &Claims) -> Result<Option<SessionSummary>, Error> {
        self.session_of(claims, Freshness::Latest).await
    }

    /// As [`check_session`](Self::check_session). With [`Freshness::Cached`], a copy will do, if the store has one that is not too
    /// old: then it costs no round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: an unavailable session is not a revoked one.
    pub async fn session_of(&self, claims: &Claims, freshness: Freshness) -> Result<Option<SessionSummary>, Error> {
        self.manager.find(&claims.session, &claims.user, freshness).await
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

    fn young_enough(&self, claims: Claims) -> Result<Claims, VerifyError> {
        if self.is_too_old(claims.authenticated_at) { Err(VerifyError::NotBefore) } else { Ok(claims) }
    }

    /// Whether a session is dead whose user logged in at `authenticated_at`.
    fn is_too_old(&self, authenticated_at: Timestamp) -> bool {
        authenticated_at < self.manager.policy().not_before()
    }

    /// The login, granted for our audience unless it is for others: no other issuer with the same store redeems its token.
    fn with_audience(&self, login: Login) -> Result<Login, TokenServiceError> {
        if !login.granted().audiences().is_empty() {
            return Ok(login);
        }
        let grant = login.granted().clone().with_audience(self.tokens.policy().audience());
        grant.map(|grant| login.grant(grant)).map_err(|_| TokenServiceError::Audience)
    }

    /// Whether all that was granted is ours to grant.
    pub(crate) fn is_ours(&self, grant: &Grant) -> bool {
        grant.audiences().iter().all(|audience| self.tokens.policy().issues_for(audience))
    }

    async fn pair(
        &self,
        refresh: IssuedRefreshToken,
        claims: &AccountClaims,
        key: Option<KeyThumbprint>,
    ) -> Result<TokenPair, TokenServiceError> {
        let IssuedRefreshToken { token, session, grant, scope, key: bound, .. } = refresh;
        let key = bound.or(key);
        let (access, scope) = self.access(&session, &grant, scope, claims, key).await?;
        Ok(TokenPair { access, refresh: token.encode(), session, scope, key })
    }

    /// An access token, and its scope.
    async fn access(
        &self,
        session: &SessionSummary,
        grant: &Grant,
        scope: Scope,
        claims: &AccountClaims,
        key: Option<KeyThumbprint>,
    ) -> Result<(AccessToken, Scope), TokenServiceError> {
        let authentication = session.authentication.as_ref().ok_or(TokenServiceError::InvalidGrant)?;
        let scope = claims.limit(scope);
        let mut subject = Subject::new(session.id, authentication, session.absolute_deadline());
        subject.client = grant.client();
        subject.audiences = grant.audiences();
        subject.scope = Some(scope.as_str()).filter(|scope| !scope.is_empty());
        subject.key = key;
        subject.claims = Some(claims);
        Ok((self.tokens.issue(&subject, self.manager.now()).await?, scope))
    }
}

/// As a token tells it.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis() - time.as_millis().rem_euclid(1000))
}

/// A token that was used up is invalid, also while that is not taken for reuse: it never yields its successor again. So is that of
/// a session that cannot be read.
fn valid<T>(answer: Result<T, Error>) -> Result<T, TokenServiceError> {
    // Reported. No repetition helps its client, and a login does.
    let is_unreadable = |error: &Error| matches!(error, Error::Store(error) if error.kind() == StoreErrorKind::Corrupt);
    answer.map_err(|error| {
        if matches!(error, Error::Superseded) || is_unreadable(&error) {
            TokenServiceError::InvalidGrant
        } else {
            error.into()
        }
    })
}

impl fmt::Debug for TokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenService")
            .field("manager", &self.manager)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
