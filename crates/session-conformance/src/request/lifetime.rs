//! Deadlines, activity, "remember me", and what a session may hold.

use std::time::Duration;

use session_core::{Key, Login, PayloadLimit, Session, Timeouts};

use super::app::App;
use super::browser::{Browser, Exchange};
use super::client::Client;
use super::node::Node;
use super::support::{CART, COUNT, DAY, HOUR, MILLI, MINUTE, NOTE, Note, login, note_of, policy, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

pub(super) async fn idle_deadline_is_exact<C: Client>(env: Env) -> Outcome {
    for (wait, lives) in [(30 * MINUTE - MILLI, true), (30 * MINUTE, false), (30 * MINUTE + MILLI, false)] {
        let (_, client) = C::of_alice(&env).await?;
        env.clock().advance(wait);
        ensure_eq!(client.is_alive().await?, lives, "whether a user's session lives after {wait:?}");
    }
    Ok(())
}

pub(super) async fn idle_deadlines_are_exact(env: Env) -> Outcome {
    idle_deadline_is_exact::<Browser>(env.clone()).await?;
    let anonymous = Timeouts { idle: 10 * MINUTE, absolute: HOUR };
    let node = Node::start(&env, policy(|it| it.anonymous(anonymous))?).await?;
    for (wait, lives) in [(10 * MINUTE - MILLI, true), (10 * MINUTE, false)] {
        let browser = Browser::new(&node);
        browser.set_note(Note::Anonymous).await?;
        env.clock().advance(wait);
        ensure_eq!(browser.has_session().await?, lives, "whether an anonymous session lives after {wait:?}");
    }
    Ok(())
}

pub(super) async fn absolute_deadline_stands_still<C: Client>(env: Env) -> Outcome {
    let (start, end) = (env.now(), env.now() + 8 * HOUR);
    let (_, client) = C::of_alice(&env).await?;
    for minutes in (20..480).step_by(20) {
        env.clock().set(start + minutes * MINUTE);
        if minutes % 40 == 0 {
            client.change().await?;
        }
        ensure!(client.is_alive().await?, "an active session did not live {minutes} minutes");
    }
    env.clock().set(end - client.precision());
    client.assert_alive("an active session ended before its absolute deadline").await?;
    env.clock().set(end);
    client.assert_dead("activity moved the absolute deadline").await
}

pub(super) async fn backward_clock_extends_nothing<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.idle_timeout(8 * HOUR).touch_interval(MINUTE))?).await?;
    let start = env.now();
    let client = C::logged_in(&node, "alice").await?;
    env.clock().set(start - HOUR);
    client.change().await?;
    env.clock().advance(30 * MINUTE);
    client.change().await?;
    env.clock().set(start + 8 * HOUR - client.precision());
    client.assert_alive("a clock that jumped back shortened the session").await?;
    env.clock().set(start + 8 * HOUR);
    client.assert_dead("a clock that jumped back lengthened the session").await
}

pub(super) async fn kept_cookie_expires_all_the_same(env: Env) -> Outcome {
    let browser = Browser::new(&Node::standard(&env).await?);
    browser.log_in_with("alice", Login::remember).await?;
    let copy = browser.stolen();
    env.clock().advance(30 * DAY);
    ensure_eq!(browser.header(), "", "what a browser sends after the end of the cookie");
    ensure!(!copy.header().is_empty(), "the browser that keeps cookies did not keep this one");
    copy.assert_dead("a cookie that was kept too long works").await
}

pub(super) async fn remember_me_outlives_writes(env: Env) -> Outcome {
    let (node, transient) = Browser::of_alice(&env).await?;
    transient.restart();
    ensure_eq!(transient.header(), "", "what is left of a normal cookie after the browser was closed");
    let (kept, start) = (Browser::new(&node), env.now());
    let request = kept.begin().await?;
    request.session.login(login("alice")?.remember())?;
    ensure_eq!(max_age(&kept, request).await?, Some(30 * DAY), "the `Max-Age` of the cookie of a login");
    for day in 1..=4 {
        env.clock().set(start + day * 6 * DAY);
        kept.restart();
        kept.set_note(Note::Kept).await?;
    }
    let request = kept.begin().await?;
    request.session.regenerate()?;
    ensure_eq!(max_age(&kept, request).await?, Some(6 * DAY), "the `Max-Age` of a cookie six days before the end");
    kept.restart();
    kept.assert_user("alice", "the user who is remembered").await?;
    env.clock().set(start + 30 * DAY);
    kept.stolen().assert_dead("later writes made a remembered session last longer").await
}

/// Finishes the request and returns the `Max-Age` of the cookie that it sets.
async fn max_age(browser: &Browser, request: Exchange) -> Result<Option<Duration>, Failure> {
    let reply = request.respond().await;
    let set_cookie = reply.set_cookie.clone().unwrap_or_default();
    browser.take(reply)?;
    let seconds = set_cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age="));
    Ok(seconds.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs))
}

pub(super) async fn remembered_lives_longer(env: Env) -> Outcome {
    let (client, start) = (App::new(&Node::standard(&env).await?), env.now());
    client.log_in_with("alice", Login::remember).await?;
    for days in (6..30).step_by(6) {
        env.clock().set(start + days * DAY);
        client.assert_user("alice", "the user who is remembered, every six days").await?;
    }
    env.clock().set(start + 30 * DAY - client.precision());
    client.assert_alive("a remembered session ended before its absolute deadline").await?;
    env.clock().set(start + 30 * DAY);
    client.assert_dead("a remembered session lives longer than its absolute timeout").await
}

