//! What is read from the `Cookie` headers of a request, and what is sent back to the browser.

use session_core::{CookiePolicy, CookiePolicyError, OsEntropy, SameSite, Session, SessionId, SessionToken};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{COOKIE, HOUR, MILLI, NO_CALLS, NOTE, Note, login, note_of, policy, refused, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

pub(super) async fn no_cookie_costs_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let note = node.request(&[]).run(note_of).await.without_cookie("an anonymous request that only read")?;
    ensure_eq!(note, None, "the note of a request without cookie");
    ensure_eq!(node.calls(), NO_CALLS, "store calls of a request without cookie");
    Ok(())
}

pub(super) async fn not_loaded_unless_asked_for(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let reply = browser.request().run_without_session().await;
    ensure!(!reply.vary, "a response that does not depend on the session says it does");
    reply.without_cookie("a request that does not ask for its session")?;
    ensure_eq!(node.calls(), NO_CALLS, "store calls of a request that does not ask for its session");
    Ok(())
}

pub(super) async fn malformed_costs_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let token = browser.token();
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
        let reply = node.request(&[&format!("{COOKIE}={spelling}")]).run(user_of).await;
        ensure_eq!(reply.without_cookie("a malformed token")?, None, "the user of a malformed token");
        ensure_eq!(node.calls(), NO_CALLS, "store calls for a malformed token");
    }
    browser.assert_user("alice", "the user afterwards").await
}

pub(super) async fn two_different_cookies_are_ambiguous(env: Env) -> Outcome {
    let cookie = CookiePolicy::builder("__Secure-id").build().map_err(|error| Failure::new(error.to_string()))?;
    let node = Node::start(&env, policy(|it| it.cookie(cookie))?).await?;
    let alice = Browser::logged_in(&node, "alice").await?;
    let planted = Browser::logged_in(&node, "mallory").await?;
    for user in users_of_both(&node, &alice, &planted).await? {
        ensure_eq!(user, None, "the user of two different cookies");
    }
    alice.assert_alive("a planted cookie ended the session").await
}

pub(super) async fn of_two_cookies_the_later_login_counts(env: Env) -> Outcome {
    let (node, before) = Browser::of_alice(&env).await?;
    env.clock().advance(MILLI);
    let later = Browser::logged_in(&node, "bob").await?;
    for user in users_of_both(&node, &before, &later).await? {
        ensure_eq!(user.as_deref(), Some("bob"), "the user of two cookies of a host");
    }
    before.assert_alive("reading ended a session").await?;
    let both = format!("{}; {}", before.header(), later.header());
    node.request(&[&both]).run(|session: &Session| session.logout()).await.result?;
    before.assert_dead("a logout left one of two sessions").await?;
    later.assert_dead("a logout left one of two sessions").await?;
    Ok(())
}

/// Who a request with both cookies is of, in each order, in one header and in two.
async fn users_of_both(node: &Node, one: &Browser, other: &Browser) -> Result<Vec<Option<String>>, Failure> {
    let (one, other) = (one.header(), other.header());
    let mut users = Vec::new();
    for headers in [[&*one, &*other], [&*other, &*one]] {
        for headers in [&headers[..], &[&*headers.join("; ")]] {
            users.push(node.request(headers).run(user_of).await.without_cookie("two cookies")?);
        }
    }
    Ok(users)
}

pub(super) async fn found_in_any_header(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let mine = browser.header();
    let among_others = format!("theme=dark;{mine} ; broken; x{mine}");
    let among_many = format!("{}; {mine}", "a=1;".repeat(10_000));
    for headers in [&["theme=dark", &*mine][..], &[&*among_others], &[&*mine, &*mine], &[&*among_many]] {
        let user = node.request(headers).run(user_of).await.result?;
        ensure_eq!(user.as_deref(), Some("alice"), "the user of a cookie among others");
    }
    Ok(())
}

pub(super) async fn name_is_case_sensitive(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let other = browser.header().replace(COOKIE, "__host-ID");
    ensure_eq!(node.request(&[&other]).run(user_of).await.result?, None, "the user of a cookie with another name");
    Ok(())
}

/// A well-formed cookie for the session `id`, with a secret that was never issued.
pub(super) fn forged(id: SessionId) -> String {
    format!("{COOKIE}={id}{}", "x".repeat(SessionToken::TEXT_LEN - SessionId::TEXT_LEN))
}

/// A well-formed cookie for no session.
pub(super) fn unknown() -> Result<String, Failure> {
    Ok(forged(SessionId::generate(None, &OsEntropy)?))
}

pub(super) async fn unknown_token_is_left_alone(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let note = node.request(&[&unknown()?]).run(note_of).await.without_cookie("an unknown token")?;
    ensure_eq!(note, None, "the note of an unknown token");
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
    ensure_eq!(node.request(&[&header]).run(note_of).await.result?, None, "the note of the forged token");
    Ok(())
}

pub(super) async fn public_id_is_no_weapon(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let forged = forged(browser.id()?);
    for work in [Session::logout, Session::regenerate] {
        let reply = node.request(&[&forged]).run(|session| work(session).and_then(|()| user_of(session))).await;
        ensure_eq!(reply.result?, None, "the user of a forged token");
    }
    browser.assert_alive("a forged token with the id of a session ended it").await
}

pub(super) async fn other_tenants_token_is_unknown(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&Node::over(&env, env.other_tenant().await?), "alice").await?;
    let user = node.request(&[&browser.header()]).run(user_of).await.result?;
    ensure_eq!(user, None, "the user of another tenant's token");
    browser.assert_alive("the session of another tenant ended").await
}

pub(super) async fn dead_tokens_look_alike(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let expired = browser.header();
    env.clock().advance(HOUR);
    let browser = Browser::logged_in(&node, "alice").await?;
    let ended = browser.header();
    browser.log_out().await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let (forged, replaced) = (forged(browser.id()?), browser.header());
    browser.post(Session::regenerate).await?;
    for header in [unknown()?, expired, ended, forged, replaced] {
        let reply = node.request(&[&header]).run(|session| Ok(session.keys().len())).await;
        let seen = (reply.result?, reply.set_cookie, reply.vary);
        ensure_eq!(seen, (0, None, true), "values, cookie and `Vary: Cookie`, for a token without session");
    }
    Ok(())
}

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

pub(super) async fn authenticated_is_uncached(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    for request in [browser.request().get(), browser.request()] {
        ensure!(request.run(|_| Ok(())).await.uncached, "a response to a logged-in user may be cached");
    }
    ensure!(!browser.request().run_without_session().await.uncached, "a response without session may not be cached");
    ensure!(!node.request(&[]).run(|_| Ok(())).await.uncached, "a response to a visitor may not be cached");
    let copy = browser.stolen();
    for browser in [browser, copy] {
        ensure!(browser.request().run(Session::logout).await.uncached, "a response to a logout may be cached");
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
        of(CookiePolicy::local_development("shop"))?,
        of(CookiePolicy::builder("__Secure-id").domain("shop.example").path("/app").build())?,
        of(CookiePolicy::builder("id").domain("shop.example").build())?,
        of(CookiePolicy::builder("__Host-id").same_site(SameSite::Embedded).build())?,
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
