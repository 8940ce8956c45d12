//! A store that fails: never "no session", never a change of the cookie.

use std::time::Duration;

use session_core::store::Freshness;
use session_core::{Error, Login, Policy, Session, StoreErrorKind};

use super::browser::Browser;
use super::line::Trouble;
use super::node::Node;
use super::values::{NOTE, Note};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// A node, and a browser in which alice is logged in and has left a note.
async fn logged_in(env: &Env, policy: Policy) -> Result<(Node, Browser), Failure> {
    let node = Node::start(env, policy).await?;
    let browser = Browser::new(env);
    browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    let _ = node.calls();
    Ok((node, browser))
}

/// Checks that all is as [`logged_in`] left it.
async fn unharmed(node: &Node, browser: &Browser) -> Outcome {
    node.line().suffer(Trouble::None);
    ensure_eq!(browser.post(node, |it| it.get(NOTE)).await?, Some(Note::Kept), "the value after the outage");
    Ok(())
}

pub(super) async fn unreadable_is_not_logged_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    for trouble in [Trouble::Down, Trouble::LosesAnswers, Trouble::Corrupt] {
        node.line().suffer(trouble);
        let write = |session: &Session| session.insert(NOTE, &Note::Lost);
        let reply = browser.begin(&node).handle(write).await;
        ensure_err!(reply.result, Error::Store(_), "a request while the store fails");
        ensure!(reply.set_cookie.is_none(), "a store that fails changed the cookie");
        ensure_eq!(node.calls(), ["load"], "store calls of a request that cannot read its session");
        unharmed(&node, &browser).await?;
        let _ = node.calls();
    }
    Ok(())
}

pub(super) async fn another_record_is_an_error(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let bob = Browser::new(&env);
    let id = bob.log_in(&node, &env.user("bob")?).await?;
    let theirs =
        node.line().store().load(&id, Freshness::Latest).await?.ok_or("a session that was logged in is not stored")?;
    node.line().suffer(Trouble::Crossed(Box::new(theirs)));
    let reply = browser.begin(&node).handle(|session| Ok(session.user())).await;
    ensure_err!(reply.result, Error::Store(_), "a request that was answered with another session");
    ensure!(reply.set_cookie.is_none(), "an answer that got mixed up changed the cookie");
    unharmed(&node, &browser).await
}

pub(super) async fn hanging_store_times_out(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let impatient = Node::start(&env, policy(|it| it.store_timeout(Duration::from_millis(20)))?).await?;
    impatient.line().suffer(Trouble::Hangs);
    let request = browser.begin(&impatient).handle(|session| session.get(NOTE));
    let Ok(reply) = tokio::time::timeout(Duration::from_secs(1), request).await else {
        return Err("a request waited for a store that hangs, longer than the store timeout".into());
    };
    match reply.result {
        Err(Error::Store(error)) => ensure_eq!(error.kind(), StoreErrorKind::Timeout, "the kind of the error"),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a request worked although the store hangs".into()),
    }
    ensure!(reply.set_cookie.is_none(), "a store that hangs changed the cookie");
    unharmed(&node, &browser).await
}

pub(super) async fn uncommitted_sets_no_cookie(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let works = [Session::regenerate, Session::logout, |it: &Session| it.insert(NOTE, &Note::Lost)];
    for work in works {
        let request = browser.begin(&node);
        request.session().await?;
        node.line().suffer(Trouble::Down);
        let reply = request.handle(work).await;
        ensure_err!(reply.result, Error::Store(_), "a commit while the store is down");
        ensure!(reply.set_cookie.is_none(), "a commit that failed changed the cookie");
        unharmed(&node, &browser).await?;
    }
    let visitor = Browser::new(&env);
    node.line().suffer(Trouble::Down);
    let first = visitor.begin(&node).handle(|session| session.insert(NOTE, &Note::Lost)).await;
    ensure_err!(first.result, Error::Store(_), "a first write while the store is down");
    ensure!(first.set_cookie.is_none(), "a session that was not stored set a cookie");
    unharmed(&node, &browser).await
}

pub(super) async fn logout_can_be_repeated(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    for trouble in [Trouble::DownAt("delete"), Trouble::LosesAnswers] {
        let copy = browser.stolen();
        let request = browser.begin(&node);
        request.session().await?;
        node.line().suffer(trouble);
        let reply = browser.take(request.handle(Session::logout).await);
        node.line().suffer(Trouble::None);
        ensure_err!(reply, Error::Store(_), "a logout whose end is not known");
        browser.post(&node, Session::logout).await?;
        ensure!(!copy.has_session(&node).await?, "a logout that was repeated did not end the session");
        browser.log_in(&node, &alice).await?;
    }
    Ok(())
}

pub(super) async fn lost_answer_keeps_the_session(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let request = browser.begin(&node);
    request.session().await?;
    node.line().suffer(Trouble::LosesAnswers);
    let reply = request.handle(|session| session.insert(NOTE, &Note::Kept)).await;
    // Nothing was to be changed, so nothing had to be asked.
    reply.result?;
    let request = browser.begin(&node);
    node.line().suffer(Trouble::None);
    request.session().await?;
    node.line().suffer(Trouble::LosesAnswers);
    let reply = request.handle(|session| session.insert(NOTE, &Note::First)).await;
    node.line().suffer(Trouble::None);
    ensure_err!(reply.result, Error::Store(_), "a write whose answer got lost");
    ensure!(reply.set_cookie.is_none(), "a write whose answer got lost changed the cookie");
    browser.post(&node, |session| session.insert(NOTE, &Note::Second)).await?;
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Second), "the value in the end");
    Ok(())
}

pub(super) async fn committed_login_keeps_its_cookie(env: Env) -> Outcome {
    let (node, browser) = logged_in(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let request = browser.begin(&node);
    let session = request.session().await?;
    session.login(Login::new(alice.clone()))?;
    request.commit().await?;
    session.insert(NOTE, &Note::Lost)?;
    node.line().suffer(Trouble::Down);
    let reply = request.respond(Ok(())).await;
    node.line().suffer(Trouble::None);
    ensure_err!(browser.take(reply), Error::Store(_), "a later commit while the store is down");
    ensure_eq!(browser.user(&node).await?, Some(alice), "who is logged in after a login that was committed");
    Ok(())
}
