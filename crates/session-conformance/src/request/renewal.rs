//! Renewal of the token of a long session, and the grace of its predecessor.

use std::time::Duration;

use futures::future::join_all;
use session_core::{Error, Login, Session, StepUp, UserId};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{GRACE, MILLI, NOTE, Note, RENEWAL, policy, refused, renewal, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// A node that renews tokens, and a browser in which alice is logged in.
async fn logged_in(env: &Env) -> Result<(Node, Browser), Failure> {
    let node = Node::start(env, policy(renewal)?).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    Ok((node, browser))
}

/// As [`logged_in`], and the token is due for renewal.
async fn due(env: &Env) -> Result<(Node, Browser), Failure> {
    let (node, browser) = logged_in(env).await?;
    env.clock().advance(RENEWAL);
    Ok((node, browser))
}

/// As [`due`], and then renewed; with a copy of the browser from before.
async fn renewed(env: &Env) -> Result<(Node, Browser, Browser), Failure> {
    let (node, browser) = due(env).await?;
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
    let start = env.now();
    let (_, browser) = logged_in(&env).await?;
    browser.set_note(Note::Kept).await?;
    let (first, id) = (browser.header(), browser.id()?);
    env.clock().advance(RENEWAL - MILLI);
    ensure!(browser.is_alive().await? && browser.header() == first, "a token was renewed too early");
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
    let (_, browser) = due(&env).await?;
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
    browser.assert_alive("no tab has the session any more").await
}

pub(super) async fn responses_may_overtake_each_other(env: Env) -> Outcome {
    let (_, browser) = due(&env).await?;
    // The first response gets lost, the second one is late, the third one is in time.
    let (lost, late) = (browser.request(), browser.request());
    lost.run(|_| Ok(())).await.result?;
    let late = late.run(|_| Ok(())).await;
    browser.post(|_| Ok(())).await?;
    browser.assert_alive("the session did not survive a lost response").await?;
    browser.take(late)?;
    browser.assert_alive("the session did not survive a late response").await?;
    env.clock().advance(GRACE);
    browser.assert_alive("the session did not survive the end of the grace").await
}

pub(super) async fn first_use_ends_the_grace(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    browser.assert_alive("the successor does not work").await?;
    let loser = old.request().run(|_| Ok(())).await;
    loser.refused(Refusal::SUPERSEDED, "the predecessor after its successor was used")?;
    browser.assert_alive("the loser of a race ended the session").await
}

pub(super) async fn replay_outside_the_grace_ends_the_session(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    env.clock().advance(GRACE);
    old.assert_dead("a token outside its grace works").await?;
    browser.assert_dead("the session outlived the reuse of a token").await?;
    node.assert_sessions("alice", 0, "after the reuse of a token").await
}

pub(super) async fn replay_does_not_extend_the_grace(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        let reply = old.request().run(user_of).await;
        ensure_eq!(reply.result?.as_deref(), Some("alice"), "the user of a token inside its grace");
    }
    env.clock().advance(2 * MILLI);
    old.assert_dead("a token after its grace, in which it was used works").await?;
    browser.assert_dead("the session outlived the reuse of a token").await
}

pub(super) async fn grace_is_for_one_generation(env: Env) -> Outcome {
    let (_, browser, oldest) = renewed(&env).await?;
    browser.assert_alive("the successor does not work").await?;
    env.clock().advance(RENEWAL);
    renew(&browser).await?;
    oldest.assert_dead("the token before the predecessor works").await?;
    browser.assert_dead("the session outlived the reuse of a token").await
}

pub(super) async fn predecessor_may_read_and_write(env: Env) -> Outcome {
    let (_, browser, old) = renewed(&env).await?;
    old.request().run(|session| session.insert(NOTE, &Note::Late)).await.result?;
    browser.assert_note(Note::Late, "what the predecessor wrote").await
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
    browser.assert_user("alice", "the user").await?;
    node.assert_sessions("alice", 1, "of the user").await
}

pub(super) async fn predecessor_may_log_out(env: Env) -> Outcome {
    let (node, browser, old) = renewed(&env).await?;
    old.log_out().await?;
    browser.assert_dead("a logout with the predecessor did not end the session").await?;
    node.assert_sessions("alice", 0, "after the logout").await
}

pub(super) async fn write_survives_a_renewal(env: Env) -> Outcome {
    let (_, browser) = due(&env).await?;
    let slow = browser.begin().await?;
    slow.session.insert(NOTE, &Note::Late)?;
    renew(&browser).await?;
    let reply = slow.respond().await;
    ensure!(reply.cookie() == Some(&*browser.header()), "a request that met a renewal was not given the successor");
    browser.take(reply)?;
    browser.assert_note(Note::Late, "what it wrote").await
}

pub(super) async fn renewal_revives_nothing(env: Env) -> Outcome {
    let (node, browser) = due(&env).await?;
    let copy = browser.stolen();
    let slow = browser.begin().await?;
    node.revoke_all("alice").await?;
    // What it read was true when it read it, so this is no error.
    slow.respond().await.without_cookie("a renewal of a session that ended")?;
    copy.assert_dead("a renewal revived a session").await?;
    node.assert_sessions("alice", 0, "after a revocation").await
}
