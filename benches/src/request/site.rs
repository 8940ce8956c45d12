//! The application that requests are measured on, written as users of the library write one.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use session_core::{Clock as _, Login, OsEntropy, SessionManager, SessionSummary, SystemClock, UserId};
use session_jwt::{
    AccessTokens, AccountStatus, AccountsError, Algorithm, Attempt, KeyRing, Rotation, TokenPolicy, TokenService,
};
use session_tower::{
    Authenticator, Bearer, BearerLayer, Rejection, RejectionKind, Session, SessionLayer, SessionService, TokenRoutes,
};
use tower::Layer as _;

use crate::op::Failure;
use crate::payload::{CART, LAST_VIEWED, PROFILE, Payload, VISITS};

/// An application with sessions. `POST /populate` creates an anonymous session that holds the payload; the other routes
/// are measured.
///
/// The layer wraps the whole router: inside `Router::layer`, axum would box each service and each future once more.
pub(crate) fn site(manager: SessionManager) -> SessionService<Router> {
    let pages = Router::new()
        .route("/untouched", get(untouched))
        .route("/anonymous", get(anonymous))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/count", post(count))
        .route("/populate", post(populate))
        .route("/login/{user}", post(login))
        .route("/logout", post(logout));
    SessionLayer::new(manager).layer(pages)
}

/// An application with access and refresh tokens.
pub(crate) fn tokens(manager: SessionManager) -> Result<Router, Failure> {
    let ring = KeyRing::generate(Algorithm::Hs256, Rotation::default(), SystemClock.now(), &OsEntropy)?;
    let tokens = AccessTokens::new(TokenPolicy::new("https://login.example", "https://api.example")?, ring)?;
    let service = Arc::new(TokenService::new(manager, Arc::new(tokens), AllowAll)?);
    let api = Router::new().route("/me", get(me)).layer(BearerLayer::new(Arc::clone(&service)));
    Ok(api.merge(TokenRoutes::new(service, AllowAll).router()))
}

async fn untouched() -> &'static str {
    "ok"
}

async fn anonymous(session: Session) -> &'static str {
    if session.user().is_some() { "authenticated" } else { "ok" }
}

async fn read(session: Session) -> Result<String, Rejection> {
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, Rejection> {
    session.update(VISITS, |visits| *visits += 1)?;
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

/// Like [`write`], for concurrent requests: the new value is known only once it is committed.
async fn count(session: Session) -> Result<String, Rejection> {
    session.update(VISITS, |visits| *visits += 1)?;
    session.commit().await?;
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

async fn populate(session: Session, Json(payload): Json<Payload>) -> Result<&'static str, Rejection> {
    session.insert(CART, &payload.cart)?;
    session.insert(PROFILE, &payload.profile)?;
    session.insert(VISITS, &payload.visits)?;
    session.insert(LAST_VIEWED, &payload.last_viewed)?;
    Ok("ok")
}

/// Carries all values over: a shop does not empty the cart at login.
async fn login(session: Session, Path(user): Path<String>) -> Result<&'static str, Rejection> {
    let user = UserId::new(user).map_err(|_| RejectionKind::Unauthenticated)?;
    let login = Login::new(user).method("pwd");
    session.login(login.carry_over(CART).carry_over(PROFILE).carry_over(VISITS).carry_over(LAST_VIEWED))?;
    Ok("ok")
}

async fn logout(session: Session) -> Result<&'static str, Rejection> {
    session.logout()?;
    Ok("ok")
}

async fn me(bearer: Bearer) -> String {
    bearer.user.as_str().to_owned()
}

/// Accepts every login: checking passwords is not measured.
#[derive(Clone, Copy, Debug)]
struct AllowAll;

#[derive(Deserialize)]
struct Credentials {
    username: String,
}

#[async_trait]
impl Authenticator for AllowAll {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        Ok(UserId::new(credentials.username).ok().map(|user| Login::new(user).method("pwd")).into())
    }
}

#[async_trait]
impl session_jwt::Accounts for AllowAll {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}
