//! What is read from the `Cookie` headers of a request.

use session_core::{OsEntropy, Policy, Session, SessionId, SessionToken};

use super::NONE;
use super::browser::Browser;
use super::node::{Method, Node};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// The name of the cookie under [`Policy::standard`].
const ID: &str = "__Host-id";

pub(super) async fn no_cookie_costs_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let reply = Browser::new(&env).begin(&node).handle(|session| session.get(NOTE)).await;
    ensure_eq!(reply.result?, None, "what a visitor without cookie finds");
    ensure!(reply.set_cookie.is_none(), "a visitor who only read got a cookie");
    ensure_eq!(node.calls(), NONE, "store calls for a visitor without cookie");
    Ok(())
}

pub(super) async fn nobody_asks_nothing_is_loaded(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let _ = node.calls();
    let reply = browser.begin(&node).respond(Ok(())).await;
    ensure_eq!(node.calls(), NONE, "store calls of a request that does not ask for its session");
    ensure!(!reply.vary && reply.set_cookie.is_none(), "a response that does not depend on the session says it does");
    Ok(())
}

pub(super) async fn malformed_costs_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    let user = env.user("alice")?;
    browser.log_in(&node, &user).await?;
    let token = browser.cookie(ID).unwrap_or_default();
    let _ = node.calls();
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
        let header = format!("{ID}={spelling}");
        let reply = node.receive(Method::Post, &[&header]).handle(|session| Ok(session.user())).await;
        ensure_eq!(reply.result?, None, "who a malformed token belongs to");
        ensure!(reply.set_cookie.is_none(), "a malformed token made a node change the cookie");
        ensure_eq!(node.calls(), NONE, "store calls for a malformed token");
    }
    ensure_eq!(browser.user(&node).await?, Some(user), "who is logged in afterwards");
    Ok(())
}

pub(super) async fn two_different_cookies_are_nobodys(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (alice, mallory) = (Browser::new(&env), Browser::new(&env));
    alice.log_in(&node, &env.user("alice")?).await?;
    mallory.log_in(&node, &env.user("mallory")?).await?;
    let (mine, planted) = (alice.header(), mallory.header());
    for headers in [[&*mine, &*planted], [&*planted, &*mine]] {
        for headers in [&headers[..], &[&*headers.join("; ")]] {
            let reply = node.receive(Method::Post, headers).handle(|session| Ok(session.user())).await;
            ensure_eq!(reply.result?, None, "who is logged in with two different cookies");
            ensure!(reply.set_cookie.is_none(), "a planted cookie made a node change the cookie");
        }
    }
    ensure!(alice.has_session(&node).await?, "a planted cookie ended the session");
    Ok(())
}

pub(super) async fn found_in_any_header(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    let user = Some(env.user("alice")?);
    browser.log_in(&node, &env.user("alice")?).await?;
    let mine = browser.header();
    let among_others = format!("theme=dark;{mine} ; broken; x{mine}");
    let among_many = format!("{}; {mine}", "a=1;".repeat(10_000));
    for headers in [&["theme=dark", &*mine][..], &[&*among_others], &[&*mine, &*mine], &[&*among_many]] {
        let reply = node.receive(Method::Post, headers).handle(|session| Ok(session.user())).await;
        ensure_eq!(reply.result?, user, "who is logged in with the cookie among others");
    }
    Ok(())
}

pub(super) async fn name_is_case_sensitive(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let other = browser.header().replace(ID, "__host-ID");
    let reply = node.receive(Method::Post, &[&other]).handle(|session| Ok(session.user())).await;
    ensure_eq!(reply.result?, None, "who a cookie of another name belongs to");
    Ok(())
}

/// A well-formed token for the session `id` that nobody issued.
fn made_up(id: SessionId) -> String {
    format!("{ID}={id}{}", "x".repeat(SessionToken::TEXT_LEN - SessionId::TEXT_LEN))
}

pub(super) async fn unknown_token_is_left_alone(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let header = made_up(SessionId::generate(None, &OsEntropy)?);
    let reply = node.receive(Method::Post, &[&header]).handle(|session| session.get(NOTE)).await;
    ensure_eq!(reply.result?, None, "what an unknown token gives access to");
    ensure!(reply.set_cookie.is_none(), "an unknown token made a node change the cookie");
    ensure_eq!(node.calls(), ["load"], "store calls for an unknown token");
    Ok(())
}

pub(super) async fn client_cannot_choose_the_id(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let chosen = SessionId::generate(None, &OsEntropy)?;
    let header = made_up(chosen);
    let write = |session: &Session| {
        session.insert(NOTE, &Note::Mine)?;
        Ok(session.clone())
    };
    let reply = node.receive(Method::Post, &[&header]).handle(write).await;
    ensure!(reply.set_cookie.is_some(), "a visitor who wrote got no cookie");
    ensure!(reply.result?.id() != Some(chosen), "the session has the id that the client chose");
    let again = node.receive(Method::Post, &[&header]).handle(|session| session.get(NOTE)).await;
    ensure_eq!(again.result?, None, "what the token that the client made up gives access to");
    Ok(())
}

pub(super) async fn public_id_is_no_weapon(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    let id = browser.log_in(&node, &env.user("alice")?).await?;
    let forged = made_up(id);
    for work in [Session::logout, Session::regenerate] {
        let reply =
            node.receive(Method::Post, &[&forged]).handle(|session| work(session).map(|()| session.user())).await;
        ensure_eq!(reply.result?, None, "who a forged token belongs to");
    }
    ensure!(browser.has_session(&node).await?, "whoever knows the id of a session can end it");
    Ok(())
}

pub(super) async fn other_tenants_token_is_unknown(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let theirs = Node::over(&env, env.other_tenant().await?, Policy::standard(), OsEntropy);
    let browser = Browser::new(&env);
    browser.log_in(&theirs, &env.user("alice")?).await?;
    let reply = browser.begin(&node).handle(|session| Ok(session.user())).await;
    ensure_eq!(reply.result?, None, "who a token of another tenant belongs to");
    ensure!(browser.has_session(&theirs).await?, "another tenant's session ended here");
    Ok(())
}

pub(super) async fn dead_tokens_look_alike(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let [expired, ended, replaced] = [(); 3].map(|()| Browser::new(&env));
    let unknown = made_up(SessionId::generate(None, &OsEntropy)?);
    expired.log_in(&node, &alice).await?;
    let expired = expired.stolen().header();
    env.clock().advance(std::time::Duration::from_secs(3600));
    ended.log_in(&node, &alice).await?;
    let ended_token = ended.header();
    ended.post(&node, Session::logout).await?;
    let forged = made_up(replaced.log_in(&node, &alice).await?);
    let replaced_token = replaced.header();
    replaced.post(&node, Session::regenerate).await?;
    for header in [unknown, expired, ended_token, forged, replaced_token] {
        let reply = node.receive(Method::Post, &[&header]).handle(|session| Ok(session.keys())).await;
        let seen = (reply.result?.len(), reply.set_cookie.is_some(), reply.vary);
        ensure_eq!(
            seen,
            (0, false, true),
            "values, whether there is a cookie, and `Vary`, for a token without session"
        );
    }
    Ok(())
}
