//! For tests of applications: sessions without the forms that begin them. With the feature `test-util`.
//!
//! ```
//! use session_core::{Key, Login, SessionManager, UserId, testing};
//!
//! const CART: Key<Vec<String>> = Key::new("cart");
//!
//! # async fn demo(sessions: SessionManager) -> Result<(), Box<dyn std::error::Error>> {
//! // A user who is logged in: the `Cookie` header of each of their requests.
//! let cookie = testing::log_in(&sessions, Login::new(UserId::new("alice")?)).await?;
//!
//! // A visitor with something in the cart.
//! let cookie = testing::begin(&sessions, |session| session.insert(CART, &vec!["tea".to_owned()])).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is left out that a request does: the policy, its limits, events, and [`ManualClock`](crate::ManualClock) hold here, too.

use crate::adapter::{PresentedCookie, RequestSession};
use crate::decide::intent::Login;
use crate::error::Error;
use crate::manager::SessionManager;
use crate::session::Session;

/// Logs a user in, as the handler of a login form does once it has checked the password. Returns the value of the `Cookie` header
/// with which the browser is this user from now on.
///
/// # Errors
/// As [`SessionManager::commit`].
pub async fn log_in(sessions: &SessionManager, login: Login) -> Result<String, Error> {
    begin(sessions, |session| session.login(login)).await
}

/// Begins a session in a request without a cookie whose handler does this: logs in, or inserts values, or both. Values of a user
/// come after the login. Returns the value of the `Cookie` header for the requests that follow; it is empty if there is nothing to
/// store.
///
/// # Errors
/// What `handler` returns, or as [`SessionManager::commit`].
pub async fn begin(
    sessions: &SessionManager,
    handler: impl FnOnce(&Session) -> Result<(), Error>,
) -> Result<String, Error> {
    let request = RequestSession::new(sessions.clone(), PresentedCookie::Nothing);
    handler(request.session().await?)?;
    let (committed, headers) = request.finish().await;
    committed?;
    let cookie = headers.set_cookie.as_ref().and_then(|cookie| cookie.expose().split(';').next());
    Ok(cookie.unwrap_or_default().to_owned())
}
