//! Login: a new session, a new token, and nothing of the old one but what was asked for.

use std::pin::pin;
use std::task::Poll;

use session_core::{Error, Login, OsEntropy, Policy, Session};

use super::browser::Browser;
use super::dice::Dice;
use super::line::Trouble;
use super::node::Node;
use super::values::{CART, NOTE, Note};
use super::{NONE, ensure_err};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// Leaves a note in the session of `browser`.
async fn leave_note(browser: &Browser, node: &Node, note: Note) -> Result<(), Error> {
    browser.post(node, |session| session.insert(NOTE, &note)).await
}

pub(super) async fn cookie_from_before_is_dead(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let victim = Browser::new(&env);
    leave_note(&victim, &node, Note::Visitor).await?;
    let attacker = victim.stolen();
    let before = attacker.header();
    victim.log_in(&node, &env.user("alice")?).await?;
    ensure!(victim.header() != before, "a login kept the token");
    ensure_eq!(attacker.user(&node).await?, None, "who the cookie from before the login belongs to");
    ensure!(!attacker.has_session(&node).await?, "the session from before the login lives on");
    ensure_eq!(victim.user(&node).await?, Some(env.user("alice")?), "who is logged in");
    Ok(())
}

pub(super) async fn carries_over_what_is_named(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.post(&node, |session| session.insert(CART, &2)).await?;
    leave_note(&browser, &node, Note::Visitor).await?;
    browser.log_in_with(&node, Login::new(env.user("alice")?).carry_over(CART)).await?;
    ensure_eq!(browser.post(&node, |it| it.get(CART)).await?, Some(2), "the value that was to be carried over");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, None, "a value that was not to be carried over");
    Ok(())
}

pub(super) async fn login_keeps_a_parallel_write(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.post(&node, |session| session.insert(CART, &1)).await?;
    let login = browser.begin(&node);
    login.session().await?.login(Login::new(env.user("alice")?).carry_over(CART))?;
    browser.post(&node, |session| session.update(CART, |cart| *cart += 1)).await?;
    browser.take(login.respond(Ok(())).await)?;
    ensure_eq!(browser.post(&node, |it| it.get(CART)).await?, Some(2), "what was carried over");
    Ok(())
}

pub(super) async fn another_user_gets_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (alice, bob) = (env.user("alice")?, env.user("bob")?);
    let browser = Browser::new(&env);
    browser.log_in(&node, &alice).await?;
    leave_note(&browser, &node, Note::Mine).await?;
    let old = browser.stolen();
    browser.log_in_with(&node, Login::new(bob.clone()).carry_over(NOTE)).await?;
    ensure_eq!(browser.user(&node).await?, Some(bob), "who is logged in");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, None, "what one user sees of another");
    ensure!(!old.has_session(&node).await?, "the first user's session lives on");
    ensure_eq!(node.sessions(&alice).await?.len(), 0, "the first user's sessions");
    Ok(())
}

pub(super) async fn same_user_again_gets_a_new_id(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let browser = Browser::new(&env);
    let first = browser.log_in(&node, &alice).await?;
    leave_note(&browser, &node, Note::Kept).await?;
    let old = browser.stolen();
    let second = browser.log_in_with(&node, Login::new(alice.clone()).carry_over(NOTE)).await?;
    ensure!(first != second, "a second login kept the id");
    ensure!(!old.has_session(&node).await?, "the session from before the second login lives on");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Kept), "the value carried over");
    ensure!(node.sessions(&alice).await? == [second], "the user has other sessions than the second one");
    Ok(())
}

pub(super) async fn request_in_flight_cannot_write(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    leave_note(&browser, &node, Note::Visitor).await?;
    let slow = browser.begin(&node);
    slow.session().await?;
    browser.log_in_with(&node, Login::new(env.user("alice")?).carry_over(NOTE)).await?;
    let reply = slow.handle(|session| session.insert(NOTE, &Note::Late)).await;
    ensure_err!(reply.result, Error::Gone, "a write to the session that a login replaced");
    ensure!(reply.set_cookie.is_none(), "a request with the old token got a cookie");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Visitor), "the new session's value");
    Ok(())
}

