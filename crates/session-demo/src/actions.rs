//! What the site does with sessions, for pages and API alike.

use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::Value;
use session_core::{DeleteOutcome, Key, Login, SessionId, StepUp};
use session_tower::{Authenticated, Rejection, Session};

use crate::accounts;
use crate::caller::Caller;
use crate::client::Client;

/// What a visitor collects, and keeps when they log in. Anything, since the API lets anybody store anything.
pub(crate) const CART: Key<Value> = Key::new("cart");

/// What somebody says to log in.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) remember: bool,
}

/// Why somebody did not get in.
pub(crate) enum Refused {
    /// The name or the password is wrong.
    Credentials,
    /// The session says no: too many of them, or the store is down.
    Session(Rejection),
}

impl<E: Into<Rejection>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Session(error.into())
    }
}

/// Checks the password, and only then asks for the session: an attempt that fails does not touch it.
///
/// Commits, because the answer depends on whether there was room under the session limit.
pub(crate) async fn sign_in(parts: &mut Parts, client: Client, said: &Credentials) -> Result<Session, Refused> {
    let user = accounts::verify(&said.username, &said.password).ok_or(Refused::Credentials)?;
    let session = Session::from_request_parts(parts, &()).await?;
    let mut login = Login::new(user).method("pwd").device(client.device()).carry_over(CART);
    if said.remember {
        login = login.remember();
    }
    session.login(login)?;
    session.commit().await?;
    Ok(session)
}

/// Takes the password of the user who is logged in once more.
pub(crate) fn reauthenticate(session: &Authenticated, password: &str) -> Result<(), Refused> {
    let user = accounts::verify(session.user().as_str(), password).ok_or(Refused::Credentials)?;
    Ok(session.step_up(StepUp::new(user).method("pwd"))?)
}

/// Ends one session of the user. The current one of a browser by logging out, which removes the cookie too.
pub(crate) async fn revoke(caller: &Caller, id: &SessionId) -> Result<DeleteOutcome, Rejection> {
    match caller {
        Caller::Browser(session) if session.id().as_ref() == Some(id) => {
            session.logout()?;
            Ok(DeleteOutcome::Deleted)
        }
        Caller::Browser(_) | Caller::Token(_) => Ok(caller.manager().revoke(caller.user(), id).await?),
    }
}

/// Ends all sessions of the user but the current one. Returns how many ended.
pub(crate) async fn revoke_others(caller: &Caller) -> Result<usize, Rejection> {
    let current = caller.session().ok_or(Rejection::Unauthenticated)?;
    Ok(caller.manager().revoke_others(caller.user(), &current).await?)
}

/// Ends all sessions of the user, this one included. Returns how many ended.
pub(crate) async fn revoke_all(caller: &Caller) -> Result<usize, Rejection> {
    let mut ended = 0;
    if let Caller::Browser(session) = caller {
        // First this one, since only the request that ends a session removes its cookie.
        session.logout()?;
        session.commit().await?;
        ended += 1;
    }
    Ok(ended + caller.manager().revoke_all(caller.user()).await?)
}
