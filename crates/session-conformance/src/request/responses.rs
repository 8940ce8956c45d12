//! What is sent back to the browser.

use session_core::{CookiePolicy, CookiePolicyError, Session};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{NO_CALLS, NOTE, Note, login, note_of, policy, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

pub(super) async fn reading_sets_no_cookie(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    browser.request().run(note_of).await.without_cookie("a request that only read")?;
    ensure_eq!(node.calls(), ["load"], "store calls of a request that only read");
    Ok(())
}

pub(super) async fn consulted_means_vary(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    for browser in [Browser::new(&node), browser] {
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
        node.request(&[]).run(work).await.without_cookie("an empty session")?;
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
        browser.assert_alive("a browser refused the cookie of a login").await?;
        browser.log_out().await?;
        ensure_eq!(browser.header(), "", "the cookies after a logout");
    }
    Ok(())
}

pub(super) async fn stale_response_keeps_a_newer_cookie(env: Env) -> Outcome {
    let browser = Browser::new(&Node::standard(&env).await?);
    browser.set_note(Note::Anonymous).await?;
    // One request loads the old session while it lives, the other one after its end.
    let (early, late) = (browser.begin().await?, browser.request());
    browser.log_in("alice").await?;
    for stale in [early.respond().await, late.run(|_| Ok(())).await] {
        browser.take(stale)?;
        browser.assert_user("alice", "the user after a stale response").await?;
    }
    Ok(())
}

pub(super) async fn late_write_is_an_error(env: Env) -> Outcome {
    let (_, browser) = Browser::of_alice(&env).await?;
    let session = browser.post(|session| Ok(session.clone())).await?;
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
    one.assert_note(Note::First, "the value of the first session").await?;
    two.assert_note(Note::Second, "the value of the second session").await
}
