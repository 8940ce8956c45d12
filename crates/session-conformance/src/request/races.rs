//! Logout, and requests that are under way at the same time.

use futures::future::join_all;
use session_core::{Error, Key, Login, Policy, Session, WriteConflict};

use super::browser::Browser;
use super::node::Node;
use super::values::{CART, COUNT, NOTE, Note};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// How many requests write at the same time.
const WRITERS: usize = 64;

pub(super) async fn logout_stays_logout(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    for round in 0..20 {
        let browser = Browser::new(&env);
        browser.log_in(&node, &alice).await?;
        let copy = browser.stolen();
        let (slow, logout) = (browser.begin(&node), browser.begin(&node));
        slow.session().await?.insert(NOTE, &Note::Late)?;
        logout.session().await?.logout()?;
        // In each round, one of them comes a step later than in the round before.
        let (writer_waits, logout_waits) = if round % 2 == 0 { (round / 2, 0) } else { (0, round / 2) };
        let write = async {
            steps(writer_waits).await;
            slow.respond(Ok(())).await
        };
        let end = async {
            steps(logout_waits).await;
            logout.respond(Ok(())).await
        };
        let (written, ended) = tokio::join!(write, end);
        browser.take(ended)?;
        // Whether it came in time or not.
        let _ = browser.take(written);
        ensure!(!browser.has_session(&node).await?, "round {round}: after a logout the browser has a session");
        ensure!(!copy.has_session(&node).await?, "round {round}: the token from before a logout works again");
        ensure_eq!(node.sessions(&alice).await?.len(), 0, "round {round}: sessions after a logout");
    }
    Ok(())
}

/// Lets others go first, so many times.
async fn steps(number: usize) {
    for _ in 0..number {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn slow_writer_gets_gone(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let works = [Session::regenerate, |it: &Session| it.insert(NOTE, &Note::Late)];
    for (by_logout, work) in [(true, works[0]), (true, works[1]), (false, works[0]), (false, works[1])] {
        let browser = Browser::new(&env);
        browser.log_in(&node, &alice).await?;
        let slow = browser.begin(&node);
        slow.session().await?;
        if by_logout {
            browser.post(&node, Session::logout).await?;
        } else {
            node.manager().revoke_all(&alice).await?;
        }
        let reply = slow.handle(work).await;
        ensure_err!(reply.result, Error::Gone, "a change of a session that ended");
        ensure!(reply.set_cookie.is_none(), "a change of a session that ended got a cookie");
    }
    Ok(())
}

pub(super) async fn slow_reader_revives_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let copy = browser.stolen();
    env.clock().advance(node.policy().touch_interval());
    let slow = browser.begin(&node);
    slow.session().await?;
    browser.post(&node, Session::logout).await?;
    // What it read was true when it read it; so this is no error.
    slow.respond(Ok(())).await.result?;
    ensure!(!copy.has_session(&node).await?, "recorded activity brought a session back");
    ensure_eq!(node.sessions(&env.user("alice")?).await?.len(), 0, "sessions after a logout");
    Ok(())
}

pub(super) async fn logout_kills_the_old_cookie(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let copy = browser.stolen();
    browser.post(&node, Session::logout).await?;
    ensure_eq!(browser.header(), "", "the cookies after a logout");
    ensure!(!copy.has_session(&node).await?, "the token works after the logout");
    ensure_eq!(node.sessions(&env.user("alice")?).await?.len(), 0, "sessions after the logout");
    Ok(())
}

pub(super) async fn logout_of_nobody_does_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (stranger, ended) = (Browser::new(&env), Browser::new(&env));
    ended.log_in(&node, &env.user("alice")?).await?;
    node.manager().revoke_all(&env.user("alice")?).await?;
    let _ = node.calls();
    for (browser, calls) in [(stranger, &[][..]), (ended, &["load"])] {
        for _ in 0..3 {
            let reply = browser.begin(&node).handle(Session::logout).await;
            reply.result?;
            ensure!(reply.set_cookie.is_none(), "a logout without a session changed the cookie");
            ensure_eq!(node.calls(), calls, "store calls of a logout without a session");
        }
    }
    Ok(())
}

pub(super) async fn logout_keeps_no_data(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Mine)).await?;
    let copy = browser.stolen();
    let farewell = |session: &Session| {
        session.logout()?;
        session.insert(CART, &1)
    };
    browser.post(&node, farewell).await?;
    ensure_eq!(browser.user(&node).await?, None, "who is logged in after the logout");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, None, "what is left of the values");
    ensure_eq!(browser.post(&node, |it| it.get(CART)).await?, Some(1), "what was set after the logout");
    ensure!(!copy.has_session(&node).await?, "the token works after the logout");
    Ok(())
}