pub(super) async fn tightened_policy_applies<C: Client>(env: Env) -> Outcome {
    let (loose, idle) = C::of_alice(&env).await?;
    let absolute = C::logged_in(&loose, "alice").await?;
    let older = C::logged_in(&loose, "alice").await?;
    env.clock().advance(20 * MINUTE);
    let newer = C::logged_in(&loose, "alice").await?;
    let shorter_idle = Node::start(&env, policy(|it| it.idle_timeout(10 * MINUTE))?).await?;
    idle.on(&shorter_idle).assert_dead("a shorter idle timeout does not apply to earlier sessions").await?;
    let short = policy(|it| it.idle_timeout(10 * MINUTE).absolute_timeout(15 * MINUTE))?;
    let shorter_absolute = absolute.on(&Node::start(&env, short).await?);
    shorter_absolute.assert_dead("a shorter absolute timeout does not apply to earlier sessions").await?;
    let cut = Node::start(&env, policy(|it| it.not_before(env.now() - MINUTE))?).await?;
    older.on(&cut).assert_dead("a session from before the cut lives on").await?;
    newer.on(&cut).assert_alive("a session from after the cut ended").await?;
    cut.assert_sessions("alice", 1, "listed after the cut").await
}

pub(super) async fn loosened_policy_is_for_new_sessions<C: Client>(env: Env) -> Outcome {
    let strict = Node::start(&env, policy(|it| it.idle_timeout(10 * MINUTE))?).await?;
    let client = C::logged_in(&strict, "alice").await?.on(&Node::standard(&env).await?);
    env.clock().advance(9 * MINUTE);
    client.change().await?;
    env.clock().advance(15 * MINUTE);
    client.assert_dead("a longer timeout applies to earlier sessions").await
}

pub(super) async fn touched_when_due(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.touch_interval(MINUTE))?).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    node.calls();
    let steps = [(MINUTE - MILLI, &["load"][..]), (MILLI, &["load", "touch"]), (MINUTE - MILLI, &["load"])];
    for (wait, calls) in steps {
        env.clock().advance(wait);
        browser.request().get().run(note_of).await.without_cookie("recording activity")?;
        ensure_eq!(node.calls(), calls, "store calls of a request that reads");
    }
    Ok(())
}

pub(super) async fn activity_moves_the_idle_deadline<C: Client>(env: Env) -> Outcome {
    let (_, client) = C::of_alice(&env).await?;
    for _ in 0..4 {
        env.clock().advance(20 * MINUTE);
        ensure!(client.read().await?, "a session that is used every 20 minutes ended");
    }
    env.clock().advance(30 * MINUTE);
    client.assert_dead("a session lives longer than its idle timeout").await
}

pub(super) async fn passive_is_no_activity(env: Env) -> Outcome {
    let (_, browser) = Browser::of_alice(&env).await?;
    for minute in 1..=30 {
        env.clock().advance(MINUTE);
        let poll = |session: &Session| {
            session.set_passive();
            Ok(session.id().is_some())
        };
        ensure_eq!(browser.post(poll).await?, minute < 30, "whether a session lives {minute} minutes of polling");
    }
    Ok(())
}

pub(super) async fn deadline_during_a_read_is_no_error(env: Env) -> Outcome {
    let (_, browser) = Browser::of_alice(&env).await?;
    env.clock().advance(30 * MINUTE - MILLI);
    let (reader, writer) = (browser.begin().await?, browser.begin().await?);
    env.clock().advance(MILLI);
    let late = writer.run(|session| session.insert(NOTE, &Note::Late)).await;
    refused(late.result, Refusal::GONE, "a write after the deadline")?;
    // What it read was true when it read it, as for a session that was revoked meanwhile.
    reader.respond().await.result?;
    browser.assert_dead("a request that was under way at the deadline extended the session").await
}

pub(super) async fn over_the_cap_loses_nothing(env: Env) -> Outcome {
    let cap = PayloadLimit { bytes: 64, values: 2 };
    let node = Node::start(&env, policy(|it| it.payload(cap).anonymous_payload(cap))?).await?;
    let user = Browser::logged_in(&node, "alice").await?;
    let long = "x".repeat(100);
    for browser in [&user, &Browser::new(&node)] {
        let greedy = |session: &Session| {
            session.insert(NOTE, &Note::Kept)?;
            session.insert(Key::<String>::new("essay"), &long)
        };
        refused(browser.post(greedy).await, Refusal::TOO_LARGE, "a value over the cap")?;
        browser.assert_note(Note::Kept, "the value from before").await?;
    }
    // Each fits alone; together they are too many.
    let (one, two) = (user.begin().await?, user.begin().await?);
    one.session.insert(CART, &1)?;
    two.session.insert(COUNT, &2)?;
    user.take(one.respond().await)?;
    refused(user.take(two.respond().await), Refusal::TOO_LARGE, "one value too many at the commit")?;
    ensure_eq!(user.post(|it| Ok(it.keys())).await?, ["cart", "note"], "what is stored");
    Ok(())
}

pub(super) async fn undecodable_value_is_left_alone(env: Env) -> Outcome {
    let list = || Key::<Vec<u64>>::new("note");
    let (_, browser) = Browser::of_alice(&env).await?;
    browser.set_note(Note::Kept).await?;
    let read = browser.post(|session| session.get(list())).await;
    refused(read, Refusal::INVALID_VALUE, "a value of another type")?;
    let write = browser.post(|session| session.update(list(), |list| list.push(1))).await;
    refused(write, Refusal::INVALID_VALUE, "an update of a value of another type")?;
    browser.assert_note(Note::Kept, "the value afterwards").await
}
