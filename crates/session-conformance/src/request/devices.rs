//! "Your devices": list and revoke, on one node and on several.

use std::net::Ipv4Addr;
use std::time::Duration;

use session_core::{DeleteOutcome, Device, Login, Session, SessionId};

use super::browser::Browser;
use super::client::Client;
use super::node::Node;
use super::support::refused;
use super::values::Note;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// Alice with three clients, and bob with one.
struct People<C> {
    node: Node,
    alice: [C; 3],
    ids: [SessionId; 3],
    bob: C,
}

impl<C: Client> People<C> {
    async fn logged_in(env: &Env) -> Result<Self, Failure> {
        let node = Node::standard(env).await?;
        let alice = [(); 3].map(|()| C::new(&node));
        let ids = [alice[0].log_in("alice").await?, alice[1].log_in("alice").await?, alice[2].log_in("alice").await?];
        let bob = C::logged_in(&node, "bob").await?;
        Ok(Self { node, alice, ids, bob })
    }

    /// Which of alice's clients are logged in.
    async fn alive(&self) -> Result<[bool; 3], Failure> {
        let [first, second, third] = &self.alice;
        Ok([first.is_alive().await?, second.is_alive().await?, third.is_alive().await?])
    }
}

pub(super) async fn list_shows_own_devices<C: Client>(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let (laptop, phone, begun) = (C::new(&node), C::new(&node), env.now());
    let at_home = |login: Login| {
        let device = Device::new().with_label("laptop").with_user_agent("Firefox");
        login.device(device.with_ip(Ipv4Addr::LOCALHOST.into()))
    };
    let id = laptop.log_in_with("alice", at_home).await?;
    env.clock().advance(Duration::from_secs(300));
    phone.log_in_with("alice", |login| login.device(Device::new().with_label("phone"))).await?;
    C::logged_in(&node, "bob").await?;
    env.clock().advance(Duration::from_secs(300));
    ensure!(laptop.is_alive().await?, "the first session ended");
    let list = node.manager().list(&env.user("alice")?).await?;
    let labels: Vec<Option<&str>> = list.iter().map(|session| session.device.label()).collect();
    ensure_eq!(labels, [Some("laptop"), Some("phone")], "the devices, most recently used first");
    let first = &list[0];
    ensure!(first.id == id, "the list shows another id than the session has");
    ensure_eq!((first.created_at, first.last_seen), (begun, env.now()), "when the first session began and was used");
    let device = (first.device.user_agent(), first.device.ip());
    ensure_eq!(device, (Some("Firefox"), Some(Ipv4Addr::LOCALHOST.into())), "where the first session was opened");
    Ok(())
}

pub(super) async fn revoked_is_dead_at_the_next_request<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let (manager, alice) = (people.node.manager(), env.user("alice")?);
    ensure_eq!(manager.revoke(&alice, &people.ids[1]).await?, DeleteOutcome::Deleted, "the revocation");
    ensure_eq!(people.alive().await?, [true, false, true], "which sessions live");
    ensure_eq!(manager.revoke(&alice, &people.ids[1]).await?, DeleteOutcome::Absent, "the revocation, repeated");
    Ok(())
}

pub(super) async fn only_the_owner_may_revoke<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let revoked = people.node.manager().revoke(&env.user("bob")?, &people.ids[0]).await?;
    ensure_eq!(revoked, DeleteOutcome::Absent, "the revocation of another user's session");
    ensure_eq!(people.alive().await?, [true, true, true], "which sessions live");
    Ok(())
}

pub(super) async fn revoking_the_others_keeps_this_one<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let ended = people.node.manager().revoke_others(&env.user("alice")?, &people.ids[2]).await?;
    ensure_eq!(ended, 2, "how many sessions ended");
    ensure_eq!(people.alive().await?, [false, false, true], "which sessions live");
    ensure!(people.bob.is_alive().await?, "another user's session ended");
    Ok(())
}

pub(super) async fn revoking_all_ends_all<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let slow = people.alice[0].begin_change().await?;
    ensure_eq!(people.node.revoke_all("alice").await?, 3, "how many sessions ended");
    let late = people.alice[0].end_change(slow).await;
    refused(late, Refusal::GONE, "a change of a session that was revoked")?;
    ensure_eq!(people.alive().await?, [false, false, false], "which sessions live");
    ensure!(people.bob.is_alive().await?, "another user's session ended");
    let id = people.alice[0].log_in("alice").await?;
    ensure_eq!(people.alive().await?, [true, false, false], "which sessions live after a new login");
    ensure!(people.node.sessions("alice").await? == [id], "the list does not show the new login alone");
    Ok(())
}

pub(super) async fn revoked_on_one_node_is_dead_on_another(env: Env) -> Outcome {
    across(&Node::standard(&env).await?, &Node::standard(&env).await?).await
}

pub(super) async fn handles_of_one_store_are_nodes(env: Env) -> Outcome {
    across(&Node::standard(&env).await?, &Node::over(&env, env.open_node().await?)).await
}

/// What one node does, the other one sees at the next request.
async fn across(here: &Node, there: &Node) -> Outcome {
    let browser = Browser::new(here);
    let id = browser.log_in("alice").await?;
    let tab = browser.on(there);
    tab.set_note(Note::Second).await?;
    ensure_eq!(browser.note().await?, Some(Note::Second), "what another node wrote");
    ensure!(tab.has_session().await?, "a session does not work on another node");
    let old = tab.stolen();
    browser.post(Session::regenerate).await?;
    ensure!(!old.has_session().await?, "a token that was regenerated on another node works");
    ensure!(tab.has_session().await?, "a token that another node issued does not work");
    let revoked = here.manager().revoke(&here.env().user("alice")?, &id).await?;
    ensure_eq!(revoked, DeleteOutcome::Deleted, "the revocation");
    ensure_eq!(tab.user().await?, None, "the user of a session that was revoked on another node");
    Ok(())
}
