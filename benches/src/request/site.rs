//! An application with sessions, as an application writes it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use session_core::{Clock as _, Login, OsEntropy, SessionManager, SessionSummary, SystemClock, UserId};
use session_jwt::{
    AccessTokens, AccountStatus, AccountsError, Algorithm, KeyRing, Rotation, TokenPolicy, TokenService,
};
use session_tower::{
    Authenticator, Bearer, BearerLayer, Rejection, Session, SessionLayer, SessionService, TokenRoutes,
};
use tower::Layer as _;

use crate::op::Failure;
use crate::payload::{CART, LAST_VIEWED, PROFILE, Payload, VISITS};

/// The application. `POST /fill` begins a visitor's session with the payload; what else there is, is measured.
///
/// The layer is around the whole router, where it costs what it costs: for one inside, axum boxes each service and each
/// future once more.
pub(crate) fn site(manager: SessionManager) -> SessionService<Router> {
    let pages = Router::new()
        .route("/untouched", get(untouched))
        .route("/anonymous", get(anonymous))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/count", post(count))
        .route("/fill", post(fill))
        .route("/login/{user}", post(login))
        .route("/logout", post(logout));
    SessionLayer::new(manager).layer(pages)
}

/// The application of the hybrid.
pub(crate) fn tokens(manager: SessionManager) -> Result<Router, Failure> {
    let ring = KeyRing::generate(Algorithm::Hs256, Rotation::default(), SystemClock.now(), &OsEntropy)?;
    let tokens = AccessTokens::new(TokenPolicy::new("https://login.example", "https://api.example")?, ring)?;
    let hybrid = Arc::new(TokenService::new(manager, Arc::new(tokens), Everybody)?);
    let api = Router::new().route("/me", get(me)).layer(BearerLayer::new(Arc::clone(&hybrid)));
    Ok(api.merge(TokenRoutes::new(hybrid, Everybody).router()))
}

async fn untouched() -> &'static str {
    "ok"
}

async fn anonymous(session: Session) -> &'static str {
    if session.user().is_some() { "somebody" } else { "ok" }
}

async fn read(session: Session) -> Result<String, Rejection> {
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, Rejection> {
    session.update(VISITS, |visits| *visits += 1)?;
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

/// As [`write`], where others do the same at the same time: which number it led to is known when it is committed.
async fn count(session: Session) -> Result<String, Rejection> {
    session.update(VISITS, |visits| *visits += 1)?;
    session.commit().await?;
    Ok(session.get(VISITS)?.unwrap_or_default().to_string())
}

async fn fill(session: Session, Json(payload): Json<Payload>) -> Result<&'static str, Rejection> {
    session.insert(CART, &payload.cart)?;
    session.insert(PROFILE, &payload.profile)?;
    session.insert(VISITS, &payload.visits)?;
    session.insert(LAST_VIEWED, &payload.last_viewed)?;
    Ok("ok")
}

/// Keeps the values: a shop does not empty the cart of somebody who logs in.
async fn login(session: Session, Path(user): Path<String>) -> Result<&'static str, Rejection> {
    let user = UserId::new(user).map_err(|_| Rejection::Unauthenticated)?;
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

/// Lets everybody in: passwords are not what is measured.
#[derive(Clone, Copy, Debug)]
struct Everybody;

#[derive(Deserialize)]
struct Credentials {
    username: String,
}

#[async_trait]
impl Authenticator for Everybody {
    type Credentials = Credentials;

    async fn authenticate(&self, said: Credentials, _: &Parts) -> Result<Option<Login>, AccountsError> {
        Ok(UserId::new(said.username).ok().map(|user| Login::new(user).method("pwd")))
    }
}

#[async_trait]
impl session_jwt::Accounts for Everybody {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}
