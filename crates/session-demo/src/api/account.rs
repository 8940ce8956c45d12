//! Login, logout, and who is logged in.

use axum::Json as JsonResponse;
use axum::extract::Extension;
use axum::extract::FromRequestParts as _;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Value, json};
use session_core::{SessionId, SessionSummary};
use session_tower::{Authenticated, Bearer, BindingState, Fresh, Session};

use super::error::{ApiError, Json};
use crate::accounts::{Credentials, Reauthentication, device};
use crate::actions;
use crate::caller::access_token;

pub(super) async fn login(
    mut parts: Parts,
    Json(credentials): Json<Credentials>,
) -> Result<impl IntoResponse, ApiError> {
    let login = credentials.login(device(&parts)).ok_or(ApiError::InvalidCredentials)?;
    let (session, offer) = actions::log_in(&mut parts, login).await?;
    Ok((offer, JsonResponse(json!({ "user": credentials.username, "session_id": session.id() }))))
}

pub(super) async fn logout(session: Session) -> Result<StatusCode, ApiError> {
    session.logout()?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session of the request; all fields are `null` without one. Times are in milliseconds since the epoch.
#[derive(Default, Serialize)]
pub(super) struct Me {
    user: Option<String>,
    session_id: Option<SessionId>,
    created_at: Option<i64>,
    last_seen: Option<i64>,
    idle_deadline: Option<i64>,
    absolute_deadline: Option<i64>,
}

impl From<&SessionSummary> for Me {
    fn from(session: &SessionSummary) -> Self {
        Self {
            user: session.user().map(|user| user.as_str().to_owned()),
            session_id: Some(session.id),
            created_at: Some(session.created_at.as_millis()),
            last_seen: Some(session.last_seen.as_millis()),
            idle_deadline: Some(session.deadline().as_millis()),
            absolute_deadline: Some(session.absolute_deadline().as_millis()),
        }
    }
}

pub(super) async fn me(mut parts: Parts) -> Result<JsonResponse<Me>, ApiError> {
    if let Some(bearer) = access_token(&mut parts).await? {
        return Ok(JsonResponse(bearer.session().into()));
    }
    let session = Session::from_request_parts(&mut parts, &()).await?;
    Ok(JsonResponse(session.info().as_ref().map(Me::from).unwrap_or_default()))
}

/// Whether the session is bound to its device; `null` without `--bind`.
pub(super) async fn binding(state: Option<Extension<BindingState>>) -> JsonResponse<Value> {
    let state = state.map(|Extension(state)| match state {
        BindingState::Unbound => "unbound",
        BindingState::Registered => "registered",
        BindingState::Bound => "bound",
        BindingState::Missing => "missing",
    });
    JsonResponse(json!({ "state": state }))
}

/// What the access token says. Makes no store call, and so does not notice a revocation.
pub(super) async fn whoami(bearer: Bearer) -> JsonResponse<Value> {
    JsonResponse(json!({
        "user": bearer.user.as_str(),
        "session_id": bearer.session,
        "issued_at": bearer.issued_at.as_millis(),
        "expires_at": bearer.expires_at.as_millis(),
    }))
}

pub(super) async fn reauthenticate(
    session: Authenticated,
    Json(reauthentication): Json<Reauthentication>,
) -> Result<StatusCode, ApiError> {
    let step_up = reauthentication.step_up(session.user()).ok_or(ApiError::InvalidCredentials)?;
    session.step_up(step_up)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Within 5 minutes of a login or reauthentication.
pub(super) async fn sensitive(session: Fresh<300>) -> JsonResponse<Value> {
    JsonResponse(json!({ "user": session.user().as_str(), "secret": "the recovery code is 1234-5678" }))
}
