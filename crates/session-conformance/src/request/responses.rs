//! What is sent back to the browser.

use session_core::{CookiePolicy, CookiePolicyError, Session};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{NO_CALLS, login, policy, refused};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

pub(super) async fn reading_sets_no_cookie(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    node.calls();
    let reply = browser.request().run(|session| session.get(NOTE)).await;
    reply.result?;
    ensure!(reply.set_cookie.is_none(), "a request that only read got a cookie");
    ensure_eq!(node.calls(), ["load"], "store calls of a request that only read");
    Ok(())
}

pub(super) async fn consulted_means_vary(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for browser in [Browser::new(&node), Browser::logged_in(&node, "alice").await?] {
        for request in [browser.request().get(), browser.request()] {
            ensure!(request.run(|_| Ok(())).await.vary, "a response that depends on the session lacks `Vary: Cookie`");
        }
    }
    Ok(())
}

pub(super) async fn empty_session_is_not_stored(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let change_of_mind = |session: &Session| {
        session.insert(NOTE, &Note::Lost)?;
        session.remove(NOTE)
    };
    for work in [change_of_mind, Session::clear, Session::regenerate] {
        let reply = node.request(&[]).run(work).await;
        reply.result?;
        ensure!(reply.set_cookie.is_none(), "an empty session got a cookie");
    }
    ensure_eq!(node.calls(), NO_CALLS, "store calls for empty sessions");
    Ok(())
}

pub(super) async fn attributes(env: Env) -> Outcome {
    for (cookie, same_site) in [(CookiePolicy::standard(), "SameSite=Lax"), (CookiePolicy::strict(), "SameSite=Strict")]
    {
        let node = Node::start(&env, policy(|it| it.cookie(cookie))?).await?;
        let login = login("alice")?;
        let reply = node.request(&[]).run(|session| session.login(login)).await;
        reply.result?;
        let set_cookie = reply.set_cookie.unwrap_or_default();
        let mut parts: Vec<&str> = set_cookie.split("; ").collect();
        ensure!(parts.remove(0).starts_with("__Host-id="), "the cookie has another name");
        parts.sort_unstable();
        ensure_eq!(parts, ["HttpOnly", "Path=/", same_site, "Secure"], "the attributes of the cookie");
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
        let browser = Browser::new(&node).at("/app/cart");
        browser.log_in("alice").await?;
        ensure!(browser.has_session().await?, "a browser refused the cookie of a login");
        browser.log_out().await?;
        ensure_eq!(browser.header(), "", "the cookies after a logout");
    }
    Ok(())
}

pub(super) async fn stale_response_keeps_a_newer_cookie(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::new(&node);
    browser.set_note(Note::Anonymous).await?;
    // One request loads the old session while it lives, the other one after its end.
    let (early, late) = (browser.begin().await?, browser.request());
    browser.log_in("alice").await?;
    for stale in [early.respond().await, late.run(|_| Ok(())).await] {
        browser.take(stale)?;
        ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user after a stale response");
    }
    Ok(())
}

pub(super) async fn late_write_is_an_error(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let session = browser.get(|session| Ok(session.clone())).await?;
    refused(session.insert(NOTE, &Note::Late), Refusal::RESPONSE_SENT, "a write after the response")?;
    refused(session.logout(), Refusal::RESPONSE_SENT, "a logout after the response")
}

pub(super) async fn requests_share_no_session_object(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let (one, two) = (Browser::new(&node), Browser::new(&node));
    let (first, second) = (one.begin().await?, two.begin().await?);
    first.session.insert(NOTE, &Note::First)?;
    ensure_eq!(second.session.get(NOTE)?, None, "what one anonymous session shows of another");
    second.session.insert(NOTE, &Note::Second)?;
    one.take(first.respond().await)?;
    two.take(second.respond().await)?;
    ensure_eq!(one.note().await?, Some(Note::First), "the value of the first session");
    ensure_eq!(two.note().await?, Some(Note::Second), "the value of the second session");
    Ok(())
}
