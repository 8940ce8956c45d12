//! Logout, and requests that are under way at the same time.

use session_core::{Key, Session, WriteConflict};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{policy, refused, run_concurrently, yield_times};
use super::values::{CART, COUNT, NOTE, Note};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// How many requests write at the same time.
const WRITERS: usize = 64;

pub(super) async fn logout_stays_logout(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for round in 0..20 {
        let browser = Browser::logged_in(&node, "alice").await?;
        let copy = browser.stolen();
        let (slow, logout) = (browser.begin().await?, browser.begin().await?);
        slow.session.insert(NOTE, &Note::Late)?;
        logout.session.logout()?;
        // In each round, one of them comes a step later than in the round before.
        let (writer_waits, logout_waits) = if round % 2 == 0 { (round / 2, 0) } else { (0, round / 2) };
        let write = async {
            yield_times(writer_waits).await;
            slow.respond().await
        };
        let end = async {
            yield_times(logout_waits).await;
            logout.respond().await
        };
        let (written, ended) = tokio::join!(write, end);
        browser.take(ended)?;
        // Whether it came in time or not.
        let _ = browser.take(written);
        ensure!(!browser.has_session().await?, "round {round}: after a logout the browser has a session");
        ensure!(!copy.has_session().await?, "round {round}: the token from before a logout works again");
        ensure_eq!(node.sessions("alice").await?.len(), 0, "round {round}: sessions after a logout");
    }
    Ok(())
}

pub(super) async fn slow_writer_gets_gone(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let works = [Session::regenerate, |it: &Session| it.insert(NOTE, &Note::Late)];
    for (by_logout, work) in [(true, works[0]), (true, works[1]), (false, works[0]), (false, works[1])] {
        let browser = Browser::logged_in(&node, "alice").await?;
        let slow = browser.begin().await?;
        if by_logout {
            browser.log_out().await?;
        } else {
            node.revoke_all("alice").await?;
        }
        let reply = slow.run(work).await;
        refused(reply.result, Refusal::GONE, "a change of a session that ended")?;
        ensure!(reply.set_cookie.is_none(), "a change of a session that ended got a cookie");
    }
    Ok(())
}

pub(super) async fn slow_reader_revives_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let copy = browser.stolen();
    env.clock().advance(node.manager().policy().touch_interval());
    let slow = browser.begin().await?;
    browser.log_out().await?;
    // What it read was true when it read it, so this is no error.
    slow.respond().await.result?;
    ensure!(!copy.has_session().await?, "recorded activity revived a session");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after a logout");
    Ok(())
}

pub(super) async fn logout_kills_the_old_cookie(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let copy = browser.stolen();
    browser.log_out().await?;
    ensure_eq!(browser.header(), "", "the cookies after a logout");
    ensure!(!copy.has_session().await?, "the token works after the logout");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after the logout");
    Ok(())
}

pub(super) async fn logout_without_a_session_is_a_no_op(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let (anonymous, ended) = (Browser::new(&node), Browser::logged_in(&node, "alice").await?);
    node.revoke_all("alice").await?;
    node.calls();
    for (browser, calls) in [(anonymous, &[][..]), (ended, &["load"])] {
        for _ in 0..3 {
            let reply = browser.request().run(Session::logout).await;
            reply.result?;
            ensure!(reply.set_cookie.is_none(), "a logout without a session changed the cookie");
            ensure_eq!(node.calls(), calls, "store calls of a logout without a session");
        }
    }
    Ok(())
}

pub(super) async fn logout_keeps_no_data(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    browser.set_note(Note::Mine).await?;
    let copy = browser.stolen();
    browser.post(|session| session.logout().and_then(|()| session.insert(CART, &1))).await?;
    ensure_eq!(browser.user().await?, None, "the user after the logout");
    ensure_eq!(browser.note().await?, None, "what is left of the values");
    ensure_eq!(browser.post(|it| it.get(CART)).await?, Some(1), "what was set after the logout");
    ensure!(!copy.has_session().await?, "the token works after the logout");
    Ok(())
}

