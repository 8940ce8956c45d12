//! Login, logout, and who is logged in.

use actix_web::http::header::USER_AGENT;
use actix_web::web::{Json as JsonResponse, ReqData};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse};
use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Value, json};
use session_actix::{Authenticated, Authenticator, Bearer, BindingState, Fresh, Session};
use session_core::{Device, Key, SessionId, SessionSummary};
use session_demo::accounts::{Credentials, Reauthentication};
use session_demo::bound::Bound;
use session_jwt::{AccountsError, Attempt};

use crate::body::Json;
use crate::caller::access_token;
use crate::error::ApiError;

/// What an anonymous user collects and keeps at login. Of any shape, because the API stores any value.
const CART: Key<Value> = Key::new("cart");
/// The counter of the demo's page.
const COUNTER: Key<u64> = Key::new("counter");

/// The session is asked for when the password is right: a failed attempt does not touch it.
///
/// Commits, because the answer depends on the session limit.
pub(crate) async fn login(
    request: HttpRequest,
    Json(credentials): Json<Credentials>,
) -> Result<HttpResponse, ApiError> {
    let login = credentials.login(device(&request)).ok_or(ApiError::InvalidCredentials)?;
    let session = Session::extract(&request).await?;
    session.login(login.carry_over(CART).carry_over(COUNTER))?;
    let bound = request.app_data::<Bound>();
    let offer = bound.map(|bound| bound.binding().offer(&session)).transpose()?;
    session.commit().await?;
    let mut response = HttpResponse::Ok();
    if let Some(offer) = offer {
        response.insert_header(offer);
    }
    Ok(response.json(json!({ "user": credentials.username, "session_id": session.id() })))
}

/// Whether the session is bound to its device; `null` without `--bind`.
pub(crate) async fn binding(state: Option<ReqData<BindingState>>) -> JsonResponse<Value> {
    let state = state.map(|state| match *state {
        BindingState::Unbound => "unbound",
        BindingState::Registered => "registered",
        BindingState::Bound => "bound",
        BindingState::Missing => "missing",
    });
    JsonResponse(json!({ "state": state }))
}

/// The other end of the connection, for the list of devices. Behind a proxy that is the proxy.
fn device(request: &HttpRequest) -> Device {
    let mut device = Device::new();
    if let Some(user_agent) = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()) {
        device = device.with_user_agent(user_agent);
    }
    match request.peer_addr() {
        Some(address) => device.with_ip(address.ip().to_canonical()),
        None => device,
    }
}

/// For the token routes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts;

#[async_trait(?Send)]
impl Authenticator for Accounts {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, request: &HttpRequest) -> Result<Attempt, AccountsError> {
        Ok(credentials.login(device(request)).into())
    }
}

pub(crate) async fn logout(session: Session) -> Result<HttpResponse, ApiError> {
    session.logout()?;
    Ok(HttpResponse::NoContent().finish())
}

/// The session of the request; all fields are `null` without one. Times are in milliseconds since the epoch.
#[derive(Default, Serialize)]
pub(crate) struct Me {
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

pub(crate) async fn me(request: HttpRequest) -> Result<JsonResponse<Me>, ApiError> {
    if let Some(bearer) = access_token(&request).await? {
        return Ok(JsonResponse(bearer.session().into()));
    }
    let session = Session::extract(&request).await?;
    Ok(JsonResponse(session.info().as_ref().map(Me::from).unwrap_or_default()))
}

/// What the access token says. Makes no store call, and so does not notice a revocation.
pub(crate) async fn whoami(bearer: Bearer) -> JsonResponse<Value> {
    JsonResponse(json!({
        "user": bearer.user.as_str(),
        "session_id": bearer.session,
        "issued_at": bearer.issued_at.as_millis(),
        "expires_at": bearer.expires_at.as_millis(),
    }))
}

pub(crate) async fn reauthenticate(
    session: Authenticated,
    Json(reauthentication): Json<Reauthentication>,
) -> Result<HttpResponse, ApiError> {
    let step_up = reauthentication.step_up(session.user()).ok_or(ApiError::InvalidCredentials)?;
    session.step_up(step_up)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Within 5 minutes of a login or reauthentication.
pub(crate) async fn sensitive(session: Fresh<300>) -> JsonResponse<Value> {
    JsonResponse(json!({ "user": session.user().as_str(), "secret": "the recovery code is 1234-5678" }))
}
