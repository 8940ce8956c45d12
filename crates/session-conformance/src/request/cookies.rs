//! What is read from the `Cookie` headers of a request.

use std::time::Duration;

use session_core::{OsEntropy, Session, SessionId, SessionToken};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{NO_CALLS, user_of};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// The name of the cookie under [`Policy::standard`](session_core::Policy::standard).
const NAME: &str = "__Host-id";

pub(super) async fn no_cookie_costs_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let reply = node.request(&[]).run(|session| session.get(NOTE)).await;
    ensure_eq!(reply.result?, None, "the note of a request without cookie");
    ensure!(reply.set_cookie.is_none(), "an anonymous request that only read got a cookie");
    ensure_eq!(node.calls(), NO_CALLS, "store calls of a request without cookie");
    Ok(())
}

pub(super) async fn not_loaded_unless_asked_for(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    node.calls();
    let reply = browser.request().run_without_session().await;
    reply.result?;
    ensure_eq!(node.calls(), NO_CALLS, "store calls of a request that does not ask for its session");
    ensure!(!reply.vary && reply.set_cookie.is_none(), "a response that does not depend on the session says it does");
    Ok(())
}

pub(super) async fn malformed_costs_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let token = browser.token();
    node.calls();
    let spellings = [
        String::new(),
        format!("\"{token}\""),
        format!("{token}="),
        format!("{token}A"),
        token[1..].to_owned(),
        format!("+{}", &token[1..]),
        format!("{} {}", &token[..32], &token[32..]),
        format!("%41{}", &token[1..]),
        format!("ä{}", &token[2..]),
        "A".repeat(100_000),
    ];
    for spelling in &spellings {
        let reply = node.request(&[&format!("{NAME}={spelling}")]).run(user_of).await;
        ensure_eq!(reply.result?, None, "the user of a malformed token");
        ensure!(reply.set_cookie.is_none(), "a malformed token changed the cookie");
        ensure_eq!(node.calls(), NO_CALLS, "store calls for a malformed token");
    }
    ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user afterwards");
    Ok(())
}

pub(super) async fn two_different_cookies_are_ambiguous(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let alice = Browser::logged_in(&node, "alice").await?;
    let mallory = Browser::logged_in(&node, "mallory").await?;
    let (mine, planted) = (alice.header(), mallory.header());
    for headers in [[&*mine, &*planted], [&*planted, &*mine]] {
        for headers in [&headers[..], &[&*headers.join("; ")]] {
            let reply = node.request(headers).run(user_of).await;
            ensure_eq!(reply.result?, None, "the user of two different cookies");
            ensure!(reply.set_cookie.is_none(), "a planted cookie changed the cookie");
        }
    }
    ensure!(alice.has_session().await?, "a planted cookie ended the session");
    Ok(())
}

pub(super) async fn found_in_any_header(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let mine = Browser::logged_in(&node, "alice").await?.header();
    let among_others = format!("theme=dark;{mine} ; broken; x{mine}");
    let among_many = format!("{}; {mine}", "a=1;".repeat(10_000));
    for headers in [&["theme=dark", &*mine][..], &[&*among_others], &[&*mine, &*mine], &[&*among_many]] {
        let reply = node.request(headers).run(user_of).await;
        ensure_eq!(reply.result?.as_deref(), Some("alice"), "the user of a cookie among others");
    }
    Ok(())
}

pub(super) async fn name_is_case_sensitive(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let other = Browser::logged_in(&node, "alice").await?.header().replace(NAME, "__host-ID");
    ensure_eq!(node.request(&[&other]).run(user_of).await.result?, None, "the user of a cookie with another name");
    Ok(())
}

/// A well-formed cookie for the session `id`, with a secret that was never issued.
fn forged(id: SessionId) -> String {
    format!("{NAME}={id}{}", "x".repeat(SessionToken::TEXT_LEN - SessionId::TEXT_LEN))
}

pub(super) async fn unknown_token_is_left_alone(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let unknown = forged(SessionId::generate(None, &OsEntropy)?);
    let reply = node.request(&[&unknown]).run(|session| session.get(NOTE)).await;
    ensure_eq!(reply.result?, None, "the note of an unknown token");
    ensure!(reply.set_cookie.is_none(), "an unknown token changed the cookie");
    ensure_eq!(node.calls(), ["load"], "store calls for an unknown token");
    Ok(())
}

pub(super) async fn client_cannot_choose_the_id(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let chosen = SessionId::generate(None, &OsEntropy)?;
    let header = forged(chosen);
    let write = |session: &Session| session.insert(NOTE, &Note::Mine).map(|()| session.clone());
    let reply = node.request(&[&header]).run(write).await;
    ensure!(reply.set_cookie.is_some(), "a first write got no cookie");
    ensure!(reply.result?.id() != Some(chosen), "the session has the id that the client chose");
    let again = node.request(&[&header]).run(|session| session.get(NOTE)).await;
    ensure_eq!(again.result?, None, "the note of the forged token");
    Ok(())
}

pub(super) async fn public_id_is_no_weapon(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::new(&node);
    let forged = forged(browser.log_in("alice").await?);
    for work in [Session::logout, Session::regenerate] {
        let reply = node.request(&[&forged]).run(|session| work(session).and_then(|()| user_of(session))).await;
        ensure_eq!(reply.result?, None, "the user of a forged token");
    }
    ensure!(browser.has_session().await?, "a forged token with the id of a session ended it");
    Ok(())
}

pub(super) async fn other_tenants_token_is_unknown(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let other_tenant = Node::over(&env, env.other_tenant().await?);
    let browser = Browser::logged_in(&other_tenant, "alice").await?;
    let reply = node.request(&[&browser.header()]).run(user_of).await;
    ensure_eq!(reply.result?, None, "the user of another tenant's token");
    ensure!(browser.has_session().await?, "the session of another tenant ended");
    Ok(())
}

pub(super) async fn dead_tokens_look_alike(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let unknown = forged(SessionId::generate(None, &OsEntropy)?);
    let expired = Browser::logged_in(&node, "alice").await?.stolen().header();
    env.clock().advance(Duration::from_secs(3600));
    let browser = Browser::logged_in(&node, "alice").await?;
    let ended = browser.header();
    browser.log_out().await?;
    let browser = Browser::new(&node);
    let forged = forged(browser.log_in("alice").await?);
    let replaced = browser.header();
    browser.post(Session::regenerate).await?;
    for header in [unknown, expired, ended, forged, replaced] {
        let reply = node.request(&[&header]).run(|session| Ok(session.keys().len())).await;
        let seen = (reply.result?, reply.set_cookie, reply.vary);
        ensure_eq!(seen, (0, None, true), "values, cookie and `Vary: Cookie`, for a token without session");
    }
    Ok(())
}
