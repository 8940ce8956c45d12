//! Renewal of the token of a long session, and the grace of its predecessor.

use std::time::Duration;

use futures::future::join_all;
use session_core::{Error, Login, Policy, Renewal, Session, SessionId, StepUp, UserId};

use super::browser::Browser;
use super::node::{Node, Reply};
use super::values::{NOTE, Note};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

const RENEWAL: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(10);
const MILLI: Duration = Duration::from_millis(1);

fn renewing() -> Result<Policy, Failure> {
    policy(|it| it.renewal(Some(Renewal { timeout: RENEWAL, grace: GRACE })))
}

/// A node, and a browser in which alice is logged in and whose token is due for renewal; and the id of the session.
async fn due(env: &Env) -> Result<(Node, Browser, SessionId), Failure> {
    let node = Node::start(env, renewing()?).await?;
    let browser = Browser::new(env);
    let id = browser.log_in(&node, &env.user("alice")?).await?;
    env.clock().advance(RENEWAL);
    Ok((node, browser, id))
}

/// As [`due`], and then renewed. Besides, a copy of the browser from before.
async fn renewed(env: &Env) -> Result<(Node, Browser, Browser), Failure> {
    let (node, browser, _) = due(env).await?;
    let old = browser.stolen();
    browser.post(&node, |_| Ok(())).await?;
    ensure!(browser.header() != old.header(), "a token that was due was not renewed");
    Ok((node, browser, old))
}

/// The token that a response hands out.
fn token<T>(reply: &Reply<T>) -> Option<String> {
    let set_cookie = reply.set_cookie.as_deref()?;
    Some(set_cookie.split(';').next()?.to_owned())
}

pub(super) async fn renewed_when_due(env: Env) -> Outcome {
    let node = Node::start(&env, renewing()?).await?;
    let browser = Browser::new(&env);
    let start = env.now();
    let id = browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    let first = browser.header();
    env.clock().advance(RENEWAL - MILLI);
    ensure!(browser.has_session(&node).await? && browser.header() == first, "a token was renewed too early");
    env.clock().advance(MILLI);
    let poll = |session: &Session| {
        session.set_passive();
        Ok(session.id())
    };
    ensure!(browser.post(&node, poll).await? == Some(id), "polling does not find the session");
    ensure!(browser.header() == first, "polling renewed a token");
    browser.post(&node, |_| Ok(())).await?;
    ensure!(browser.header() != first, "a token that was due was not renewed");
    let session = browser.post(&node, |session| Ok(session.clone())).await?;
    ensure!(session.id() == Some(id), "a renewal changed the id");
    ensure_eq!(session.get(NOTE)?, Some(Note::Kept), "the value after a renewal");
    let begun = session.info().map(|info| info.created_at);
    ensure_eq!(begun, Some(start), "when the session began, after a renewal");
    Ok(())
}

pub(super) async fn replay_gets_the_same_successor(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    let successor = browser.header();
    for wait in [Duration::ZERO, GRACE / 2, GRACE / 2 - MILLI] {
        env.clock().advance(wait);
        let reply = old.begin(&node).handle(|session| Ok(session.user())).await;
        ensure!(token(&reply).as_ref() == Some(&successor), "a replay inside the grace got another token or none");
        ensure_eq!(reply.result?, Some(env.user("alice")?), "who a token inside its grace belongs to");
    }
    Ok(())
}

pub(super) async fn tabs_cannot_fork(env: Env) -> Outcome {
    let (node, browser, _) = due(&env).await?;
    let mut tabs = Vec::new();
    for _ in 0..8 {
        let tab = browser.begin(&node);
        tab.session().await?;
        tabs.push(tab);
    }
    let replies = join_all(tabs.into_iter().map(|tab| tab.respond(Ok(())))).await;
    let first = replies.first().and_then(token);
    ensure!(first.is_some(), "a tab got no new token");
    // The responses arrive in the opposite order.
    for reply in replies.into_iter().rev() {
        ensure!(token(&reply) == first, "two tabs got different tokens");
        browser.take(reply)?;
    }
    ensure!(browser.has_session(&node).await?, "no tab has the session any more");
    Ok(())
}

pub(super) async fn responses_may_overtake_each_other(env: Env) -> Outcome {
    let (node, browser, _) = due(&env).await?;
    // The first response gets lost, the second one is late, the third one is in time.
    let (lost, late) = (browser.begin(&node), browser.begin(&node));
    let _ = lost.handle(|_| Ok(())).await;
    let late = late.handle(|_| Ok(())).await;
    browser.post(&node, |_| Ok(())).await?;
    ensure!(browser.has_session(&node).await?, "the session did not survive a lost response");
    browser.take(late)?;
    ensure!(browser.has_session(&node).await?, "the session did not survive a late response");
    env.clock().advance(GRACE);
    ensure!(browser.has_session(&node).await?, "the session did not survive the end of the grace");
    Ok(())
}

