//! "Your devices": the sessions of the user who is logged in.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::web::{Json as JsonResponse, Path};
use serde::Serialize;
use serde_json::{Value, json};
use session_actix::{Rejection, RejectionKind};
use session_core::{DeleteOutcome, Kind, SessionId};

use crate::caller::Caller;
use crate::error::ApiError;

#[derive(Serialize)]
pub(crate) struct Listed {
    id: SessionId,
    kind: &'static str,
    current: bool,
    created_at: i64,
    last_seen: i64,
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

pub(crate) async fn list(caller: Caller) -> Result<JsonResponse<Vec<Listed>>, ApiError> {
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

/// Ends one session. An id that is not of a session of this user is not found, whether or not another user has it.
pub(crate) async fn revoke(caller: Caller, id: Path<String>) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| ApiError::NotFound)?;
    let outcome = match &caller {
        // A browser ends its own by logging out, which removes the cookie too.
        Caller::Browser(session) if session.id() == id => {
            session.logout()?;
            DeleteOutcome::Deleted
        }
        Caller::Browser(_) | Caller::Token(_) => caller.manager().revoke(caller.user(), &id).await?,
    };
    match outcome {
        DeleteOutcome::Deleted => Ok(HttpResponse::NoContent().finish()),
        DeleteOutcome::Absent => Err(ApiError::NotFound),
    }
}

pub(crate) async fn revoke_others(caller: Caller) -> Result<JsonResponse<Value>, ApiError> {
    let current = caller.session().ok_or(RejectionKind::Unauthenticated)?;
    let ended = caller.manager().revoke_others(caller.user(), &current).await?;
    Ok(JsonResponse(json!({ "revoked": ended })))
}

pub(crate) async fn revoke_all(caller: Caller) -> Result<JsonResponse<Value>, ApiError> {
    let mut ended = 0;
    if let Caller::Browser(session) = &caller {
        // This one first: only the request that ends a session removes its cookie.
        session.logout()?;
        session.commit().await?;
        ended += 1;
    }
    ended += caller.manager().revoke_all(caller.user()).await?;
    Ok(JsonResponse(json!({ "revoked": ended })))
}

/// Client-side sessions cannot be listed.
pub(crate) async fn unsupported() -> Result<HttpResponse, Rejection> {
    Err(RejectionKind::Unsupported.into())
}
