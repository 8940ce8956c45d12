//! Login, regeneration and step-up: a new token, and of the old session only what was asked for.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use session_core::{Assurance, Clock as _, Error, Proof, Session, StepUp};

use super::browser::Browser;
use super::client::Client as _;
use super::node::{InjectedFault, Node};
use super::support::{CART, MILLI, NO_CALLS, NOTE, Note, login, refused, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// A node, and a browser that left a note before any login.
async fn visitor(env: &Env) -> Result<(Node, Browser), Failure> {
    let node = Node::standard(env).await?;
    let browser = Browser::new(&node);
    browser.set_note(Note::Anonymous).await?;
    node.calls();
    Ok((node, browser))
}

pub(super) async fn cookie_from_before_is_dead(env: Env) -> Outcome {
    let (_, victim) = visitor(&env).await?;
    let attacker = victim.stolen();
    victim.log_in("alice").await?;
    ensure!(victim.header() != attacker.header(), "a login kept the token");
    ensure_eq!(attacker.user().await?, None, "the user of the cookie from before the login");
    ensure!(!attacker.has_session().await?, "the session from before the login lives on");
    victim.assert_user("alice", "the user who logged in").await
}

pub(super) async fn carries_over_what_is_named(env: Env) -> Outcome {
    let (_, browser) = visitor(&env).await?;
    browser.post(|session| session.insert(CART, &2)).await?;
    browser.log_in_with("alice", |login| login.carry_over(CART)).await?;
    ensure_eq!(browser.post(|it| it.get(CART)).await?, Some(2), "the value to be carried over");
    ensure_eq!(browser.note().await?, None, "a value that was not to be carried over");
    Ok(())
}

pub(super) async fn login_keeps_a_parallel_write(env: Env) -> Outcome {
    let browser = Browser::new(&Node::standard(&env).await?);
    browser.post(|session| session.insert(CART, &1)).await?;
    let request = browser.begin().await?;
    request.session.login(login("alice")?.carry_over(CART))?;
    browser.post(|session| session.update(CART, |cart| *cart += 1)).await?;
    browser.take(request.respond().await)?;
    ensure_eq!(browser.post(|it| it.get(CART)).await?, Some(2), "what was carried over");
    Ok(())
}

pub(super) async fn another_user_gets_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    browser.set_note(Note::Mine).await?;
    let old = browser.stolen();
    browser.log_in_with("bob", |login| login.carry_over(NOTE)).await?;
    browser.assert_user("bob", "the user who logged in").await?;
    ensure_eq!(browser.note().await?, None, "what one user sees of another");
    old.assert_dead("the session of the first user lives on").await?;
    node.assert_sessions("alice", 0, "of the first user").await
}

pub(super) async fn same_user_again_gets_a_new_id(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    browser.set_note(Note::Kept).await?;
    let old = browser.stolen();
    browser.log_in_with("alice", |login| login.carry_over(NOTE)).await?;
    ensure!(old.id()? != browser.id()?, "a second login kept the id");
    old.assert_dead("the session from before the second login lives on").await?;
    browser.assert_note(Note::Kept, "the value carried over").await?;
    ensure!(node.sessions("alice").await? == [browser.id()?], "the user has other sessions than the second one");
    Ok(())
}

pub(super) async fn request_in_flight_cannot_write(env: Env) -> Outcome {
    let (_, browser) = visitor(&env).await?;
    let slow = browser.begin().await?;
    browser.log_in_with("alice", |login| login.carry_over(NOTE)).await?;
    let reply = slow.run(|session| session.insert(NOTE, &Note::Late)).await;
    reply.refused(Refusal::GONE, "a write to the session that a login replaced")?;
    browser.assert_note(Note::Anonymous, "the value of the new session").await
}

pub(super) async fn handler_error_keeps_the_login(env: Env) -> Outcome {
    let (_, browser) = visitor(&env).await?;
    let login = login("alice")?;
    let failing = |session: &Session| session.login(login).and(Err::<(), _>(Error::NotAuthenticated));
    refused(browser.post(failing).await, Refusal::NOT_AUTHENTICATED, "a handler that fails after a login")?;
    browser.assert_user("alice", "the user after the handler failed").await
}

