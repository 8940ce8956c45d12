//! The route of a back-channel logout.

use actix_web::Resource;
use session_jwt::BackchannelLogout;

use super::respond::post;
use crate::head::Head;

/// The back-channel logout URI of a client of an OpenID provider, for an application of actix-web: `POST path`, a form with
/// `logout_token`. [`BackchannelLogout`] says what ends, and what is answered.
///
/// Mount it outside the [`SessionMiddleware`](crate::SessionMiddleware): the request comes from a server, which has no cookie
/// and sends no `Origin`.
///
/// ```
/// use actix_web::{App, web};
/// use async_trait::async_trait;
/// use session_actix::{SessionMiddleware, backchannel_logout};
/// use session_core::{SessionManager, UserId};
/// use session_jwt::{AccountsError, BackchannelLogout, LogoutClaims, ProviderUsers, RemoteVerifier};
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
/// # fn demo(sessions: SessionManager, provider: RemoteVerifier) {
/// // Once, not in each worker.
/// let logout = BackchannelLogout::new(sessions.clone(), provider, Users);
/// // In each worker.
/// let app = App::new()
///     .service(backchannel_logout("/backchannel-logout", logout.clone()))
///     .service(web::scope("").wrap(SessionMiddleware::new(sessions.clone())));
/// # }
/// ```
pub fn backchannel_logout(path: &str, logout: BackchannelLogout) -> Resource {
    post(path, async move |request, body| logout.answer(&Head(request), &body).await)
}