pub(super) async fn stale_logout_keeps_a_newer_login(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::new(&node);
    browser.set_note(Note::Anonymous).await?;
    let slow = browser.begin().await?;
    slow.session.logout()?;
    browser.log_in("alice").await?;
    browser.take(slow.respond().await)?;
    ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user after the end of an older session");
    Ok(())
}

pub(super) async fn different_keys_both_survive(env: Env) -> Outcome {
    for write_conflict in [WriteConflict::LastWriterWins, WriteConflict::Fail] {
        let node = Node::start(&env, policy(|it| it.write_conflict(write_conflict))?).await?;
        let browser = Browser::logged_in(&node, "alice").await?;
        browser.post(|session| session.insert(COUNT, &1)).await?;
        let (one, two, three) = (browser.begin().await?, browser.begin().await?, browser.begin().await?);
        one.session.insert(NOTE, &Note::First)?;
        two.session.insert(CART, &2)?;
        three.session.remove(COUNT)?;
        for writer in [one, two, three] {
            browser.take(writer.respond().await)?;
        }
        let left = browser.post(|it| Ok((it.get(NOTE)?, it.get(CART)?, it.get(COUNT)?))).await?;
        ensure_eq!(left, (Some(Note::First), Some(2), None), "what three writers of three keys left");
    }
    Ok(())
}

pub(super) async fn every_increment_counts(env: Env) -> Outcome {
    let nodes = [Node::standard(&env).await?, Node::standard(&env).await?];
    let browser = Browser::logged_in(&nodes[0], "alice").await?;
    let mut writers = Vec::new();
    for node in nodes.iter().cycle().take(WRITERS) {
        let writer = browser.on(node).begin().await?;
        writer.session.update(COUNT, |count| *count += 1)?;
        writers.push(writer.respond());
    }
    for reply in run_concurrently(writers).await? {
        browser.take(reply)?;
    }
    let sum = browser.on(&nodes[1]).post(|it| it.get(COUNT)).await?;
    ensure_eq!(sum, Some(WRITERS as u64), "the sum of all increments");
    Ok(())
}

pub(super) async fn same_key_later_commit_wins(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.write_conflict(WriteConflict::LastWriterWins))?).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let (one, two) = (browser.begin().await?, browser.begin().await?);
    browser.take(two.run(|session| session.insert(NOTE, &Note::Second)).await)?;
    browser.take(one.run(|session| session.insert(NOTE, &Note::First)).await)?;
    ensure_eq!(browser.note().await?, Some(Note::First), "the value committed last");
    Ok(())
}

pub(super) async fn same_key_may_be_an_error(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.write_conflict(WriteConflict::Fail))?).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let (one, two) = (browser.begin().await?, browser.begin().await?);
    browser.take(two.run(|session| session.insert(NOTE, &Note::Second)).await)?;
    let late = one.run(|session| session.insert(NOTE, &Note::First)).await;
    refused(late.result, Refusal::CONFLICT, "the later of two writers of one key")?;
    ensure_eq!(browser.note().await?, Some(Note::Second), "the value committed first");
    Ok(())
}

pub(super) async fn stale_write_restores_no_privilege(env: Env) -> Outcome {
    const ADMIN: Key<u64> = Key::new("admin");
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    browser.post(|session| session.insert(ADMIN, &1)).await?;
    let slow = browser.begin().await?;
    browser.post(|session| session.remove(ADMIN)).await?;
    browser.take(slow.run(|session| session.insert(NOTE, &Note::Late)).await)?;
    let both = browser.post(|it| Ok((it.get(ADMIN)?, it.get(NOTE)?))).await?;
    ensure_eq!(both, (None, Some(Note::Late)), "the role that was taken away, and what was written meanwhile");
    Ok(())
}
