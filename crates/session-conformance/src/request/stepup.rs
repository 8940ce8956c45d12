//! Regeneration, step-up, and guards of sensitive actions.

use std::time::Duration;

use session_core::{Assurance, Error, Login, Policy, Session, StepUp};

use super::browser::Browser;
use super::ensure_err;
use super::node::Node;
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

pub(super) async fn regenerate_kills_the_old_token(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    let id = browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    let old = browser.stolen();
    let slow = browser.begin(&node);
    slow.session().await?;
    browser.post(&node, Session::regenerate).await?;
    ensure!(!old.has_session(&node).await?, "the token from before a regeneration works");
    let late = slow.handle(|session| session.insert(NOTE, &Note::Late)).await;
    ensure_err!(late.result, Error::Gone, "a write of a request that came with the old token");
    ensure!(late.set_cookie.is_none(), "a request that came with the old token got a cookie");
    let kept = browser.post(&node, |it| Ok((it.id() == Some(id), it.get(NOTE)?))).await?;
    ensure_eq!(kept, (true, Some(Note::Kept)), "whether the id is the same, and the value");
    Ok(())
}

pub(super) async fn step_up_keeps_the_data(env: Env) -> Outcome {
    const FRESH: Duration = Duration::from_secs(300);
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let browser = Browser::new(&env);
    let id = browser.log_in_with(&node, Login::new(alice.clone()).method("pwd")).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    env.clock().advance(FRESH);
    ensure!(!browser.post(&node, |it| Ok(it.is_fresh(FRESH))).await?, "a login is fresh after its time");
    let old = browser.stolen();
    let step_up = StepUp::new(alice).method("otp").level(Assurance::Aal2);
    browser.post(&node, |session| session.step_up(step_up)).await?;
    ensure!(!old.has_session(&node).await?, "the token from before a step-up works");
    env.clock().advance(FRESH - Duration::from_millis(1));
    let session = browser.post(&node, |session| Ok(session.clone())).await?;
    ensure!(session.is_fresh(FRESH), "a step-up is not fresh for its time");
    let reached = session.authentication().map(|it| (it.level, it.methods));
    let expected = Some((Assurance::Aal2, ["pwd".to_owned(), "otp".to_owned()].into()));
    ensure_eq!(reached, expected, "the level and the methods");
    ensure!(session.id() == Some(id), "a step-up changed the id");
    ensure_eq!(session.get(NOTE)?, Some(Note::Kept), "the value");
    Ok(())
}

pub(super) async fn wrong_user_changes_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (alice, bob) = (env.user("alice")?, env.user("bob")?);
    let browser = Browser::new(&env);
    browser.log_in(&node, &alice).await?;
    let before = browser.header();
    let step_up = |user| move |it: &Session| it.step_up(StepUp::new(user).level(Assurance::Aal3));
    ensure_err!(browser.post(&node, step_up(bob.clone())).await, Error::WrongUser, "a step-up of another user");
    ensure_eq!(browser.user(&node).await?, Some(alice), "who is logged in");
    let level = browser.post(&node, |it| Ok(it.authentication().map(|it| it.level))).await?;
    ensure_eq!(level, Some(Assurance::Aal1), "the level");
    ensure!(browser.header() == before, "a step-up that was refused changed the cookie");
    let visitor = Browser::new(&env).post(&node, step_up(bob)).await;
    ensure_err!(visitor, Error::NotAuthenticated, "a step-up of nobody");
    Ok(())
}

pub(super) async fn guard_reads_the_store(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &alice).await?;
    let transfer = browser.begin(&node);
    let session = transfer.session().await?;
    transfer.reload().await?;
    ensure_eq!(session.user(), Some(alice.clone()), "who is logged in, read once more");
    node.manager().revoke_all(&alice).await?;
    ensure_err!(transfer.reload().await, Error::Gone, "a guard after the session was revoked");
    ensure_eq!(session.user(), None, "who is logged in after the session was revoked");
    let reply = transfer.respond(Ok(())).await;
    ensure!(reply.set_cookie.is_none(), "a request whose session was revoked got a cookie");
    Ok(())
}