pub(super) async fn stale_logout_keeps_a_newer_login(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.post(&node, |session| session.insert(NOTE, &Note::Visitor)).await?;
    let slow = browser.begin(&node);
    slow.session().await?.logout()?;
    browser.log_in(&node, &env.user("alice")?).await?;
    browser.take(slow.respond(Ok(())).await)?;
    ensure_eq!(
        browser.user(&node).await?,
        Some(env.user("alice")?),
        "who is logged in after the end of an older session"
    );
    Ok(())
}

pub(super) async fn different_keys_both_survive(env: Env) -> Outcome {
    for write_conflict in [WriteConflict::LastWriterWins, WriteConflict::Fail] {
        let node = Node::start(&env, policy(|it| it.write_conflict(write_conflict))?).await?;
        let browser = Browser::new(&env);
        browser.log_in(&node, &env.user("alice")?).await?;
        browser.post(&node, |session| session.insert(COUNT, &1)).await?;
        let (one, two, three) = (browser.begin(&node), browser.begin(&node), browser.begin(&node));
        one.session().await?.insert(NOTE, &Note::First)?;
        two.session().await?.insert(CART, &2)?;
        three.session().await?.remove(COUNT)?;
        for writer in [one, two, three] {
            browser.take(writer.respond(Ok(())).await)?;
        }
        let all = |it: &Session| Ok((it.get(NOTE)?, it.get(CART)?, it.get(COUNT)?));
        let expected = (Some(Note::First), Some(2), None);
        ensure_eq!(browser.post(&node, all).await?, expected, "what three writers of three keys left");
    }
    Ok(())
}

pub(super) async fn every_increment_counts(env: Env) -> Outcome {
    let nodes = [Node::start(&env, Policy::standard()).await?, Node::start(&env, Policy::standard()).await?];
    let browser = Browser::new(&env);
    browser.log_in(&nodes[0], &env.user("alice")?).await?;
    let mut writers = Vec::new();
    for node in nodes.iter().cycle().take(WRITERS) {
        let writer = browser.begin(node);
        writer.session().await?.update(COUNT, |count| *count += 1)?;
        writers.push(writer.respond(Ok(())));
    }
    // Some on other threads, some on the same: both kinds of simultaneity.
    let mut tasks = Vec::new();
    while !writers.is_empty() {
        tasks.push(tokio::spawn(join_all(writers.split_off(writers.len().saturating_sub(16)))));
    }
    for task in tasks {
        for reply in task.await? {
            browser.take(reply)?;
        }
    }
    ensure_eq!(browser.post(&nodes[1], |it| it.get(COUNT)).await?, Some(WRITERS as u64), "the sum of all increments");
    Ok(())
}

pub(super) async fn same_key_later_commit_wins(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.write_conflict(WriteConflict::LastWriterWins))?).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let (one, two) = (browser.begin(&node), browser.begin(&node));
    one.session().await?.insert(NOTE, &Note::First)?;
    two.session().await?.insert(NOTE, &Note::Second)?;
    browser.take(two.respond(Ok(())).await)?;
    browser.take(one.respond(Ok(())).await)?;
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::First), "the value committed last");
    Ok(())
}

pub(super) async fn same_key_may_be_an_error(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.write_conflict(WriteConflict::Fail))?).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let (one, two) = (browser.begin(&node), browser.begin(&node));
    one.session().await?.insert(NOTE, &Note::First)?;
    two.session().await?.insert(NOTE, &Note::Second)?;
    browser.take(two.respond(Ok(())).await)?;
    ensure_err!(browser.take(one.respond(Ok(())).await), Error::Conflict, "the later of two writers of one key");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Second), "the value committed first");
    Ok(())
}

pub(super) async fn stale_write_restores_no_privilege(env: Env) -> Outcome {
    const ADMIN: Key<u64> = Key::new("admin");
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in_with(&node, Login::new(env.user("alice")?)).await?;
    browser.post(&node, |session| session.insert(ADMIN, &1)).await?;
    let slow = browser.begin(&node);
    slow.session().await?;
    browser.post(&node, |session| session.remove(ADMIN)).await?;
    browser.take(slow.handle(|session| session.insert(NOTE, &Note::Late)).await)?;
    let both = browser.post(&node, |it| Ok((it.get(ADMIN)?, it.get(NOTE)?))).await?;
    ensure_eq!(both, (None, Some(Note::Late)), "the role that was taken away, and what was written meanwhile");
    Ok(())
}
