//! Events: each transition exactly one, and none that can stand in the way. And what must be seen nowhere.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use session_core::adapter::RequestSession;
use session_core::{Event, EventKind, Expiry, LimitPolicy, Session, SessionId, StepUp, StoreErrorKind, Termination};

use super::browser::Browser;
use super::client::Client as _;
use super::cookies::unknown;
use super::node::{InjectedFault, Node};
use super::support::{GRACE, HOUR, Note, RENEWAL, note_of, policy, renewal};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// A node that renews tokens and admits one session, and a browser in which alice is logged in.
async fn start(env: &Env) -> Result<(Node, Browser), Failure> {
    let node = Node::start(env, policy(|it| renewal(it).session_limit(1, LimitPolicy::EvictOldest))?).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    node.events();
    Ok((node, browser))
}

/// Compares the events since the last call with `expected`, in any order.
fn reported(node: &Node, expected: &[EventKind], when: &str) -> Outcome {
    let sorted = |kinds: Vec<&EventKind>| {
        let mut kinds: Vec<String> = kinds.into_iter().map(|kind| format!("{kind:?}")).collect();
        kinds.sort_unstable();
        kinds
    };
    let events = node.events();
    let kinds = events.iter().map(|event| &event.kind).collect();
    ensure_eq!(sorted(kinds), sorted(expected.iter().collect()), "the events of {when}");
    Ok(())
}

pub(super) async fn each_transition_is_one_event(env: Env) -> Outcome {
    let (node, _) = start(&env).await?;
    let (browser, other, bob) = (Browser::new(&node), Browser::new(&node), env.user("bob")?);
    let ended = EventKind::Terminated;
    browser.set_note(Note::Anonymous).await?;
    reported(&node, &[EventKind::Created], "a first write")?;
    browser.log_in("bob").await?;
    reported(&node, &[ended(Termination::Replaced), EventKind::LoggedIn], "a login")?;
    browser.set_note(Note::Mine).await?;
    browser.post(note_of).await?;
    reported(&node, &[], "a write and a read")?;
    browser.post(|session| session.step_up(StepUp::new(bob.clone()))).await?;
    let (events, id) = (node.events(), browser.id()?);
    ensure_eq!(events.len(), 1, "how many events a step-up has");
    let about = |event: &Event| event.session == Some(id) && event.user.as_ref() == Some(&bob);
    ensure!(events.iter().all(|it| about(it) && it.kind == EventKind::SteppedUp), "a step-up is not reported as such");
    browser.post(Session::regenerate).await?;
    reported(&node, &[EventKind::Regenerated], "a regeneration")?;
    env.clock().advance(RENEWAL);
    browser.post(|_| Ok(())).await?;
    reported(&node, &[EventKind::Renewed], "a renewal")?;
    other.log_in("bob").await?;
    reported(&node, &[ended(Termination::Evicted), EventKind::LoggedIn], "a login at the limit")?;
    other.log_out().await?;
    reported(&node, &[ended(Termination::Logout)], "a logout")?;
    browser.log_in("bob").await?;
    node.events();
    for times in [1, 0] {
        let _ = node.manager().revoke(&bob, &browser.id()?).await?;
        reported(&node, &vec![ended(Termination::Revoked); times], "a revocation, and of its repetition")?;
    }
    Ok(())
}

pub(super) async fn every_refusal_is_an_event(env: Env) -> Outcome {
    let (node, browser) = start(&env).await?;
    let unknown = unknown()?;
    let refused = [
        ("__Host-id=1", &[EventKind::MalformedToken][..]),
        (&*unknown, &[EventKind::UnknownToken]),
        (&*format!("{unknown}; {}", browser.header()), &[EventKind::AmbiguousCookie, EventKind::UnknownToken]),
    ];
    for (header, kinds) in refused {
        node.request(&[header]).run(|_| Ok(())).await.result?;
        reported(&node, kinds, "a cookie that gives no access")?;
    }
    node.inject(InjectedFault::Unavailable);
    let _ = browser.request().run(|_| Ok(())).await;
    node.heal();
    let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Unavailable };
    reported(&node, &[failed], "an outage")?;
    env.clock().advance(HOUR);
    browser.user().await?;
    reported(&node, &[EventKind::Expired(Expiry::Idle)], "a session past its deadline")?;
    let strict = Node::start(&env, policy(|it| it.session_limit(2, LimitPolicy::Reject))?).await?;
    for _ in 0..3 {
        strict.events();
        let _ = Browser::new(&strict).log_in("bob").await;
    }
    reported(&strict, &[EventKind::LimitReached], "a login over the limit")
}

