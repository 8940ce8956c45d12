//! Device-bound sessions: the routes of the protocol, and the guard in front of others.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::routing::post;
use axum_core::response::{IntoResponse as _, Response};
use http::request::Parts;
use session_core::adapter::RequestHead as _;
use session_jwt::{Answer, DeviceBinding};

use super::respond::respond;
use crate::extract::Session;
use crate::head::Head;
use crate::rejection::Rejection;

/// The routes of [`DeviceBinding`], at its paths: of the registration, and of the renewal. **Experimental.** Merge them inside of the
/// [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// use axum::extract::State;
/// use axum::middleware::from_fn_with_state;
/// use axum::response::IntoResponse;
/// use axum::{Router, routing::{get, post}};
/// use session_core::{Login, SessionManager, UserId};
/// use session_tower::{DeviceBinding, Rejection, Session, SessionLayer, device_binding, require_device};
///
/// async fn login(State(binding): State<DeviceBinding>, session: Session) -> Result<impl IntoResponse, Rejection> {
///     session.login(Login::new(UserId::new("alice")?))?; // whoever has shown the right password
///     let offer = binding.offer(&session)?;
///     Ok(([offer], "welcome"))
/// }
///
/// fn app(sessions: SessionManager, binding: DeviceBinding) -> Router {
///     Router::new()
///         .route("/account", get(async || "yours"))
///         .layer(from_fn_with_state(binding.clone(), require_device))
///         .route("/login", post(login))
///         .with_state(binding.clone())
///         .merge(device_binding(binding))
///         .layer(SessionLayer::new(sessions))
/// }
/// ```
pub fn device_binding(binding: DeviceBinding) -> Router {
    let [registration, renewal] = binding.paths().map(str::to_owned);
    Router::new()
        .route(&registration, post(register))
        .route(&renewal, post(renew))
        .method_not_allowed_fallback(async || respond(Answer::method_not_allowed()))
        .with_state(binding)
}

type Opened = Result<Session, Rejection>;

async fn register(State(binding): State<DeviceBinding>, session: Opened, parts: Parts) -> Response {
    match session {
        Ok(session) => respond(binding.register(session.manager(), &session, &Head::from(&parts)).await),
        Err(rejection) => unopened(rejection),
    }
}

async fn renew(State(binding): State<DeviceBinding>, session: Opened, parts: Parts) -> Response {
    match session {
        Ok(session) => respond(binding.renew(session.manager(), &session, &Head::from(&parts)).await),
        Err(rejection) => unopened(rejection),
    }
}

fn unopened(rejection: Rejection) -> Response {
    DeviceBinding::answer_to(rejection.kind()).map_or_else(|| rejection.into_response(), respond)
}

/// Lets requests pass that come from the device of their session, as [`DeviceBinding::require`] says: for
/// [`from_fn_with_state`](axum::middleware::from_fn_with_state), around the routes that want it, and inside of the
/// [`SessionLayer`](crate::SessionLayer). **Experimental.** It reads the session of each request: one round trip, which extractors of the
/// same request do not repeat. The routes of the protocol pass. Handlers inside find
/// an `Extension<BindingState>`: whether the session is bound.
///
/// Leave the login and the logout outside: whoever has lost the key logs in again.
///
/// # Errors
/// [`DeviceBindingRequired`](session_core::adapter::RejectionKind::DeviceBindingRequired), and what [`Session`] is rejected with.
pub async fn require_device(
    State(binding): State<DeviceBinding>,
    session: Session,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let (mut parts, body) = request.into_parts();
    let state = {
        let head = Head::from(&parts);
        if binding.paths().contains(&head.target_path()) {
            binding.state(session.manager(), &session, &head)
        } else {
            binding.require(session.manager(), &session, &head).await?
        }
    };
    parts.extensions.insert(state);
    Ok(next.run(Request::from_parts(parts, body)).await)
}
