//! Deadlines, activity, "remember me", and what a session may hold.

use std::time::Duration;

use session_core::{Error, Key, Login, PayloadLimit, Policy, Session, Timeouts};

use super::browser::Browser;
use super::client::{App, Client};
use super::node::{Exchange, Method, Node};
use super::values::{CART, COUNT, NOTE, Note};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn idle_deadline_is_exact<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    for (wait, lives) in [(30 * MINUTE - MILLI, true), (30 * MINUTE, false), (30 * MINUTE + MILLI, false)] {
        let client = C::arrive(&env);
        client.log_in(&node, &env.user("alice")?).await?;
        env.clock().advance(wait);
        ensure_eq!(client.is_alive(&node).await?, lives, "whether a user's session lives after {wait:?}");
    }
    Ok(())
}

pub(super) async fn idle_deadlines_are_exact(env: Env) -> Outcome {
    idle_deadline_is_exact::<Browser>(env.clone()).await?;
    let anonymous = Timeouts { idle: 10 * MINUTE, absolute: HOUR };
    let node = Node::start(&env, policy(|it| it.anonymous(anonymous))?).await?;
    for (wait, lives) in [(10 * MINUTE - MILLI, true), (10 * MINUTE, false)] {
        let browser = Browser::new(&env);
        browser.post(&node, |session| session.insert(NOTE, &Note::Visitor)).await?;
        env.clock().advance(wait);
        ensure_eq!(browser.has_session(&node).await?, lives, "whether a visitor's session lives after {wait:?}");
    }
    Ok(())
}

pub(super) async fn absolute_deadline_stands_still<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let client = C::arrive(&env);
    let end = env.now() + 8 * HOUR;
    client.log_in(&node, &env.user("alice")?).await?;
    for minutes in (20..480).step_by(20) {
        env.clock().set(end - 8 * HOUR + minutes * MINUTE);
        if minutes % 40 == 0 {
            client.change(&node).await?;
        }
        ensure!(client.is_alive(&node).await?, "an active session did not live {minutes} minutes");
    }
    env.clock().set(end - MILLI);
    ensure!(client.is_alive(&node).await?, "an active session ended before its absolute deadline");
    env.clock().set(end);
    ensure!(!client.is_alive(&node).await?, "activity moved the absolute deadline");
    Ok(())
}

pub(super) async fn backward_clock_extends_nothing<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.idle_timeout(8 * HOUR).touch_interval(MINUTE))?).await?;
    let client = C::arrive(&env);
    let start = env.now();
    client.log_in(&node, &env.user("alice")?).await?;
    env.clock().set(start - HOUR);
    client.change(&node).await?;
    env.clock().advance(30 * MINUTE);
    client.change(&node).await?;
    env.clock().set(start + 8 * HOUR - MILLI);
    ensure!(client.is_alive(&node).await?, "a clock that jumped back shortened the session");
    env.clock().set(start + 8 * HOUR);
    ensure!(!client.is_alive(&node).await?, "a clock that jumped back lengthened the session");
    Ok(())
}

pub(super) async fn server_ends_it_whatever_the_browser_keeps(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in_with(&node, Login::new(env.user("alice")?).remember()).await?;
    let hoarder = browser.stolen();
    env.clock().advance(30 * DAY);
    ensure_eq!(browser.header(), "", "what a browser sends after the life of the cookie");
    ensure!(!hoarder.header().is_empty(), "the browser that keeps cookies did not keep this one");
    ensure!(!hoarder.has_session(&node).await?, "a cookie that was kept too long works");
    Ok(())
}

