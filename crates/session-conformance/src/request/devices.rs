//! "Your devices": list and revoke, on one node and on several.

use std::net::Ipv4Addr;
use std::time::Duration;

use session_core::{DeleteOutcome, Device, Error, Login, OsEntropy, Policy, Session, SessionId};

use super::browser::Browser;
use super::client::Client;
use super::ensure_err;
use super::node::{Method, Node};
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// Alice with three clients, and bob with one.
struct People<C> {
    node: Node,
    alice: [C; 3],
    ids: [SessionId; 3],
    bob: C,
}

async fn people<C: Client>(env: &Env) -> Result<People<C>, Failure> {
    let node = Node::start(env, Policy::standard()).await?;
    let (alice, bob) = ([(); 3].map(|()| C::arrive(env)), C::arrive(env));
    let mut ids = Vec::new();
    for client in &alice {
        ids.push(client.log_in(&node, &env.user("alice")?).await?);
    }
    bob.log_in(&node, &env.user("bob")?).await?;
    let ids = <[SessionId; 3]>::try_from(ids).map_err(|_| Failure::new("three logins gave another number of ids"))?;
    Ok(People { node, alice, ids, bob })
}

impl<C: Client> People<C> {
    /// Which of alice's clients are logged in.
    async fn alive(&self) -> Result<[bool; 3], Failure> {
        let mut alive = [false; 3];
        for (alive, client) in alive.iter_mut().zip(&self.alice) {
            *alive = client.is_alive(&self.node).await?;
        }
        Ok(alive)
    }
}

pub(super) async fn list_shows_own_devices<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let alice = env.user("alice")?;
    let (laptop, phone, bob) = (C::arrive(&env), C::arrive(&env), C::arrive(&env));
    let at_home = |login: Login| {
        let device = Device::new().with_label("laptop").with_user_agent("Firefox");
        login.device(device.with_ip(Ipv4Addr::LOCALHOST.into()))
    };
    let id = laptop.try_log_in(&node, &alice, at_home).await?;
    let begun = env.now();
    env.clock().advance(Duration::from_secs(300));
    phone.try_log_in(&node, &alice, |login| login.device(Device::new().with_label("phone"))).await?;
    bob.log_in(&node, &env.user("bob")?).await?;
    env.clock().advance(Duration::from_secs(300));
    ensure!(laptop.is_alive(&node).await?, "the first session ended");
    let list = node.manager().list(&alice).await?;
    let labels: Vec<Option<&str>> = list.iter().map(|session| session.device.label()).collect();
    ensure_eq!(labels, [Some("laptop"), Some("phone")], "the devices, most recently used first");
    let Some(first) = list.first() else { return Err("the list is empty".into()) };
    ensure!(first.id == id, "the list shows another id than the session has");
    ensure_eq!((first.created_at, first.last_seen), (begun, env.now()), "when the first session began and was used");
    let device = (first.device.user_agent(), first.device.ip());
    ensure_eq!(device, (Some("Firefox"), Some(Ipv4Addr::LOCALHOST.into())), "where the first session was opened");
    Ok(())
}

pub(super) async fn revoked_is_dead_at_the_next_request<C: Client>(env: Env) -> Outcome {
    let people = people::<C>(&env).await?;
    let alice = env.user("alice")?;
    let revoked = people.node.manager().revoke(&alice, &people.ids[1]).await?;
    ensure_eq!(revoked, DeleteOutcome::Deleted, "the revocation");
    ensure_eq!(people.alive().await?, [true, false, true], "which sessions live");
    let again = people.node.manager().revoke(&alice, &people.ids[1]).await?;
    ensure_eq!(again, DeleteOutcome::Absent, "the same revocation, repeated");
    Ok(())
}

pub(super) async fn only_the_owner_may_revoke<C: Client>(env: Env) -> Outcome {
    let people = people::<C>(&env).await?;
    let revoked = people.node.manager().revoke(&env.user("bob")?, &people.ids[0]).await?;
    ensure_eq!(revoked, DeleteOutcome::Absent, "the revocation of somebody else's session");
    ensure_eq!(people.alive().await?, [true, true, true], "which sessions live");
    Ok(())
}

pub(super) async fn revoking_the_others_keeps_this_one<C: Client>(env: Env) -> Outcome {
    let people = people::<C>(&env).await?;
    let ended = people.node.manager().revoke_others(&env.user("alice")?, &people.ids[2]).await?;
    ensure_eq!(ended, 2, "how many sessions ended");
    ensure_eq!(people.alive().await?, [false, false, true], "which sessions live");
    ensure!(people.bob.is_alive(&people.node).await?, "somebody else's session ended");
    Ok(())
}

pub(super) async fn revoking_all_ends_all<C: Client>(env: Env) -> Outcome {
    let people = people::<C>(&env).await?;
    let (node, alice) = (&people.node, env.user("alice")?);
    let slow = people.alice[0].begin_change(node).await?;
    ensure_eq!(node.manager().revoke_all(&alice).await?, 3, "how many sessions ended");
    let late = people.alice[0].end_change(slow).await;
    ensure_err!(late, Error::Gone, "a change of a session that was revoked");
    ensure_eq!(people.alive().await?, [false, false, false], "which sessions live");
    ensure!(people.bob.is_alive(node).await?, "somebody else's session ended");
    // After a revocation of everything, life goes on.
    let id = people.alice[0].log_in(node, &alice).await?;
    ensure_eq!(people.alive().await?, [true, false, false], "which sessions live after a new login");
    ensure!(node.sessions(&alice).await? == [id], "the list does not show the new login alone");
    Ok(())
}

pub(super) async fn revoked_on_one_node_is_dead_on_another(env: Env) -> Outcome {
    let (here, there) = (Node::start(&env, Policy::standard()).await?, Node::start(&env, Policy::standard()).await?);
    across(&env, &here, &there).await
}

pub(super) async fn handles_of_one_store_are_nodes(env: Env) -> Outcome {
    let here = Node::start(&env, Policy::standard()).await?;
    let there = Node::over(&env, env.open_node().await?, Policy::standard(), OsEntropy);
    across(&env, &here, &there).await
}

/// What one node does, the other one sees at the next request.
async fn across(env: &Env, here: &Node, there: &Node) -> Outcome {
    let alice = env.user("alice")?;
    let browser = Browser::new(env);
    let id = browser.log_in(here, &alice).await?;
    browser.post(there, |session| session.insert(NOTE, &Note::Second)).await?;
    ensure_eq!(browser.post(here, |it| it.get(NOTE)).await?, Some(Note::Second), "what another node wrote");
    ensure!(browser.has_session(there).await?, "a session does not work on another node");
    let old = browser.stolen();
    browser.post(here, Session::regenerate).await?;
    ensure!(!old.has_session(there).await?, "a token that was regenerated on another node works");
    ensure!(browser.has_session(there).await?, "a token that another node issued does not work");
    ensure_eq!(here.manager().revoke(&alice, &id).await?, DeleteOutcome::Deleted, "the revocation");
    let reply = there.receive(Method::Post, &[&browser.header()]).handle(|session| Ok(session.user())).await;
    ensure_eq!(reply.result?, None, "who a session belongs to that was revoked on another node");
    Ok(())
}
