//! The session limit, through logins.

use std::time::Duration;

use futures::future::join_all;
use session_core::{LimitPolicy, Policy};

use super::client::Client;
use super::entropy::TestEntropy;
use super::faulty_store::InjectedFault;
use super::node::Node;
use super::support::{policy, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

fn limit(max: u32, at_limit: LimitPolicy) -> Result<Policy, Failure> {
    policy(|it| it.session_limit(max, at_limit))
}

/// So many clients in which alice logged in, two minutes apart.
async fn logged_in<C: Client>(node: &Node, number: usize) -> Result<Vec<C>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..number {
        clients.push(C::logged_in(node, "alice").await?);
        node.env().clock().advance(Duration::from_secs(120));
    }
    Ok(clients)
}

/// Which of the clients are logged in.
async fn alive<C: Client>(clients: &[C]) -> Result<Vec<bool>, Failure> {
    let mut alive = Vec::new();
    for client in clients {
        alive.push(client.is_alive().await?);
    }
    Ok(alive)
}

pub(super) async fn evicts_the_oldest<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::EvictOldest)?).await?;
    let mut clients: Vec<C> = logged_in(&node, 2).await?;
    // The oldest one is the one that was used last.
    ensure!(clients[0].is_alive().await?, "the first session ended within the limit");
    clients.extend(logged_in(&node, 1).await?);
    ensure_eq!(alive(&clients).await?, [false, true, true], "which sessions live");
    Ok(())
}

pub(super) async fn evicts_the_least_recent<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::EvictLeastRecent)?).await?;
    let mut clients: Vec<C> = logged_in(&node, 2).await?;
    ensure!(clients[0].is_alive().await?, "the first session ended within the limit");
    clients.extend(logged_in(&node, 1).await?);
    ensure_eq!(alive(&clients).await?, [true, false, true], "which sessions live");
    Ok(())
}

pub(super) async fn rejects<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::Reject)?).await?;
    let clients: Vec<C> = logged_in(&node, 2).await?;
    let third = C::new(&node);
    third.begin_anonymous().await?;
    refused(third.log_in("alice").await, Refusal::LIMIT_REACHED, "a login over the limit")?;
    ensure!(third.is_still_anonymous().await?, "a login over the limit changed the session before it");
    ensure_eq!(alive(&clients).await?, [true, true], "which sessions live after a login was rejected");
    // The session that a login replaces does not count, nor does one that ended.
    clients[0].log_in("alice").await?;
    clients[1].log_out().await?;
    third.log_in("alice").await?;
    ensure_eq!(node.sessions("alice").await?.len(), 2, "sessions in the end");
    Ok(())
}

pub(super) async fn expired_ones_do_not_count<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::Reject)?).await?;
    logged_in::<C>(&node, 2).await?;
    env.clock().advance(Duration::from_secs(3600));
    let clients: Vec<C> = logged_in(&node, 2).await?;
    ensure_eq!(alive(&clients).await?, [true, true], "which sessions live");
    Ok(())
}

pub(super) async fn dead_by_policy_does_not_count<C: Client>(env: Env) -> Outcome {
    logged_in::<C>(&Node::start(&env, limit(1, LimitPolicy::Reject)?).await?, 1).await?;
    let cut = policy(|it| it.session_limit(1, LimitPolicy::Reject).not_before(env.now()))?;
    let node = Node::start(&env, cut).await?;
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after the cut");
    let clients: Vec<C> = logged_in(&node, 1).await?;
    ensure_eq!(alive(&clients).await?, [true], "which sessions live");
    Ok(())
}

pub(super) async fn holds_under_simultaneous_logins<C: Client>(env: Env) -> Outcome {
    const LOGINS: usize = 16;
    for (max, at_limit) in [
        (1, LimitPolicy::EvictOldest),
        (2, LimitPolicy::EvictLeastRecent),
        (1, LimitPolicy::Reject),
        (3, LimitPolicy::Reject),
    ] {
        let node = Node::start(&env, limit(max, at_limit)?).await?;
        let user = format!("user-{max}-{at_limit:?}");
        let clients: Vec<C> = (0..LOGINS).map(|_| C::new(&node)).collect();
        for client in &clients {
            client.begin_anonymous().await?;
        }
        let mut succeeded = 0;
        for login in join_all(clients.iter().map(|client| client.log_in(&user))).await {
            match login {
                Ok(_) => succeeded += 1,
                Err(refusal) if refusal == Refusal::LIMIT_REACHED => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let expected = if at_limit == LimitPolicy::Reject { max as usize } else { LOGINS };
        ensure_eq!(succeeded, expected, "how many of {LOGINS} logins succeeded, {at_limit:?} {max}");
        ensure_eq!(node.sessions(&user).await?.len(), max as usize, "how many sessions are listed, {at_limit:?} {max}");
        let alive = alive(&clients).await?.into_iter().filter(|alive| *alive).count();
        ensure_eq!(alive, max as usize, "how many clients are logged in, {at_limit:?} {max}");
    }
    Ok(())
}

pub(super) async fn failed_login_evicts_none<C: Client>(env: Env) -> Outcome {
    let entropy = TestEntropy::default();
    let node = Node::with_entropy(&env, limit(2, LimitPolicy::EvictOldest)?, &entropy).await?;
    let clients: Vec<C> = logged_in(&node, 2).await?;
    node.inject(InjectedFault::UnavailableAt("create"));
    let outage = C::new(&node).log_in("alice").await;
    node.heal();
    refused(outage, Refusal::STORE, "a login that could not be stored")?;
    entropy.fail();
    refused(C::new(&node).log_in("alice").await, Refusal::ENTROPY, "a login without random numbers")?;
    let other = Node::start(&env, limit(2, LimitPolicy::EvictOldest)?).await?;
    let clients: Vec<C> = clients.iter().map(|client| client.on(&other)).collect();
    ensure_eq!(alive(&clients).await?, [true, true], "which sessions live after logins that failed");
    Ok(())
}