pub(super) async fn remember_me_outlives_writes(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (kept, transient) = (Browser::new(&env), Browser::new(&env));
    let alice = env.user("alice")?;
    transient.log_in(&node, &alice).await?;
    transient.restart();
    ensure_eq!(transient.header(), "", "what is left of a normal cookie after the browser was closed");
    let start = env.now();
    let login = kept.begin(&node);
    login.session().await?.login(Login::new(alice.clone()).remember())?;
    ensure_eq!(max_age(&kept, login).await?, Some(30 * DAY), "how long the cookie of a login is to be kept");
    for day in 1..=4 {
        env.clock().set(start + day * 6 * DAY);
        kept.restart();
        kept.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    }
    let regenerate = kept.begin(&node);
    regenerate.session().await?.regenerate()?;
    ensure_eq!(
        max_age(&kept, regenerate).await?,
        Some(6 * DAY),
        "how long a cookie is to be kept six days before the end"
    );
    kept.restart();
    ensure_eq!(kept.user(&node).await?, Some(alice), "who is remembered");
    env.clock().set(start + 30 * DAY);
    ensure!(!kept.stolen().has_session(&node).await?, "later writes made a remembered session last longer");
    Ok(())
}

/// Finishes the request and returns the `Max-Age` of the cookie that it sets.
async fn max_age(browser: &Browser, exchange: Exchange) -> Result<Option<Duration>, Failure> {
    let reply = exchange.respond(Ok(())).await;
    let set_cookie = reply.set_cookie.clone().unwrap_or_default();
    browser.take(reply)?;
    let seconds = set_cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age="));
    Ok(seconds.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs))
}

pub(super) async fn remembered_lives_longer(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (client, alice) = (App::default(), env.user("alice")?);
    let end = env.now() + 30 * DAY;
    client.try_log_in(&node, &alice, Login::remember).await?;
    for days in (6..30).step_by(6) {
        env.clock().set(end - 30 * DAY + days * DAY);
        ensure_eq!(client.user(&node).await?.as_ref(), Some(&alice), "who is remembered after {days} days");
    }
    env.clock().set(end - MILLI);
    ensure!(client.is_alive(&node).await?, "a remembered session ended before its absolute deadline");
    env.clock().set(end);
    ensure!(!client.is_alive(&node).await?, "a remembered session lives longer than its absolute timeout");
    Ok(())
}

pub(super) async fn tightened_policy_applies<C: Client>(env: Env) -> Outcome {
    let loose = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let [idle, absolute, older, newer] = [(); 4].map(|()| C::arrive(&env));
    for client in [&idle, &absolute, &older] {
        client.log_in(&loose, &alice).await?;
    }
    env.clock().advance(20 * MINUTE);
    newer.log_in(&loose, &alice).await?;
    let stricter = loose.redeploy(policy(|it| it.idle_timeout(10 * MINUTE))?).await?;
    ensure!(!idle.is_alive(&stricter).await?, "a shorter idle timeout does not apply to earlier sessions");
    let short = policy(|it| it.idle_timeout(10 * MINUTE).absolute_timeout(15 * MINUTE))?;
    let stricter = loose.redeploy(short).await?;
    ensure!(!absolute.is_alive(&stricter).await?, "a shorter absolute timeout does not apply to earlier sessions");
    let cut = loose.redeploy(policy(|it| it.not_before(env.now() - MINUTE))?).await?;
    ensure!(!older.is_alive(&cut).await?, "a session from before the cut lives on");
    ensure!(newer.is_alive(&cut).await?, "a session from after the cut ended");
    ensure_eq!(cut.sessions(&alice).await?.len(), 1, "sessions listed after the cut");
    Ok(())
}

pub(super) async fn loosened_policy_is_for_new_sessions<C: Client>(env: Env) -> Outcome {
    let strict = Node::start(&env, policy(|it| it.idle_timeout(10 * MINUTE))?).await?;
    let client = C::arrive(&env);
    client.log_in(&strict, &env.user("alice")?).await?;
    let loose = strict.redeploy(Policy::standard()).await?;
    env.clock().advance(9 * MINUTE);
    client.change(&loose).await?;
    env.clock().advance(15 * MINUTE);
    ensure!(!client.is_alive(&loose).await?, "a longer timeout applies to earlier sessions");
    Ok(())
}

pub(super) async fn touched_when_due(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.touch_interval(MINUTE))?).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let _ = node.calls();
    let steps = [(MINUTE - MILLI, &["load"][..]), (MILLI, &["load", "touch"]), (MINUTE - MILLI, &["load"])];
    for (wait, calls) in steps {
        env.clock().advance(wait);
        let reply = node.receive(Method::Get, &[&browser.header()]).handle(|session| session.get(NOTE)).await;
        ensure!(reply.set_cookie.is_none(), "recording activity set a cookie");
        ensure_eq!(node.calls(), calls, "store calls of a request that reads");
    }
    Ok(())
}

