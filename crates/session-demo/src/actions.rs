//! What the site does with sessions, for pages and API alike.

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use serde_json::Value;
use session_core::{DeleteOutcome, Key, Login, SessionId};
use session_tower::{DeviceBinding, Rejection, RejectionKind, Session};

use crate::bound::{Bound, Offer};
use crate::caller::Caller;

/// What an anonymous user collects and keeps at login. Of any shape, because the API stores any value.
pub(crate) const CART: Key<Value> = Key::new("cart");
/// The counter of the page.
pub(crate) const COUNTER: Key<u64> = Key::new("counter");

/// Logs in, after the password was checked: a failed attempt does not touch the session.
///
/// Commits, because the answer depends on the session limit.
pub(crate) async fn log_in(parts: &mut Parts, login: Login) -> Result<(Session, Offer), Rejection> {
    let session = Session::from_request_parts(parts, &()).await?;
    session.login(login.carry_over(CART).carry_over(COUNTER))?;
    let offer = Bound::offer(parts.extensions.get::<DeviceBinding>(), &session)?;
    session.commit().await?;
    Ok((session, offer))
}

/// Ends one session of the user. A browser ends its own by logging out, which removes the cookie too.
pub(crate) async fn revoke(caller: &Caller, id: &SessionId) -> Result<DeleteOutcome, Rejection> {
    match caller {
        Caller::Browser(session) if session.id() == *id => {
            session.logout()?;
            Ok(DeleteOutcome::Deleted)
        }
        Caller::Browser(_) | Caller::Token(_) => Ok(caller.manager().revoke(caller.user(), id).await?),
    }
}

/// Ends all sessions of the user except the current one. Returns how many.
pub(crate) async fn revoke_others(caller: &Caller) -> Result<usize, Rejection> {
    let current = caller.session().ok_or(RejectionKind::Unauthenticated)?;
    Ok(caller.manager().revoke_others(caller.user(), &current).await?)
}

/// Ends all sessions of the user, including the current one. Returns how many.
pub(crate) async fn revoke_all(caller: &Caller) -> Result<usize, Rejection> {
    let mut ended = 0;
    if let Caller::Browser(session) = caller {
        // This one first: only the request that ends a session removes its cookie.
        session.logout()?;
        session.commit().await?;
        ended += 1;
    }
    Ok(ended + caller.manager().revoke_all(caller.user()).await?)
}
