//! One request to an application whose sessions are in the cookie.

use session_core::adapter::RequestSession;
use session_core::{Session, SessionManager};

/// Sends this cookie, lets the application act, and gives what a test wants to know: the session, what came of the act, and
/// the cookie of the response.
pub(crate) async fn visit<T>(
    manager: &SessionManager,
    cookie: Option<String>,
    act: impl FnOnce(&Session) -> T,
) -> (Session, T, Option<String>) {
    let header = cookie.map(|cookie| format!("__Host-id={cookie}"));
    let request = RequestSession::new(manager.clone(), manager.read_cookie(header.as_deref().map(str::as_bytes)));
    let session = request.session().await.unwrap().clone();
    let acted = act(&session);
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let cookie = headers.set_cookie.map(|set| set.expose().split(['=', ';']).nth(1).unwrap().to_owned());
    (session, acted, cookie)
}
