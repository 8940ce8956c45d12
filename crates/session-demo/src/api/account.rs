//! Login, logout, and who is logged in.

use axum::Json as JsonResponse;
use axum::extract::FromRequestParts as _;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session_core::{SessionId, SessionSummary, Timestamp};
use session_tower::{Authenticated, Bearer, Fresh, Session};

use super::Json;
use super::error::ApiError;
use crate::actions::{self, Credentials};
use crate::caller;
use crate::client::Client;

pub(super) async fn login(
    client: Client,
    mut parts: Parts,
    Json(said): Json<Credentials>,
) -> Result<JsonResponse<Value>, ApiError> {
    let session = actions::sign_in(&mut parts, client, &said).await.map_err(ApiError::refused)?;
    Ok(JsonResponse(json!({ "user": said.username, "session_id": session.id() })))
}

pub(super) async fn logout(session: Session) -> Result<StatusCode, ApiError> {
    session.logout()?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session of the request. All `null` for a visitor who has none; times in milliseconds since the epoch.
#[derive(Serialize)]
pub(super) struct Me {
    user: Option<String>,
    session_id: Option<SessionId>,
    created_at: Option<i64>,
    last_seen: Option<i64>,
    idle_deadline: Option<i64>,
    absolute_deadline: Option<i64>,
}

impl Me {
    fn of(info: Option<&SessionSummary>) -> JsonResponse<Self> {
        let authentication = info.and_then(|info| info.authentication.as_ref());
        JsonResponse(Self {
            user: authentication.map(|authentication| authentication.user.as_str().to_owned()),
            session_id: info.map(|info| info.id),
            created_at: info.map(|info| info.created_at).map(Timestamp::as_millis),
            last_seen: info.map(|info| info.last_seen).map(Timestamp::as_millis),
            idle_deadline: info.map(|info| info.deadline()).map(Timestamp::as_millis),
            absolute_deadline: info.map(|info| info.absolute_deadline()).map(Timestamp::as_millis),
        })
    }
}

pub(super) async fn me(mut parts: Parts) -> Result<JsonResponse<Me>, ApiError> {
    if let Some(bearer) = caller::token(&mut parts).await? {
        return Ok(Me::of(Some(bearer.session())));
    }
    let session = Session::from_request_parts(&mut parts, &()).await?;
    Ok(Me::of(session.info().as_ref()))
}

/// What the access token says. Asks no store, and so does not notice that the session was ended.
pub(super) async fn whoami(bearer: Bearer) -> JsonResponse<Value> {
    JsonResponse(json!({
        "user": bearer.user.as_str(),
        "session_id": bearer.session,
        "issued_at": bearer.issued_at.as_millis(),
        "expires_at": bearer.expires_at.as_millis(),
    }))
}

#[derive(Deserialize)]
pub(super) struct Proof {
    password: String,
}

pub(super) async fn reauthenticate(session: Authenticated, Json(proof): Json<Proof>) -> Result<StatusCode, ApiError> {
    actions::reauthenticate(&session, &proof.password).map_err(ApiError::refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Within 5 minutes of a login or reauthentication.
pub(super) async fn sensitive(session: Fresh<300>) -> JsonResponse<Value> {
    JsonResponse(json!({ "user": session.user().as_str(), "secret": "the recovery code is 1234-5678" }))
}
