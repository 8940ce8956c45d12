//! The session limit, through logins.

use std::time::Duration;

use futures::future::join_all;
use session_core::{AtLimit, Error, Login, Policy, Session, UserId};

use super::browser::Browser;
use super::dice::Dice;
use super::line::Trouble;
use super::node::Node;
use super::values::{NOTE, Note};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

fn limit(max: u32, at_limit: AtLimit) -> Result<Policy, Failure> {
    policy(|it| it.session_limit(max, at_limit))
}

/// Logs `user` in with `number` browsers, two minutes apart.
async fn logged_in(env: &Env, node: &Node, user: &UserId, number: usize) -> Result<Vec<Browser>, Failure> {
    let mut browsers = Vec::new();
    for _ in 0..number {
        let browser = Browser::new(env);
        browser.log_in(node, user).await?;
        browsers.push(browser);
        env.clock().advance(Duration::from_secs(120));
    }
    Ok(browsers)
}

/// Which of the browsers have a session.
async fn alive(node: &Node, browsers: &[Browser]) -> Result<Vec<bool>, Failure> {
    let mut alive = Vec::new();
    for browser in browsers {
        alive.push(browser.has_session(node).await?);
    }
    Ok(alive)
}

pub(super) async fn evicts_the_oldest(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, AtLimit::EvictOldest)?).await?;
    let alice = env.user("alice")?;
    let mut browsers = logged_in(&env, &node, &alice, 2).await?;
    // The oldest one is the one that was used last.
    ensure!(browsers[0].has_session(&node).await?, "the first session ended within the limit");
    browsers.extend(logged_in(&env, &node, &alice, 1).await?);
    ensure_eq!(alive(&node, &browsers).await?, [false, true, true], "which sessions live");
    Ok(())
}

pub(super) async fn evicts_the_least_recent(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, AtLimit::EvictLeastRecent)?).await?;
    let alice = env.user("alice")?;
    let mut browsers = logged_in(&env, &node, &alice, 2).await?;
    ensure!(browsers[0].has_session(&node).await?, "the first session ended within the limit");
    browsers.extend(logged_in(&env, &node, &alice, 1).await?);
    ensure_eq!(alive(&node, &browsers).await?, [true, false, true], "which sessions live");
    Ok(())
}

pub(super) async fn rejects(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, AtLimit::Reject)?).await?;
    let alice = env.user("alice")?;
    let browsers = logged_in(&env, &node, &alice, 2).await?;
    let third = Browser::new(&env);
    third.post(&node, |session| session.insert(NOTE, &Note::Visitor)).await?;
    let login = || Login::new(alice.clone());
    let reply = third.begin(&node).handle(|session| session.login(login())).await;
    ensure_err!(reply.result, Error::LimitReached, "a login over the limit");
    ensure!(reply.set_cookie.is_none(), "a login over the limit changed the cookie");
    ensure_eq!(third.post(&node, |it| it.get(NOTE)).await?, Some(Note::Visitor), "the visitor's session");
    ensure_eq!(alive(&node, &browsers).await?, [true, true], "which sessions live after a login was rejected");
    // The session that a login replaces does not count, nor does one that ended.
    browsers[0].log_in(&node, &alice).await?;
    browsers[1].post(&node, Session::logout).await?;
    third.log_in(&node, &alice).await?;
    ensure_eq!(node.sessions(&alice).await?.len(), 2, "sessions in the end");
    Ok(())
}

pub(super) async fn expired_ones_do_not_count(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, AtLimit::Reject)?).await?;
    let alice = env.user("alice")?;
    logged_in(&env, &node, &alice, 2).await?;
    env.clock().advance(Duration::from_secs(3600));
    let browsers = logged_in(&env, &node, &alice, 2).await?;
    ensure_eq!(alive(&node, &browsers).await?, [true, true], "which sessions live");
    Ok(())
}

pub(super) async fn dead_by_policy_does_not_count(env: Env) -> Outcome {
    let node = Node::start(&env, limit(1, AtLimit::Reject)?).await?;
    let alice = env.user("alice")?;
    logged_in(&env, &node, &alice, 1).await?;
    let now = env.now();
    let cut = node.redeploy(policy(|it| it.session_limit(1, AtLimit::Reject).not_before(now))?).await?;
    ensure_eq!(cut.sessions(&alice).await?.len(), 0, "sessions after the cut");
    let browsers = logged_in(&env, &cut, &alice, 1).await?;
    ensure_eq!(alive(&cut, &browsers).await?, [true], "which sessions live");
    Ok(())
}

pub(super) async fn holds_under_simultaneous_logins(env: Env) -> Outcome {
    const LOGINS: usize = 16;
    for (max, at_limit) in
        [(1, AtLimit::EvictOldest), (2, AtLimit::EvictLeastRecent), (1, AtLimit::Reject), (3, AtLimit::Reject)]
    {
        let node = Node::start(&env, limit(max, at_limit)?).await?;
        let user = env.user(&format!("user-{max}-{at_limit:?}"))?;
        let (mut browsers, mut logins) = (Vec::new(), Vec::new());
        for _ in 0..LOGINS {
            let browser = Browser::new(&env);
            browser.post(&node, |session| session.insert(NOTE, &Note::Visitor)).await?;
            let login = browser.begin(&node);
            login.session().await?.login(Login::new(user.clone()))?;
            browsers.push(browser);
            logins.push(login.respond(Ok(())));
        }
        let mut worked = 0;
        for (browser, reply) in browsers.iter().zip(join_all(logins).await) {
            match browser.take(reply) {
                Ok(()) => worked += 1,
                Err(Error::LimitReached) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let expected = if at_limit == AtLimit::Reject { max as usize } else { LOGINS };
        ensure_eq!(worked, expected, "how many of {LOGINS} logins worked, {at_limit:?} {max}");
        ensure_eq!(node.sessions(&user).await?.len(), max as usize, "how many sessions are listed, {at_limit:?} {max}");
        let mut users = 0;
        for browser in &browsers {
            users += usize::from(browser.user(&node).await?.is_some());
        }
        ensure_eq!(users, max as usize, "how many browsers are logged in, {at_limit:?} {max}");
    }
    Ok(())
}

pub(super) async fn failed_login_evicts_nobody(env: Env) -> Outcome {
    let dice = Dice::new();
    let node = Node::over(&env, env.store().await?, limit(2, AtLimit::EvictOldest)?, dice.clone());
    let alice = env.user("alice")?;
    let browsers = logged_in(&env, &node, &alice, 2).await?;
    let login = || Login::new(alice.clone());
    let wrong_password = |_: &Session| Err::<(), Error>(Error::NotAuthenticated);
    ensure_err!(Browser::new(&env).post(&node, wrong_password).await, Error::NotAuthenticated, "a wrong password");
    node.line().suffer(Trouble::DownAt("create"));
    let outage = Browser::new(&env).post(&node, |session| session.login(login())).await;
    node.line().suffer(Trouble::None);
    ensure_err!(outage, Error::Store(_), "a login that could not be stored");
    dice.fail();
    let unlucky = Browser::new(&env).post(&node, |session| session.login(login())).await;
    ensure!(unlucky.is_err(), "a login without random numbers worked");
    let other = Node::start(&env, limit(2, AtLimit::EvictOldest)?).await?;
    ensure_eq!(alive(&other, &browsers).await?, [true, true], "which sessions live after logins that failed");
    Ok(())
}
