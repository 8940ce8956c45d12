//! What must be seen nowhere.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use session_core::SessionId;
use session_core::adapter::RequestSession;

use super::browser::Browser;
use super::client::Client as _;
use super::node::{InjectedFault, Node};
use super::support::Note;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure};

/// A node, and alice's session in it: its id and the text of its token.
async fn logged_in(env: &Env) -> Result<(Node, SessionId, String), Failure> {
    let (node, browser) = Browser::of_alice(env).await?;
    browser.set_note(Note::Mine).await?;
    Ok((node, browser.id()?, browser.token()))
}

pub(super) async fn store_never_sees_a_token(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let stored = node.stored(&id).await?.encode()?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).map_err(|error| error.to_string())?;
    // `id (16) ‖ family (16) ‖ secret (16)`: the id is stored, the others must not be.
    for part in [token.as_bytes(), &token.as_bytes()[24..], &bytes[16..32], &bytes[32..]] {
        ensure!(!stored.windows(part.len()).any(|window| window == part), "a part of the token is stored");
    }
    Ok(())
}

pub(super) async fn nothing_shows_a_secret(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let (manager, alice) = (node.manager(), env.user("alice")?);
    let header = format!("{}={token}", manager.policy().cookie().name());
    let presented = manager.read_cookie([header.as_bytes()]);
    let mut shown = vec![("what was presented", format!("{presented:?}"))];
    // Not through the adapter: this is about the `Debug` output of what adapters are made of.
    let request = RequestSession::new(manager.clone(), presented);
    let session = request.session().await?;
    session.regenerate()?;
    shown.push(("the session", format!("{session:?} {:?} {:?}", session.info(), session.authentication())));
    shown.push(("the request", format!("{request:?} {:?} {:?}", request.finish().await, session.user())));
    shown.push(("the manager", format!("{manager:?}")));
    shown.push(("the store", format!("{:?}", node.store())));
    shown.push(("the list", format!("{:?}", manager.list(&alice).await?)));
    shown.push(("an event", format!("{:?}", node.events())));
    shown.push(("the record", format!("{:?}", node.stored(&id).await?)));
    for fault in [InjectedFault::Unavailable, InjectedFault::Corrupt] {
        node.inject(fault);
        let Err(error) = manager.revoke(&alice, &id).await else {
            return Err("a revocation worked although the store is down".into());
        };
        shown.push(("an error", format!("{error} {error:?} {:?}", std::error::Error::source(&error))));
    }
    for (what, text) in shown {
        for secret in [&*token, &token[SessionId::TEXT_LEN..], &id.to_string(), "alice"] {
            ensure!(!text.contains(secret), "{what} shows a token, an id or a user");
        }
    }
    Ok(())
}