pub(super) async fn activity_moves_the_idle_deadline<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let client = C::arrive(&env);
    client.log_in(&node, &env.user("alice")?).await?;
    for _ in 0..4 {
        env.clock().advance(20 * MINUTE);
        ensure!(client.only_reads(&node).await?, "a session that is used every 20 minutes ended");
    }
    env.clock().advance(30 * MINUTE);
    ensure!(!client.is_alive(&node).await?, "a session lives longer than its idle timeout");
    Ok(())
}

pub(super) async fn passive_is_no_activity(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    let poll = |session: &Session| {
        session.set_passive();
        Ok(session.id().is_some())
    };
    for _ in 0..29 {
        env.clock().advance(MINUTE);
        ensure!(browser.post(&node, poll).await?, "a session ended before its idle deadline");
    }
    env.clock().advance(MINUTE);
    ensure!(!browser.post(&node, poll).await?, "polling keeps a session alive");
    Ok(())
}

pub(super) async fn deadline_during_a_read_is_no_error(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    env.clock().advance(30 * MINUTE - MILLI);
    let (reader, writer) = (browser.begin(&node), browser.begin(&node));
    reader.session().await?;
    writer.session().await?;
    env.clock().advance(MILLI);
    let late = writer.handle(|session| session.insert(NOTE, &Note::Late)).await;
    ensure_err!(late.result, Error::Gone, "a write after the deadline");
    // What it read was true when it read it, as for a session that was revoked meanwhile.
    reader.respond(Ok(())).await.result?;
    ensure!(!browser.has_session(&node).await?, "a request that was under way at the deadline extended the session");
    Ok(())
}

pub(super) async fn over_the_cap_loses_nothing(env: Env) -> Outcome {
    let cap = PayloadLimit { bytes: 64, values: 2 };
    let node = Node::start(&env, policy(|it| it.payload(cap).anonymous_payload(cap))?).await?;
    let (user, visitor) = (Browser::new(&env), Browser::new(&env));
    user.log_in(&node, &env.user("alice")?).await?;
    let long = "x".repeat(100);
    for browser in [&user, &visitor] {
        let greedy = |session: &Session| {
            session.insert(NOTE, &Note::Kept)?;
            session.insert(Key::<String>::new("essay"), &long)
        };
        ensure_err!(browser.post(&node, greedy).await, Error::TooLarge { .. }, "a value over the cap");
        ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Kept), "the value from before");
    }
    // Each fits alone; together they are too many.
    let (one, two) = (user.begin(&node), user.begin(&node));
    one.session().await?.insert(CART, &1)?;
    two.session().await?.insert(COUNT, &2)?;
    user.take(one.respond(Ok(())).await)?;
    ensure_err!(user.take(two.respond(Ok(())).await), Error::TooManyValues { .. }, "one value too many at the commit");
    ensure_eq!(user.post(&node, |it| Ok(it.keys())).await?, ["cart", "note"], "what is stored");
    Ok(())
}

pub(super) async fn undecodable_value_is_left_alone(env: Env) -> Outcome {
    let list = Key::<Vec<u64>>::new("note");
    let node = Node::start(&env, Policy::standard()).await?;
    let browser = Browser::new(&env);
    browser.log_in(&node, &env.user("alice")?).await?;
    browser.post(&node, |session| session.insert(NOTE, &Note::Kept)).await?;
    let read = browser.post(&node, |session| session.get(list.clone())).await;
    ensure_err!(read, Error::Value(_), "a value of another type");
    let write = browser.post(&node, |session| session.update(list.clone(), |list| list.push(1))).await;
    ensure_err!(write, Error::Value(_), "an update of a value of another type");
    ensure_eq!(browser.post(&node, |it| it.get(NOTE)).await?, Some(Note::Kept), "the value afterwards");
    Ok(())
}
