//! What applications have that serve the token routes of the suite, whichever the framework: a token service, and accounts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Failure, TokenRequest};
use session_core::{Login, OsEntropy, Persistence, SessionManager, SessionSummary, UserId};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, Attempt, KeyRing, Rotation, TokenPolicy,
    TokenService,
};

/// Accounts that are all in order; a login is right, and is this one.
#[derive(Clone, Debug)]
pub(super) struct Application {
    login: Option<Login>,
}

impl Application {
    /// The application that gets `request`.
    pub(super) fn of(request: &TokenRequest) -> Self {
        match request {
            TokenRequest::LogIn { login, .. } => Self { login: Some(login.clone()) },
            TokenRequest::Refresh { .. } | TokenRequest::Revoke { .. } => Self { login: None },
        }
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.login.clone().into()
    }
}

#[async_trait]
impl Accounts for Application {
    async fn status(&self, _user: &UserId, _session: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

/// Over this manager, with keys of its own: the suite looks at no signature.
pub(super) fn token_service(manager: SessionManager, accounts: Application) -> Result<Arc<TokenService>, Failure> {
    let failure = |error: &dyn std::error::Error| Failure::new(error.to_string());
    let policy = manager.policy();
    let idle = policy.timeouts(true, Persistence::Transient).idle;
    let lifetime = Duration::from_secs(300).min(idle / 2).max(policy.refresh_grace()).max(Duration::from_secs(1));
    let policy = TokenPolicy::builder("https://login.example", "https://api.example")
        .lifetime(Duration::from_secs(lifetime.as_secs()))
        .build()
        .map_err(|error| failure(&error))?;
    let ring = KeyRing::generate(Algorithm::Hs256, Rotation::default(), manager.now(), &OsEntropy);
    let tokens = AccessTokens::new(policy, ring.map_err(|error| failure(&error))?).map_err(|error| failure(&error))?;
    TokenService::new(manager, Arc::new(tokens), accounts).map(Arc::new).map_err(|error| failure(&error))
}

/// Path and form of `request`, as [`TokenRoutes`](session_tower::TokenRoutes) serve them at `/token`.
pub(super) fn path_and_form(request: TokenRequest) -> (&'static str, String) {
    // Tokens are base64url, which needs no escapes.
    match request {
        TokenRequest::LogIn { replaces, .. } if replaces.is_empty() => ("/token", "grant_type=password".to_owned()),
        TokenRequest::LogIn { replaces, .. } => ("/token", format!("grant_type=password&refresh_token={replaces}")),
        TokenRequest::Refresh { refresh_token } => {
            ("/token", format!("grant_type=refresh_token&refresh_token={refresh_token}"))
        }
        TokenRequest::Revoke { token } => ("/token/revoke", format!("token={token}")),
    }
}
