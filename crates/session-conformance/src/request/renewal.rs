//! Renewal of the token of a long session, and the grace of its predecessor.

use std::time::Duration;

use futures::future::join_all;
use session_core::{Error, Login, Policy, Renewal, Session, SessionId, StepUp, UserId};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{policy, refused, user_of};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

const RENEWAL: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(10);
const MILLI: Duration = Duration::from_millis(1);

fn renewing() -> Result<Policy, Failure> {
    policy(|it| it.renewal(Some(Renewal { timeout: RENEWAL, grace: GRACE })))
}

/// A node, and a browser in which alice is logged in and whose token is due for renewal; and the id of the session.
async fn due(env: &Env) -> Result<(Node, Browser, SessionId), Failure> {
    let node = Node::start(env, renewing()?).await?;
    let browser = Browser::new(&node);
    let id = browser.log_in("alice").await?;
    env.clock().advance(RENEWAL);
    Ok((node, browser, id))
}

/// As [`due`], and then renewed; with a copy of the browser from before.
async fn renewed(env: &Env) -> Result<(Node, Browser, Browser), Failure> {
    let (node, browser, _) = due(env).await?;
    let old = browser.stolen();
    renew(&browser).await?;
    Ok((node, browser, old))
}

/// Sends a request that must renew the token.
async fn renew(browser: &Browser) -> Outcome {
    let before = browser.header();
    browser.post(|_| Ok(())).await?;
    ensure!(browser.header() != before, "a token that was due was not renewed");
    Ok(())
}

pub(super) async fn renewed_when_due(env: Env) -> Outcome {
    let (node, start) = (Node::start(&env, renewing()?).await?, env.now());
    let browser = Browser::new(&node);
    let id = browser.log_in("alice").await?;
    browser.set_note(Note::Kept).await?;
    let first = browser.header();
    env.clock().advance(RENEWAL - MILLI);
    ensure!(browser.has_session().await? && browser.header() == first, "a token was renewed too early");
    env.clock().advance(MILLI);
    let poll = |session: &Session| {
        session.set_passive();
        Ok(session.id())
    };
    ensure!(browser.post(poll).await? == Some(id), "polling does not find the session");
    ensure!(browser.header() == first, "polling renewed a token");
    renew(&browser).await?;
    let session = browser.post(|session| Ok(session.clone())).await?;
    ensure!(session.id() == Some(id), "a renewal changed the id");
    ensure_eq!(session.get(NOTE)?, Some(Note::Kept), "the value after a renewal");
    let begun = session.info().map(|info| info.created_at);
    ensure_eq!(begun, Some(start), "when the session began, after a renewal");
    Ok(())
}

pub(super) async fn replay_gets_the_same_successor(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    let successor = browser.header();
    for wait in [Duration::ZERO, GRACE / 2, GRACE / 2 - MILLI] {
        env.clock().advance(wait);
        let reply = old.request().run(user_of).await;
        ensure!(reply.cookie() == Some(&*successor), "a replay inside the grace got another token or none");
        ensure_eq!(reply.result?.as_deref(), Some("alice"), "the user of a token inside its grace");
    }
    Ok(())
}

pub(super) async fn tabs_cannot_fork(env: Env) -> Outcome {
    let (_, browser, _) = due(&env).await?;
    let mut tabs = Vec::new();
    for _ in 0..8 {
        tabs.push(browser.begin().await?.respond());
    }
    let replies = join_all(tabs).await;
    let first = replies[0].cookie().ok_or("a tab got no new token")?.to_owned();
    // The responses arrive in the opposite order.
    for reply in replies.into_iter().rev() {
        ensure!(reply.cookie() == Some(&*first), "two tabs got different tokens");
        browser.take(reply)?;
    }
    ensure!(browser.has_session().await?, "no tab has the session any more");
    Ok(())
}

pub(super) async fn responses_may_overtake_each_other(env: Env) -> Outcome {
    let (_, browser, _) = due(&env).await?;
    // The first response gets lost, the second one is late, the third one is in time.
    let (lost, late) = (browser.request(), browser.request());
    lost.run(|_| Ok(())).await.result?;
    let late = late.run(|_| Ok(())).await;
    browser.post(|_| Ok(())).await?;
    ensure!(browser.has_session().await?, "the session did not survive a lost response");
    browser.take(late)?;
    ensure!(browser.has_session().await?, "the session did not survive a late response");
    env.clock().advance(GRACE);
    ensure!(browser.has_session().await?, "the session did not survive the end of the grace");
    Ok(())
}

