//! What is sent back to the browser.

use session_core::{CookiePolicy, CookiePolicyError, Error, Login, Policy, Session};

use super::browser::Browser;
use super::node::{Method, Node};
use super::values::{NOTE, Note};
use super::{NONE, ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

pub(super) async fn reading_sets_no_cookie(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let _ = node.calls();
    let reply = browser.begin(&node).handle(|session| session.get(NOTE)).await;
    ensure!(reply.set_cookie.is_none(), "a request that only read got a cookie");
    ensure_eq!(node.calls(), ["load"], "store calls of a request that only read");
    Ok(())
}

pub(super) async fn consulted_means_vary(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (visitor, alice) = (Browser::new(&env), Browser::new(&env));
    alice.log_in(&node, &env.user("alice")?).await?;
    for browser in [&visitor, &alice] {
        for method in [Method::Get, Method::Post] {
            let reply = node.receive(method, &[&browser.header()]).handle(|_| Ok(())).await;
            ensure!(reply.vary, "a response that depends on the session does not say so");
        }
    }
    Ok(())
}

pub(super) async fn empty_session_is_not_stored(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let change_of_mind = |session: &Session| {
        session.insert(NOTE, &Note::Lost)?;
        session.remove(NOTE)
    };
    let nothing = [change_of_mind, Session::clear, Session::regenerate];
    for work in nothing {
        let reply = Browser::new(&env).begin(&node).handle(work).await;
        reply.result?;
        ensure!(reply.set_cookie.is_none(), "a session that holds nothing got a cookie");
    }
    ensure_eq!(node.calls(), NONE, "store calls for sessions that hold nothing");
    Ok(())
}

pub(super) async fn attributes(env: Env) -> Outcome {
    for (cookie, same_site) in [(CookiePolicy::standard(), "Lax"), (CookiePolicy::strict(), "Strict")] {
        let node = Node::start(&env, policy(|it| it.cookie(cookie))?).await?;
        let login = Login::new(env.user("alice")?);
        let reply = Browser::new(&env).begin(&node).handle(|session| session.login(login)).await;
        reply.result?;
        let set_cookie = reply.set_cookie.unwrap_or_default();
        let mut parts: Vec<&str> = set_cookie.split("; ").collect();
        let pair = parts.remove(0);
        ensure!(pair.starts_with("__Host-id="), "the cookie has another name");
        parts.sort_unstable();
        let same_site = format!("SameSite={same_site}");
        ensure_eq!(parts, ["HttpOnly", "Path=/", &*same_site, "Secure"], "the attributes of the cookie");
    }
    Ok(())
}

pub(super) async fn removal_matches_every_attribute(env: Env) -> Outcome {
    let of = |built: Result<CookiePolicy, CookiePolicyError>| built.map_err(|error| Failure::new(error.to_string()));
    let cookies = [
        CookiePolicy::standard(),
        CookiePolicy::strict(),
        CookiePolicy::local_development(),
        of(CookiePolicy::builder("__Secure-id").domain("shop.example").path("/app").build())?,
        of(CookiePolicy::builder("id").domain("shop.example").build())?,
        of(CookiePolicy::builder("__Host-id").partitioned().build())?,
    ];
    for cookie in cookies {
        let node = Node::start(&env, policy(|it| it.cookie(cookie))?).await?;
        let browser = Browser::new(&env).at("/app/cart");
        browser.log_in(&node, &env.user("alice")?).await?;
        ensure!(browser.has_session(&node).await?, "a browser refused the cookie of a login");
        browser.post(&node, Session::logout).await?;
        ensure_eq!(browser.header(), "", "the cookies after a logout");
    }
    Ok(())
}

pub(super) async fn stale_response_keeps_a_newer_cookie(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let user = env.user("alice")?;
    let browser = Browser::new(&env);
    browser.post(&node, |session| session.insert(NOTE, &Note::Visitor)).await?;
    // One request reads the old session while it lives, the other one when it is gone already.
    let (early, late) = (browser.begin(&node), browser.begin(&node));
    early.session().await?;
    browser.log_in(&node, &user).await?;
    for stale in [early, late] {
        browser.take(stale.handle(|session| session.get(NOTE)).await)?;
        ensure_eq!(browser.user(&node).await?, Some(user.clone()), "who is logged in after a late response");
    }
    Ok(())
}

pub(super) async fn late_write_is_an_error(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let session = browser.get(&node, |session| Ok(session.clone())).await?;
    let late = session.insert(NOTE, &Note::Late);
    ensure_err!(late, Error::ResponseSent, "a write after the response");
    ensure_err!(session.logout(), Error::ResponseSent, "a logout after the response");
    Ok(())
}

pub(super) async fn requests_share_no_session_object(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (one, two) = (Browser::new(&env), Browser::new(&env));
    let (first, second) = (one.begin(&node), two.begin(&node));
    first.session().await?.insert(NOTE, &Note::First)?;
    let seen = second.session().await?.get(NOTE)?;
    ensure_eq!(seen, None, "what one visitor sees of another");
    second.session().await?.insert(NOTE, &Note::Second)?;
    one.take(first.respond(Ok(())).await)?;
    two.take(second.respond(Ok(())).await)?;
    ensure_eq!(one.post(&node, |session| session.get(NOTE)).await?, Some(Note::First), "the first visitor's value");
    ensure_eq!(two.post(&node, |session| session.get(NOTE)).await?, Some(Note::Second), "the second visitor's value");
    Ok(())
}