pub(super) async fn handler_error_keeps_the_login(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    leave_note(&browser, &node, Note::Visitor).await?;
    let login = Login::new(env.user("alice")?);
    let failing = |session: &Session| {
        session.login(login)?;
        Err::<(), Error>(Error::NotAuthenticated)
    };
    ensure_err!(browser.post(&node, failing).await, Error::NotAuthenticated, "a handler that fails after a login");
    ensure_eq!(browser.user(&node).await?, Some(env.user("alice")?), "who is logged in after the handler failed");
    Ok(())
}

pub(super) async fn dropped_anywhere(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    for polls in 1..1000 {
        let user = env.user(&format!("user-{polls}"))?;
        let browser = Browser::new(&env);
        leave_note(&browser, &node, Note::Visitor).await?;
        let login = browser.begin(&node);
        login.session().await?.login(Login::new(user.clone()))?;
        let finished = {
            let mut respond = pin!(login.respond(Ok(())));
            let mut left = polls;
            std::future::poll_fn(|context| match respond.as_mut().poll(context) {
                Poll::Ready(reply) => Poll::Ready(Some(reply)),
                Poll::Pending if left == 1 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
        };
        let before = browser.has_session(&node).await?;
        // Read in this order: what a dropped future left on its way to a real store may still arrive.
        let after = node.sessions(&user).await?.len();
        ensure!(
            before || after == 1,
            "a login dropped after {polls} polls left {after} sessions and not the one before"
        );
        ensure!(
            after == 0 || !browser.has_session(&node).await?,
            "a login dropped after {polls} polls left two sessions"
        );
        if let Some(reply) = finished {
            browser.take(reply)?;
            ensure_eq!(browser.user(&node).await?, Some(user), "who is logged in when nothing was dropped");
            return Ok(());
        }
    }
    Err("the login was never finished".into())
}

pub(super) async fn failed_login_keeps_the_session(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let browser = Browser::new(&env);
    leave_note(&browser, &node, Note::Visitor).await?;
    let login = browser.begin(&node);
    login.session().await?.login(Login::new(alice.clone()))?;
    node.line().suffer(Trouble::DownAt("create"));
    let reply = login.respond(Ok(())).await;
    node.line().suffer(Trouble::None);
    ensure_err!(reply.result, Error::Store(_), "a login that could not be stored");
    ensure!(reply.set_cookie.is_none(), "a login that was not stored set a cookie");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Visitor), "the session from before");
    ensure_eq!(node.sessions(&alice).await?.len(), 0, "sessions after a login that failed");
    Ok(())
}

pub(super) async fn taken_id_is_left_alone(env: Env) -> Outcome {
    let dice = Dice::new();
    let node = Node::over(&env, env.store().await?, Policy::standard(), dice.clone());
    let (first, second) = (Browser::new(&env), Browser::new(&env));
    leave_note(&first, &node, Note::First).await?;
    dice.repeat_the_first();
    leave_note(&second, &node, Note::Second).await?;
    ensure_eq!(first.post(&node, |it| it.get(NOTE)).await?, Some(Note::First), "the session whose id came up again");
    ensure_eq!(second.post(&node, |it| it.get(NOTE)).await?, Some(Note::Second), "the session that took another id");
    Ok(())
}

pub(super) async fn no_random_no_session(env: Env) -> Outcome {
    let dice = Dice::new();
    let node = Node::over(&env, env.store().await?, Policy::standard(), dice.clone());
    let browser = Browser::new(&env);
    leave_note(&browser, &node, Note::Visitor).await?;
    let _ = node.calls();
    dice.fail();
    let login = Login::new(env.user("alice")?);
    let reply = browser.begin(&node).handle(|session| session.login(login)).await;
    ensure_err!(reply.result, Error::Entropy(_), "a login without random numbers");
    ensure!(reply.set_cookie.is_none(), "a login without random numbers set a cookie");
    ensure_eq!(node.calls(), ["load"], "store calls of a login without random numbers");
    let stranger = Browser::new(&env).begin(&node).handle(|it| it.insert(NOTE, &Note::Lost)).await;
    ensure_err!(stranger.result, Error::Entropy(_), "a first write without random numbers");
    ensure!(stranger.set_cookie.is_none(), "a first write without random numbers set a cookie");
    ensure_eq!(node.calls(), NONE, "store calls of a first write without random numbers");
    let other = Node::over(&env, env.store().await?, Policy::standard(), OsEntropy);
    ensure_eq!(browser.post(&other, |it| it.get(NOTE)).await?, Some(Note::Visitor), "the session from before");
    Ok(())
}
