//! What must be seen nowhere.

use session_core::SessionId;
use session_core::adapter::RequestSession;
use session_core::store::Freshness;

use super::browser::Browser;
use super::client::Client as _;
use super::faulty_store::InjectedFault;
use super::node::Node;
use super::values::Note;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure};

/// A node, and alice's session in it: its id and the text of its token.
async fn logged_in(env: &Env) -> Result<(Node, SessionId, String), Failure> {
    let node = Node::standard(env).await?;
    let browser = Browser::new(&node);
    let id = browser.log_in("alice").await?;
    browser.set_note(Note::Mine).await?;
    Ok((node, id, browser.token()))
}

pub(super) async fn store_never_sees_a_token(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let stored = node.stored(&id).await?.encode()?;
    let bytes = decode(&token);
    // `id (16) ‖ family (16) ‖ secret (16)`: the id is stored, the others must not be.
    for part in [token.as_bytes(), &token.as_bytes()[24..], &bytes[16..32], &bytes[32..]] {
        ensure!(!stored.windows(part.len()).any(|window| window == part), "a part of the token is stored");
    }
    Ok(())
}

/// The bytes of base64url without padding.
fn decode(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let bits = |four: &[u8]| four.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
    text.as_bytes().chunks(4).flat_map(|four| bits(four).to_be_bytes().into_iter().skip(1)).collect()
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
    shown.push(("the record", format!("{:?}", node.store().load(&id, Freshness::Latest).await?)));
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