pub(super) async fn dropped_anywhere(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for polls in 1..1000 {
        let user = format!("user-{polls}");
        let browser = Browser::new(&node);
        browser.set_note(Note::Anonymous).await?;
        let request = browser.begin().await?;
        request.session.login(login(&user)?)?;
        if let Some(reply) = poll_times(polls, request.respond()).await {
            browser.take(reply)?;
            return browser.assert_user(&user, "the user of a login that was not dropped").await;
        }
        let unfinished = node.manager().drain(Duration::from_secs(30)).await;
        ensure_eq!(unfinished, 0, "what was still going on after a login that was dropped after {polls} polls");
        node.assert_sessions(&user, 0, "after a login that was dropped").await?;
    }
    Err("the login was never finished".into())
}

/// Polls the future so many times, then drops it.
async fn poll_times<T>(mut times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if times == 1 => Poll::Ready(None),
        Poll::Pending => {
            times -= 1;
            Poll::Pending
        }
    })
    .await
}

pub(super) async fn failed_login_keeps_the_session(env: Env) -> Outcome {
    let (node, browser) = visitor(&env).await?;
    let login = login("alice")?;
    node.inject(InjectedFault::UnavailableAt("create"));
    let reply = browser.request().run(|session| session.login(login)).await;
    node.heal();
    reply.refused(Refusal::STORE, "a login that could not be stored")?;
    browser.assert_note(Note::Anonymous, "the session from before").await?;
    node.assert_sessions("alice", 0, "after a login that failed").await
}

pub(super) async fn taken_id_is_left_alone(env: Env) -> Outcome {
    let (node, first) = visitor(&env).await?;
    let second = Browser::new(&node);
    node.inject(InjectedFault::RepeatFirstId);
    second.set_note(Note::Second).await?;
    first.assert_note(Note::Anonymous, "the session whose id came up again").await?;
    second.assert_note(Note::Second, "the session that took another id").await
}

pub(super) async fn no_random_no_session(env: Env) -> Outcome {
    let (node, browser) = visitor(&env).await?;
    node.inject(InjectedFault::NoEntropy);
    let login = login("alice")?;
    let reply = browser.request().run(|session| session.login(login)).await;
    reply.refused(Refusal::ENTROPY, "a login without random numbers")?;
    ensure_eq!(node.calls(), ["load"], "store calls of a login without random numbers");
    let reply = node.request(&[]).run(|session| session.insert(NOTE, &Note::Lost)).await;
    reply.refused(Refusal::ENTROPY, "a first write without random numbers")?;
    ensure_eq!(node.calls(), NO_CALLS, "store calls of a first write without random numbers");
    node.heal();
    browser.assert_note(Note::Anonymous, "the session from before").await
}

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
    ensure!(!browser.post(|it| Ok(it.is_fresh(FRESH, Assurance::Aal1))).await?, "a login is fresh after its time");
    let old = browser.stolen();
    let step_up = StepUp::new(env.user("alice")?).method("otp").level(Assurance::Aal2);
    let stepped_up = env.clock().now();
    browser.post(|session| session.step_up(step_up)).await?;
    old.assert_dead("the token from before a step-up works").await?;
    env.clock().advance(FRESH - MILLI);
    let session = browser.post(|session| Ok(session.clone())).await?;
    ensure!(session.is_fresh(FRESH, Assurance::Aal2), "a step-up is not fresh for its time");
    let strong = Proof::new(Assurance::Aal2, stepped_up).method("pwd").method("otp");
    ensure_eq!(session.authentication().map(|it| it.strongest().clone()), Some(strong.clone()), "the proof");
    ensure!(session.id() == Some(id), "a step-up changed the id");
    ensure_eq!(session.get(NOTE)?, Some(Note::Kept), "the value");

    env.clock().advance(MILLI);
    let weak_step_up = StepUp::new(env.user("alice")?).method("pwd");
    browser.post(|session| session.step_up(weak_step_up)).await?;
    let session = browser.post(|session| Ok(session.clone())).await?;
    ensure!(session.is_fresh(FRESH, Assurance::Aal1), "a weak step-up is not fresh");
    ensure!(!session.is_fresh(FRESH, Assurance::Aal2), "a weak step-up renewed a strong one");
    ensure_eq!(session.authentication().map(|it| it.strongest().clone()), Some(strong), "the strong proof");
    Ok(())
}

pub(super) async fn wrong_user_changes_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let before = browser.header();
    let bob = StepUp::new(env.user("bob")?).level(Assurance::Aal3);
    let step_up = |session: &Session| session.step_up(bob.clone());
    refused(browser.post(step_up).await, Refusal::WRONG_USER, "a step-up of another user")?;
    browser.assert_user("alice", "the user").await?;
    let level = browser.post(|it| Ok(it.authentication().map(|it| it.strongest().level))).await?;
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
