//! "Your devices": list and revoke, on one node and on several.

use std::net::Ipv4Addr;

use session_core::{DeleteOutcome, Device, Login, Session};

use super::browser::Browser;
use super::client::Client;
use super::node::Node;
use super::support::{MINUTE, Note, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// Alice with three clients, and bob with one.
struct People<C> {
    node: Node,
    alice: [C; 3],
    bob: C,
}

impl<C: Client> People<C> {
    async fn logged_in(env: &Env) -> Result<Self, Failure> {
        let node = Node::standard(env).await?;
        let alice = [(); 3].map(|()| C::new(&node));
        for client in &alice {
            client.log_in("alice").await?;
        }
        let bob = C::logged_in(&node, "bob").await?;
        Ok(Self { node, alice, bob })
    }

    /// Exactly these of alice's clients are logged in.
    async fn assert_alive(&self, expected: [bool; 3]) -> Outcome {
        let [first, second, third] = &self.alice;
        let alive = [first.is_alive().await?, second.is_alive().await?, third.is_alive().await?];
        ensure_eq!(alive, expected, "which sessions live");
        Ok(())
    }
}

pub(super) async fn list_shows_own_devices<C: Client>(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let (laptop, phone, begun) = (C::new(&node), C::new(&node), env.now());
    let at_home = |login: Login| {
        let device = Device::new().with_label("laptop").with_user_agent("Firefox");
        login.device(device.with_ip(Ipv4Addr::LOCALHOST.into()))
    };
    laptop.log_in_with("alice", at_home).await?;
    env.clock().advance(5 * MINUTE);
    phone.log_in_with("alice", |login| login.device(Device::new().with_label("phone"))).await?;
    C::logged_in(&node, "bob").await?;
    env.clock().advance(5 * MINUTE);
    laptop.assert_alive("the first session ended").await?;
    let list = node.manager().list(&env.user("alice")?).await?;
    let labels: Vec<Option<&str>> = list.iter().map(|session| session.device.label()).collect();
    ensure_eq!(labels, [Some("laptop"), Some("phone")], "the devices, most recently used first");
    let first = &list[0];
    ensure!(first.id == laptop.id()?, "the list shows another id than the session has");
    ensure_eq!((first.created_at, first.last_seen), (begun, env.now()), "when the first session began and was used");
    let device = (first.device.user_agent(), first.device.ip());
    ensure_eq!(device, (Some("Firefox"), Some(Ipv4Addr::LOCALHOST.into())), "where the first session was opened");
    Ok(())
}

pub(super) async fn revoked_is_dead_at_the_next_request<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let (manager, alice, id) = (people.node.manager(), env.user("alice")?, people.alice[1].id()?);
    ensure_eq!(manager.revoke(&alice, &id).await?, DeleteOutcome::Deleted, "the revocation");
    people.assert_alive([true, false, true]).await?;
    ensure_eq!(manager.revoke(&alice, &id).await?, DeleteOutcome::Absent, "the revocation, repeated");
    Ok(())
}

pub(super) async fn only_the_owner_may_revoke<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let revoked = people.node.manager().revoke(&env.user("bob")?, &people.alice[0].id()?).await?;
    ensure_eq!(revoked, DeleteOutcome::Absent, "the revocation of another user's session");
    people.assert_alive([true, true, true]).await
}

pub(super) async fn revoking_the_others_keeps_this_one<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let ended = people.node.manager().revoke_others(&env.user("alice")?, &people.alice[2].id()?).await?;
    ensure_eq!(ended, 2, "how many sessions ended");
    people.assert_alive([false, false, true]).await?;
    people.bob.assert_alive("another user's session ended").await
}

pub(super) async fn revoking_all_ends_all<C: Client>(env: Env) -> Outcome {
    let people = People::<C>::logged_in(&env).await?;
    let first = &people.alice[0];
    let slow = first.begin_change().await?;
    ensure_eq!(people.node.revoke_all("alice").await?, 3, "how many sessions ended");
    refused(first.end_change(slow).await, Refusal::GONE, "a change of a session that was revoked")?;
    people.assert_alive([false, false, false]).await?;
    people.bob.assert_alive("another user's session ended").await?;
    first.log_in("alice").await?;
    people.assert_alive([true, false, false]).await?;
    ensure!(people.node.sessions("alice").await? == [first.id()?], "the list does not show the new login alone");
    Ok(())
}

/// What one node does, `there`, another one, sees at the next request; with copies, as soon as those are too old.
pub(super) async fn work_across_nodes(env: &Env, there: Node) -> Outcome {
    let (here, browser) = Browser::of_alice(env).await?;
    let tab = browser.on(&there);
    tab.set_note(Note::Second).await?;
    env.settle().await;
    browser.assert_note(Note::Second, "what another node wrote").await?;
    tab.assert_alive("a session does not work on another node").await?;
    let old = tab.stolen();
    browser.post(Session::regenerate).await?;
    env.settle().await;
    old.assert_dead("a token that was regenerated on another node works").await?;
    tab.assert_alive("a token that another node issued does not work").await?;
    let revoked = here.manager().revoke(&env.user("alice")?, &browser.id()?).await?;
    ensure_eq!(revoked, DeleteOutcome::Deleted, "the revocation");
    env.settle().await;
    tab.assert_dead("a session that was revoked on another node lives on").await
}
