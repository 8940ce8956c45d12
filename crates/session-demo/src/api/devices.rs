//! "Your devices": the sessions of the user who is logged in.

use std::net::IpAddr;

use axum::Json as JsonResponse;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use session_core::{DeleteOutcome, Kind, SessionId};
use session_tower::{Rejection, RejectionKind};

use super::error::ApiError;
use crate::actions;
use crate::caller::Caller;

#[derive(Serialize)]
pub(super) struct Listed {
    id: SessionId,
    kind: &'static str,
    current: bool,
    created_at: i64,
    last_seen: i64,
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

pub(super) async fn list(caller: Caller) -> Result<JsonResponse<Vec<Listed>>, ApiError> {
    let current = caller.session();
    let sessions = caller.manager().list(caller.user()).await?;
    let listed = sessions.into_iter().map(|listed| Listed {
        id: listed.id,
        kind: match listed.kind {
            Kind::Cookie => "cookie",
            Kind::Refresh => "refresh_token",
        },
        current: Some(listed.id) == current,
        created_at: listed.created_at.as_millis(),
        last_seen: listed.last_seen.as_millis(),
        user_agent: listed.device.user_agent().map(str::to_owned),
        ip: listed.device.ip(),
    });
    Ok(JsonResponse(listed.collect()))
}

/// An id that is not of a session of this user is not found, whether or not another user has it.
pub(super) async fn revoke(caller: Caller, id: Result<Path<String>, PathRejection>) -> Result<StatusCode, ApiError> {
    let id: SessionId = id.ok().and_then(|id| id.parse().ok()).ok_or(ApiError::NotFound)?;
    match actions::revoke(&caller, &id).await? {
        DeleteOutcome::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteOutcome::Absent => Err(ApiError::NotFound),
    }
}

pub(super) async fn revoke_others(caller: Caller) -> Result<JsonResponse<Value>, ApiError> {
    Ok(JsonResponse(json!({ "revoked": actions::revoke_others(&caller).await? })))
}

pub(super) async fn revoke_all(caller: Caller) -> Result<JsonResponse<Value>, ApiError> {
    Ok(JsonResponse(json!({ "revoked": actions::revoke_all(&caller).await? })))
}

/// Client-side sessions cannot be listed.
pub(super) async fn unsupported() -> Rejection {
    RejectionKind::Unsupported.into()
}