pub(super) async fn race_and_reuse_are_events(env: Env) -> Outcome {
    let (node, browser) = start(&env).await?;
    env.clock().advance(RENEWAL);
    let old = browser.stolen();
    for _ in 0..2 {
        browser.post(|_| Ok(())).await?;
    }
    node.events();
    let _ = old.request().run(|_| Ok(())).await;
    reported(&node, &[EventKind::RenewalRaced], "a race between a token and its predecessor")?;
    env.clock().advance(GRACE);
    let _ = old.request().run(|_| Ok(())).await;
    reported(&node, &[EventKind::TokenReuse, EventKind::Terminated(Termination::Reuse)], "the reuse of a token")
}

pub(super) async fn broken_sink_blocks_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let copy = browser.stolen();
    node.inject(InjectedFault::BrokenAudit);
    browser.log_out().await?;
    node.assert_sessions("alice", 0, "after a logout for which the audit sink panicked").await?;
    copy.assert_dead("a broken audit sink keeps sessions alive").await
}

/// A node, and alice's session in it: its id and the text of its token.
async fn logged_in(env: &Env) -> Result<(Node, SessionId, String), Failure> {
    let (node, browser) = Browser::of_alice(env).await?;
    browser.set_note(Note::Mine).await?;
    Ok((node, browser.id()?, browser.token()))
}

pub(super) async fn store_never_sees_a_token(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let stored = node.stored(&id).await?.encode()?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).map_err(|error| error.to_string())?;
    // `id (16) ‖ family (16) ‖ secret (16)`: the id is stored, the others must not be.
    for part in [token.as_bytes(), &token.as_bytes()[24..], &bytes[16..32], &bytes[32..]] {
        ensure!(!stored.windows(part.len()).any(|window| window == part), "a part of the token is stored");
    }
    Ok(())
}

pub(super) async fn nothing_shows_a_secret(env: Env) -> Outcome {
    let (node, id, token) = logged_in(&env).await?;
    let (manager, alice) = (node.manager(), env.user("alice")?);
    let header = format!("{}={token}", manager.policy().cookie().name());
    let presented = manager.read_cookie([header.as_bytes()]);
    let mut shown = vec![("what was presented", format!("{presented:?}"))];
    // Not through the adapter: this is about the `Debug` output of what adapters are made of.
    let request = RequestSession::new(manager.clone(), presented);
    let session = request.session().await?;
    session.regenerate()?;
    shown.push(("the session", format!("{session:?} {:?} {:?}", session.info(), session.authentication())));
    shown.push(("the request", format!("{request:?} {:?} {:?}", request.finish().await, session.user())));
    shown.push(("the manager", format!("{manager:?}")));
    shown.push(("the store", format!("{:?}", node.store())));
    shown.push(("the list", format!("{:?}", manager.list(&alice).await?)));
    shown.push(("an event", format!("{:?}", node.events())));
    shown.push(("the record", format!("{:?}", node.stored(&id).await?)));
    for fault in [InjectedFault::Unavailable, InjectedFault::Corrupt] {
        node.inject(fault);
        let Err(error) = manager.revoke(&alice, &id).await else {
            return Err("a revocation worked although the store is down".into());
        };
        shown.push(("an error", format!("{error} {error:?} {:?}", std::error::Error::source(&error))));
    }
    for (what, text) in shown {
        for secret in [&*token, &token[SessionId::TEXT_LEN..], &id.to_string(), "alice"] {
            ensure!(!text.contains(secret), "{what} shows a token, an id or a user");
        }
    }
    Ok(())
}
