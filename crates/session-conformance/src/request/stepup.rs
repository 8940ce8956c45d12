//! Regeneration, step-up, and guards of sensitive actions.

use std::time::Duration;

use session_core::{Assurance, Session, StepUp};

use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::support::{MILLI, NOTE, Note, refused, user_of};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

pub(super) async fn regenerate_kills_the_old_token(env: Env) -> Outcome {
    let (_, browser) = Browser::of_alice(&env).await?;
    browser.set_note(Note::Kept).await?;
    let id = browser.id()?;
    let old = browser.stolen();
    let slow = browser.begin().await?;
    browser.post(Session::regenerate).await?;
    old.assert_dead("the token from before a regeneration works").await?;
    let late = slow.run(|session| session.insert(NOTE, &Note::Late)).await;
    late.refused(Refusal::GONE, "a write of a request that came with the old token")?;
    let kept = browser.post(|it| Ok((it.id() == Some(id), it.get(NOTE)?))).await?;
    ensure_eq!(kept, (true, Some(Note::Kept)), "whether the id is the same, and the value");
    Ok(())
}

pub(super) async fn step_up_keeps_the_data(env: Env) -> Outcome {
    const FRESH: Duration = Duration::from_secs(300);
    let browser = Browser::new(&Node::standard(&env).await?);
    browser.log_in_with("alice", |login| login.method("pwd")).await?;
    browser.set_note(Note::Kept).await?;
    let id = browser.id()?;
    env.clock().advance(FRESH);
    ensure!(!browser.post(|it| Ok(it.is_fresh(FRESH))).await?, "a login is fresh after its time");
    let old = browser.stolen();
    let step_up = StepUp::new(env.user("alice")?).method("otp").level(Assurance::Aal2);
    browser.post(|session| session.step_up(step_up)).await?;
    old.assert_dead("the token from before a step-up works").await?;
    env.clock().advance(FRESH - MILLI);
    let session = browser.post(|session| Ok(session.clone())).await?;
    ensure!(session.is_fresh(FRESH), "a step-up is not fresh for its time");
    let reached = session.authentication().map(|it| (it.level, it.methods));
    let expected = Some((Assurance::Aal2, ["pwd".to_owned(), "otp".to_owned()].into()));
    ensure_eq!(reached, expected, "the level and the methods");
    ensure!(session.id() == Some(id), "a step-up changed the id");
    ensure_eq!(session.get(NOTE)?, Some(Note::Kept), "the value");
    Ok(())
}

pub(super) async fn wrong_user_changes_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let before = browser.header();
    let bob = StepUp::new(env.user("bob")?).level(Assurance::Aal3);
    let step_up = |session: &Session| session.step_up(bob.clone());
    refused(browser.post(step_up).await, Refusal::WRONG_USER, "a step-up of another user")?;
    browser.assert_user("alice", "the user").await?;
    let level = browser.post(|it| Ok(it.authentication().map(|it| it.level))).await?;
    ensure_eq!(level, Some(Assurance::Aal1), "the level");
    ensure!(browser.header() == before, "a step-up that was refused changed the cookie");
    let anonymous = Browser::new(&node).post(step_up).await;
    refused(anonymous, Refusal::NOT_AUTHENTICATED, "a step-up of an anonymous session")
}

pub(super) async fn guard_reads_the_store(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let transfer = browser.begin().await?;
    node.manager().reload(&transfer.session).await?;
    ensure_eq!(user_of(&transfer.session)?.as_deref(), Some("alice"), "the user, read once more");
    node.revoke_all("alice").await?;
    let guard = node.manager().reload(&transfer.session).await;
    refused(guard, Refusal::GONE, "a guard after the session was revoked")?;
    ensure_eq!(user_of(&transfer.session)?, None, "the user after the session was revoked");
    transfer.respond().await.without_cookie("a request whose session was revoked")
}
