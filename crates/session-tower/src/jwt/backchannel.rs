//! The route of a back-channel logout.

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{MethodRouter, post};
use axum_core::response::Response;
use http::request::Parts;
use session_jwt::{Answer, BackchannelLogout};

use super::respond::{Content, MAX_BODY, content, respond, unread};
use crate::head::Head;

/// The back-channel logout URI of a client of an OpenID provider, for an axum application: `POST`, a form with `logout_token`.
/// [`BackchannelLogout`] says what ends, and what is answered.
///
/// Mount it outside the [`SessionLayer`](crate::SessionLayer): the request comes from a server, which has no cookie and sends
/// no `Origin`.
///
/// ```
/// use async_trait::async_trait;
/// use axum::Router;
/// use session_core::{SessionManager, UserId};
/// use session_jwt::{AccountsError, BackchannelLogout, LogoutClaims, ProviderUsers, RemoteVerifier};
/// use session_tower::{SessionLayer, backchannel_logout};
///
/// #[derive(Debug)]
/// struct Users;
///
/// #[async_trait]
/// impl ProviderUsers for Users {
///     async fn user(&self, subject: &str, _: &LogoutClaims) -> Result<Option<UserId>, AccountsError> {
///         Ok(UserId::new(subject).ok()) // or ask your database of users
///     }
/// }
///
/// fn app(pages: Router, sessions: SessionManager, provider: RemoteVerifier) -> Router {
///     let logout = BackchannelLogout::new(sessions.clone(), provider, Users);
///     pages.layer(SessionLayer::new(sessions)).route("/backchannel-logout", backchannel_logout(logout))
/// }
/// ```
pub fn backchannel_logout(logout: BackchannelLogout) -> MethodRouter {
    post(log_out)
        .fallback(async || respond(Answer::method_not_allowed()))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(logout)
}

async fn log_out(State(logout): State<BackchannelLogout>, parts: Parts, body: Content) -> Response {
    respond(match content(body) {
        Ok(body) => logout.answer(&Head::from(&parts), &body).await,
        Err(status) => unread(status),
    })
}