pub(super) async fn first_use_ends_the_grace(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    ensure!(browser.has_session().await?, "the successor does not work");
    let loser = old.request().run(|_| Ok(())).await;
    refused(loser.result, Refusal::SUPERSEDED, "the predecessor after its successor was used")?;
    ensure!(loser.set_cookie.is_none(), "the loser of a race had its cookie changed");
    ensure!(browser.has_session().await?, "the loser of a race ended the session");
    Ok(())
}

pub(super) async fn replay_outside_the_grace_ends_the_session(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    env.clock().advance(GRACE);
    ensure_eq!(old.user().await?, None, "the user of a token outside its grace");
    ensure!(!browser.has_session().await?, "the session outlived the reuse of a token");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after the reuse of a token");
    Ok(())
}

pub(super) async fn replay_does_not_extend_the_grace(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        let reply = old.request().run(user_of).await;
        ensure_eq!(reply.result?.as_deref(), Some("alice"), "the user of a token inside its grace");
    }
    env.clock().advance(2 * MILLI);
    ensure_eq!(old.user().await?, None, "the user of a token after its grace, in which it was used");
    ensure!(!browser.has_session().await?, "the session outlived the reuse of a token");
    Ok(())
}

pub(super) async fn grace_is_for_one_generation(env: Env) -> Outcome {
    let (_, browser, oldest) = renewed(&env).await?;
    ensure!(browser.has_session().await?, "the successor does not work");
    env.clock().advance(RENEWAL);
    renew(&browser).await?;
    ensure_eq!(oldest.user().await?, None, "the user of the token before the predecessor");
    ensure!(!browser.has_session().await?, "the session outlived the reuse of a token");
    Ok(())
}

pub(super) async fn predecessor_may_read_and_write(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    old.request().run(|session| session.insert(NOTE, &Note::Late)).await.result?;
    ensure_eq!(browser.note().await?, Some(Note::Late), "what the predecessor wrote");
    Ok(())
}

pub(super) async fn predecessor_may_not_rise(env: Env) -> Outcome {
    type Work = fn(&Session, UserId) -> Result<(), Error>;
    let (node, browser, old) = renewed(&env).await?;
    let works: [Work; 3] = [
        |session, _| session.regenerate(),
        |session, user| session.step_up(StepUp::new(user)),
        |session, user| session.login(Login::new(user)),
    ];
    let (alice, successor) = (env.user("alice")?, browser.header());
    for work in works {
        let reply = old.request().run(|session| work(session, alice.clone())).await;
        ensure!(reply.cookie() == Some(&*successor), "the predecessor was not given its successor");
        refused(reply.result, Refusal::SUPERSEDED, "a change of privilege with the predecessor")?;
    }
    ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user");
    ensure_eq!(node.sessions("alice").await?.len(), 1, "the sessions of the user");
    Ok(())
}

pub(super) async fn predecessor_may_log_out(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    old.log_out().await?;
    ensure!(!browser.has_session().await?, "a logout with the predecessor did not end the session");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after the logout");
    Ok(())
}

pub(super) async fn write_survives_a_renewal(env: Env) -> Outcome {
    let (_, browser, _) = due(&env).await?;
    let slow = browser.begin().await?;
    slow.session.insert(NOTE, &Note::Late)?;
    renew(&browser).await?;
    let reply = slow.respond().await;
    ensure!(reply.cookie() == Some(&*browser.header()), "a request that met a renewal was not given the successor");
    browser.take(reply)?;
    ensure_eq!(browser.note().await?, Some(Note::Late), "what it wrote");
    Ok(())
}

pub(super) async fn renewal_revives_nothing(env: Env) -> Outcome {
    let (node, browser, _) = due(&env).await?;
    let copy = browser.stolen();
    let slow = browser.begin().await?;
    node.revoke_all("alice").await?;
    let reply = slow.respond().await;
    ensure!(reply.set_cookie.is_none(), "a renewal of a session that ended set a cookie");
    // What it read was true when it read it, so this is no error.
    reply.result?;
    ensure!(!copy.has_session().await?, "a renewal revived a session");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after a revocation");
    Ok(())
}
