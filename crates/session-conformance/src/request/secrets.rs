//! What must be seen nowhere.

use session_core::adapter::RequestSession;
use session_core::store::Freshness;
use session_core::{Policy, SessionId};

use super::browser::Browser;
use super::line::Trouble;
use super::node::Node;
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure};

/// A node, and alice's session in it: its id and the text of its token.
async fn logged_in(env: &Env) -> Result<(Node, SessionId, String), Failure> {
    let node = Node::start(env, Policy::standard()).await?;
    let browser = Browser::new(env);
    let id = browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Mine)).await?;
    let token = browser.cookie(node.policy().cookie().name()).ok_or("a browser refused the cookie of a login")?;
    Ok((node, id, token))
}

pub(super) async fn store_never_sees_a_token(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let record =
        node.line().store().load(&id, Freshness::Latest).await?.ok_or("a session that was logged in is not stored")?;
    let stored = record.encode()?;
    let bytes = decode(&token);
    // `id (16) ‖ family (16) ‖ secret (16)`: the id is stored, the others must not be.
    let parts = [token.as_bytes(), &token.as_bytes()[24..], &bytes[16..32], &bytes[32..]];
    for part in parts {
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
    let header = format!("{}={token}", node.policy().cookie().name());
    let presented = node.policy().cookie().read([header.as_bytes()]);
    let mut shown = vec![("what was presented", format!("{presented:?}"))];
    let request = RequestSession::new(node.manager().clone(), presented);
    let session = request.session().await?;
    session.regenerate()?;
    shown.push(("the session", format!("{session:?} {:?} {:?}", session.info(), session.authentication())));
    shown.push(("the request", format!("{request:?} {:?} {:?}", request.finish().await, session.user())));
    shown.push(("the manager", format!("{:?}", node.manager())));
    shown.push(("the store", format!("{:?}", node.line().store())));
    shown.push(("the list", format!("{:?}", node.manager().list(&env.user("alice")?).await?)));
    shown.push(("an event", format!("{:?}", node.events())));
    shown.push(("the record", format!("{:?}", node.line().store().load(&id, Freshness::Latest).await?)));
    for trouble in [Trouble::Down, Trouble::Corrupt] {
        node.line().suffer(trouble);
        match node.manager().revoke(&env.user("alice")?, &id).await {
            Err(error) => {
                shown.push(("an error", format!("{error} {error:?} {:?}", std::error::Error::source(&error))))
            }
            Ok(_) => return Err("a revocation worked although the store is down".into()),
        }
    }
    for (what, text) in shown {
        for secret in [&*token, &token[SessionId::TEXT_LEN..], &id.to_string(), "alice"] {
            ensure!(!text.contains(secret), "{what} shows a token, an id or a user");
        }
    }
    Ok(())
}