pub(super) async fn first_use_ends_the_grace(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    ensure!(browser.has_session(&node).await?, "the successor does not work");
    let loser = old.begin(&node).handle(|_| Ok(())).await;
    ensure_err!(loser.result, Error::Superseded, "the predecessor after its successor was used");
    ensure!(loser.set_cookie.is_none(), "the loser of a race had its cookie changed");
    ensure!(browser.has_session(&node).await?, "the loser of a race ended the session");
    Ok(())
}

pub(super) async fn replay_outside_the_grace_ends_the_session(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    env.clock().advance(GRACE);
    ensure_eq!(old.user(&node).await?, None, "who a token outside its grace belongs to");
    ensure!(!browser.has_session(&node).await?, "the session outlived the reuse of a token");
    ensure_eq!(node.sessions(&env.user("alice")?).await?.len(), 0, "sessions after the reuse of a token");
    Ok(())
}

pub(super) async fn replay_does_not_extend_the_grace(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        let reply = old.begin(&node).handle(|session| Ok(session.user())).await;
        ensure_eq!(reply.result?, Some(env.user("alice")?), "who a token inside its grace belongs to");
    }
    env.clock().advance(2 * MILLI);
    ensure_eq!(old.user(&node).await?, None, "who a token belongs to after its grace, which it was used in");
    ensure!(!browser.has_session(&node).await?, "the session outlived the reuse of a token");
    Ok(())
}

pub(super) async fn grace_is_for_one_generation(env: Env) -> Outcome {
    let (node, browser, oldest) = renewed(&env).await?;
    ensure!(browser.has_session(&node).await?, "the successor does not work");
    env.clock().advance(RENEWAL);
    let second = browser.header();
    browser.post(&node, |_| Ok(())).await?;
    ensure!(browser.header() != second, "a token that was due was not renewed");
    ensure_eq!(oldest.user(&node).await?, None, "who the token before the predecessor belongs to");
    ensure!(!browser.has_session(&node).await?, "the session outlived the reuse of a token");
    Ok(())
}

pub(super) async fn predecessor_may_read_and_write(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    let reply = old.begin(&node).handle(|session| session.insert(NOTE, &Note::Late)).await;
    reply.result?;
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Late), "what the predecessor wrote");
    Ok(())
}

pub(super) async fn predecessor_may_not_rise(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    let alice = env.user("alice")?;
    let successor = Some(browser.header());
    type Work = fn(&Session, UserId) -> Result<(), Error>;
    let works: [Work; 3] = [
        |session, _| session.regenerate(),
        |session, user| session.step_up(StepUp::new(user)),
        |session, user| session.login(Login::new(user)),
    ];
    for work in works {
        let reply = old.begin(&node).handle(|session| work(session, alice.clone())).await;
        ensure!(token(&reply) == successor, "the predecessor was not given its successor");
        ensure_err!(reply.result, Error::Superseded, "a change of privilege with the predecessor");
    }
    ensure_eq!(browser.user(&node).await?, Some(alice.clone()), "who is logged in");
    ensure_eq!(node.sessions(&alice).await?.len(), 1, "the user's sessions");
    Ok(())
}

pub(super) async fn predecessor_may_log_out(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    old.post(&node, Session::logout).await?;
    ensure!(!browser.has_session(&node).await?, "a logout with the predecessor did not end the session");
    ensure_eq!(node.sessions(&env.user("alice")?).await?.len(), 0, "sessions after the logout");
    Ok(())
}

pub(super) async fn write_survives_a_renewal(env: Env) -> Outcome {
    let (node, browser, _) = due(&env).await?;
    let slow = browser.begin(&node);
    slow.session().await?.insert(NOTE, &Note::Late)?;
    browser.post(&node, |_| Ok(())).await?;
    let reply = slow.respond(Ok(())).await;
    ensure!(token(&reply) == Some(browser.header()), "a request that met a renewal was not given the successor");
    browser.take(reply)?;
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Late), "what it wrote");
    Ok(())
}

pub(super) async fn renewal_revives_nothing(env: Env) -> Outcome {
    let (node, browser, _) = due(&env).await?;
    let alice = env.user("alice")?;
    let copy = browser.stolen();
    let slow = browser.begin(&node);
    slow.session().await?;
    node.manager().revoke_all(&alice).await?;
    let reply = slow.respond(Ok(())).await;
    ensure!(reply.set_cookie.is_none(), "a renewal of a session that ended set a cookie");
    // What it read was true when it read it; so this is no error.
    reply.result?;
    ensure!(!copy.has_session(&node).await?, "a renewal brought a session back");
    ensure_eq!(node.sessions(&alice).await?.len(), 0, "sessions after a revocation");
    Ok(())
}
