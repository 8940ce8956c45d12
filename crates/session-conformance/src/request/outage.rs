//! A store that fails: never "no session", never a change of the cookie.

use std::time::Duration;

use session_core::{EventKind, Session, StoreErrorKind};

use super::browser::Browser;
use super::client::Client as _;
use super::faulty_store::InjectedFault;
use super::node::Node;
use super::support::{login, policy, refused, user_of};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// A node, and a browser in which alice is logged in and has left a note.
async fn logged_in(env: &Env) -> Result<(Node, Browser), Failure> {
    let node = Node::standard(env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    browser.set_note(Note::Kept).await?;
    node.calls();
    Ok((node, browser))
}

/// Heals the store, and checks that all is as [`logged_in`] left it.
async fn unharmed(node: &Node, browser: &Browser) -> Outcome {
    node.heal();
    ensure_eq!(browser.note().await?, Some(Note::Kept), "the value after the outage");
    Ok(())
}

pub(super) async fn unreadable_is_not_logged_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    for fault in [InjectedFault::Unavailable, InjectedFault::LoseReplies, InjectedFault::Corrupt] {
        node.inject(fault);
        let reply = browser.request().run(|session| session.insert(NOTE, &Note::Lost)).await;
        refused(reply.result, Refusal::STORE, "a request while the store fails")?;
        ensure!(reply.set_cookie.is_none(), "a store that fails changed the cookie");
        ensure_eq!(node.calls(), ["load"], "store calls of a request that cannot load its session");
        unharmed(&node, &browser).await?;
        node.calls();
    }
    Ok(())
}

pub(super) async fn another_record_is_an_error(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let theirs = node.stored(&Browser::new(&node).log_in("bob").await?).await?;
    node.inject(InjectedFault::WrongRecord(Box::new(theirs)));
    let reply = browser.request().run(user_of).await;
    refused(reply.result, Refusal::STORE, "a request that was given another session")?;
    ensure!(reply.set_cookie.is_none(), "a wrong record changed the cookie");
    unharmed(&node, &browser).await
}

pub(super) async fn hanging_store_times_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let hanging = Node::start(&env, policy(|it| it.store_timeout(Duration::from_millis(20)))?).await?;
    hanging.inject(InjectedFault::Hang);
    let tab = browser.on(&hanging);
    let request = tab.request().run(|session| session.get(NOTE));
    let Ok(reply) = tokio::time::timeout(Duration::from_secs(1), request).await else {
        return Err("a request waited for a store that hangs, longer than the store timeout".into());
    };
    refused(reply.result, Refusal::STORE, "a request while the store hangs")?;
    ensure!(reply.set_cookie.is_none(), "a store that hangs changed the cookie");
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
        let reply = request.run(work).await;
        refused(reply.result, Refusal::STORE, "a commit while the store is down")?;
        ensure!(reply.set_cookie.is_none(), "a commit that failed changed the cookie");
        unharmed(&node, &browser).await?;
    }
    node.inject(InjectedFault::Unavailable);
    let first = node.request(&[]).run(|session| session.insert(NOTE, &Note::Lost)).await;
    refused(first.result, Refusal::STORE, "a first write while the store is down")?;
    ensure!(first.set_cookie.is_none(), "a session that was not stored set a cookie");
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
        ensure!(!copy.has_session().await?, "a logout that was repeated did not end the session");
        browser.log_in("alice").await?;
    }
    Ok(())
}

pub(super) async fn lost_answer_keeps_the_session(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env).await?;
    let request = browser.begin().await?;
    node.inject(InjectedFault::LoseReplies);
    // Nothing changes, so nothing is written.
    request.run(|session| session.insert(NOTE, &Note::Kept)).await.result?;
    node.heal();
    let request = browser.begin().await?;
    node.inject(InjectedFault::LoseReplies);
    let reply = request.run(|session| session.insert(NOTE, &Note::First)).await;
    node.heal();
    refused(reply.result, Refusal::STORE, "a write whose reply got lost")?;
    ensure!(reply.set_cookie.is_none(), "a write whose reply got lost changed the cookie");
    browser.set_note(Note::Second).await?;
    ensure_eq!(browser.note().await?, Some(Note::Second), "the value in the end");
    Ok(())
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
    ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user after a login that was committed");
    Ok(())
}
