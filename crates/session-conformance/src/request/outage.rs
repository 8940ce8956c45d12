//! A store that fails: never "no session", never a change of the cookie.

use session_core::{EventKind, Session, StoreErrorKind};

use super::browser::Browser;
use super::client::Client as _;
use super::node::{InjectedFault, Node};
use super::support::{MILLI, NOTE, Note, login, note_of, policy, refused, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure_eq};
use crate::refusal::Refusal;

/// A node, and a browser in which alice is logged in and has left a note.
async fn logged_in(env: &Env) -> Result<(Node, Browser), Failure> {
    let (node, browser) = Browser::of_alice(env).await?;
    browser.set_note(Note::Kept).await?;
    node.calls();
    Ok((node, browser))
}

/// Heals the store, and checks that all is as [`logged_in`] left it.
async fn unharmed(node: &Node, browser: &Browser) -> Outcome {
    node.heal();
    browser.assert_note(Note::Kept, "the value after the outage").await
}

pub(super) async fn unreadable_is_not_logged_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    for fault in [InjectedFault::Unavailable, InjectedFault::LoseReplies, InjectedFault::Corrupt] {
        node.inject(fault);
        let reply = browser.request().run(|session| session.insert(NOTE, &Note::Lost)).await;
        reply.refused(Refusal::STORE, "a request while the store fails")?;
        ensure_eq!(node.calls(), ["load"], "store calls of a request that cannot load its session");
        unharmed(&node, &browser).await?;
        node.calls();
    }
    Ok(())
}

pub(super) async fn another_record_is_an_error(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let theirs = node.stored(&Browser::logged_in(&node, "bob").await?.id()?).await?;
    node.inject(InjectedFault::WrongRecord(Box::new(theirs)));
    let reply = browser.request().run(user_of).await;
    reply.refused(Refusal::STORE, "a request that was given another session")?;
    unharmed(&node, &browser).await
}

pub(super) async fn hanging_store_times_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let hanging = Node::start(&env, policy(|it| it.store_timeout(20 * MILLI))?).await?;
    hanging.inject(InjectedFault::Hang);
    let tab = browser.on(&hanging);
    let Ok(reply) = tokio::time::timeout(1000 * MILLI, tab.request().run(note_of)).await else {
        return Err("a request waited for a store that hangs, longer than the store timeout".into());
    };
    reply.refused(Refusal::STORE, "a request while the store hangs")?;
    let kinds: Vec<EventKind> = hanging.events().into_iter().map(|event| event.kind).collect();
    let timeout = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Timeout };
    ensure_eq!(kinds, [timeout], "the events of a store that hangs");
    unharmed(&node, &browser).await
}

pub(super) async fn uncommitted_sets_no_cookie(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    for work in [Session::regenerate, Session::logout, |it: &Session| it.insert(NOTE, &Note::Lost)] {
        let request = browser.begin().await?;
        node.inject(InjectedFault::Unavailable);
        request.run(work).await.refused(Refusal::STORE, "a commit while the store is down")?;
        unharmed(&node, &browser).await?;
    }
    node.inject(InjectedFault::Unavailable);
    let first = node.request(&[]).run(|session| session.insert(NOTE, &Note::Lost)).await;
    first.refused(Refusal::STORE, "a first write while the store is down")?;
    unharmed(&node, &browser).await
}

pub(super) async fn logout_can_be_repeated(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    for fault in [InjectedFault::UnavailableAt("delete"), InjectedFault::LoseReplies] {
        let copy = browser.stolen();
        let request = browser.begin().await?;
        node.inject(fault);
        let logout = browser.take(request.run(Session::logout).await);
        node.heal();
        refused(logout, Refusal::STORE, "a logout whose outcome is not known")?;
        browser.log_out().await?;
        copy.assert_dead("a logout that was repeated did not end the session").await?;
        browser.log_in("alice").await?;
    }
    Ok(())
}

pub(super) async fn lost_answer_keeps_the_session(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let (nothing, write) = (browser.begin().await?, browser.begin().await?);
    node.inject(InjectedFault::LoseReplies);
    // Nothing changes, so nothing is written. If what was read may be a copy, the store is asked whether that is so.
    let reply = nothing.run(|session| session.insert(NOTE, &Note::Kept)).await;
    if env.staleness().is_zero() {
        reply.result?;
    } else {
        reply.refused(Refusal::STORE, "a write of what a copy has")?;
    }
    let reply = write.run(|session| session.insert(NOTE, &Note::First)).await;
    node.heal();
    reply.refused(Refusal::STORE, "a write whose reply got lost")?;
    browser.set_note(Note::Second).await?;
    browser.assert_note(Note::Second, "the value in the end").await
}

pub(super) async fn committed_login_keeps_its_cookie(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let request = browser.begin().await?;
    request.session.login(login("alice")?)?;
    node.manager().commit(&request.session).await?;
    request.session.insert(NOTE, &Note::Lost)?;
    node.inject(InjectedFault::Unavailable);
    let reply = request.respond().await;
    node.heal();
    refused(browser.take(reply), Refusal::STORE, "a later commit while the store is down")?;
    browser.assert_user("alice", "the user after a login that was committed").await
}
