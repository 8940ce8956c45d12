//! The session limit, through logins.

use futures::future::join_all;
use session_core::LimitPolicy;

use super::client::Client;
use super::node::{InjectedFault, Node};
use super::support::{HOUR, MILLI, MINUTE, policy, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// A node with a session limit.
async fn limited(env: &Env, max: u32, at_limit: LimitPolicy) -> Result<Node, Failure> {
    Node::start(env, policy(|it| it.session_limit(max, at_limit))?).await
}

/// So many clients in which alice logged in, two minutes apart.
async fn logged_in<C: Client>(node: &Node, number: usize) -> Result<Vec<C>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..number {
        clients.push(C::logged_in(node, "alice").await?);
        node.env().clock().advance(2 * MINUTE);
    }
    Ok(clients)
}

/// Exactly these of the clients are logged in.
async fn assert_alive<C: Client>(clients: &[C], expected: &[bool]) -> Outcome {
    ensure_eq!(alive(clients).await?, expected, "which sessions live");
    Ok(())
}

async fn alive<C: Client>(clients: &[C]) -> Result<Vec<bool>, Failure> {
    let mut alive = Vec::new();
    for client in clients {
        alive.push(client.is_alive().await?);
    }
    Ok(alive)
}

/// Of two sessions, the older one is used last. A third login leaves these.
async fn evicts<C: Client>(env: Env, at_limit: LimitPolicy, left: [bool; 3]) -> Outcome {
    let node = limited(&env, 2, at_limit).await?;
    let mut clients: Vec<C> = logged_in(&node, 2).await?;
    clients[0].assert_alive("the first session ended within the limit").await?;
    clients.extend(logged_in(&node, 1).await?);
    assert_alive(&clients, &left).await
}

pub(super) async fn evicts_the_oldest<C: Client>(env: Env) -> Outcome {
    evicts::<C>(env, LimitPolicy::EvictOldest, [false, true, true]).await
}

pub(super) async fn evicts_the_least_recent<C: Client>(env: Env) -> Outcome {
    evicts::<C>(env, LimitPolicy::EvictLeastRecent, [true, false, true]).await
}

pub(super) async fn rejects<C: Client>(env: Env) -> Outcome {
    let node = limited(&env, 2, LimitPolicy::Reject).await?;
    let clients: Vec<C> = logged_in(&node, 2).await?;
    let third = C::new(&node);
    third.begin_anonymous().await?;
    refused(third.log_in("alice").await, Refusal::LIMIT_REACHED, "a login over the limit")?;
    ensure!(third.is_still_anonymous().await?, "a login over the limit changed the session before it");
    assert_alive(&clients, &[true, true]).await?;
    // The session that a login replaces does not count, nor does one that ended.
    clients[0].log_in("alice").await?;
    clients[1].log_out().await?;
    third.log_in("alice").await?;
    node.assert_sessions("alice", 2, "in the end").await
}

pub(super) async fn expired_ones_do_not_count<C: Client>(env: Env) -> Outcome {
    let node = limited(&env, 2, LimitPolicy::Reject).await?;
    logged_in::<C>(&node, 2).await?;
    env.clock().advance(HOUR);
    assert_alive::<C>(&logged_in(&node, 2).await?, &[true, true]).await
}

pub(super) async fn dead_by_policy_does_not_count<C: Client>(env: Env) -> Outcome {
    logged_in::<C>(&limited(&env, 1, LimitPolicy::Reject).await?, 1).await?;
    let cut = policy(|it| it.session_limit(1, LimitPolicy::Reject).not_before(env.now()))?;
    let node = Node::start(&env, cut).await?;
    node.assert_sessions("alice", 0, "after the cut").await?;
    // Not later, unless the time of a login is told less exactly.
    env.clock().advance(C::new(&node).precision() - MILLI);
    assert_alive::<C>(&logged_in(&node, 1).await?, &[true]).await
}

pub(super) async fn holds_under_simultaneous_logins<C: Client>(env: Env) -> Outcome {
    const LOGINS: usize = 16;
    for (max, at_limit) in [
        (1, LimitPolicy::EvictOldest),
        (2, LimitPolicy::EvictLeastRecent),
        (1, LimitPolicy::Reject),
        (3, LimitPolicy::Reject),
    ] {
        let node = limited(&env, max, at_limit).await?;
        let (user, when) = (format!("user-{max}-{at_limit:?}"), format!("{at_limit:?} {max}"));
        let clients: Vec<C> = (0..LOGINS).map(|_| C::new(&node)).collect();
        for client in &clients {
            client.begin_anonymous().await?;
        }
        let mut succeeded = 0;
        for login in join_all(clients.iter().map(|client| client.log_in(&user))).await {
            match login {
                Ok(()) => succeeded += 1,
                Err(refusal) if refusal == Refusal::LIMIT_REACHED => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let expected = if at_limit == LimitPolicy::Reject { max as usize } else { LOGINS };
        ensure_eq!(succeeded, expected, "how many of {LOGINS} logins succeeded, {when}");
        node.assert_sessions(&user, max as usize, &format!("that are listed, {when}")).await?;
        let alive = alive(&clients).await?.into_iter().filter(|alive| *alive).count();
        ensure_eq!(alive, max as usize, "how many clients are logged in, {when}");
    }
    Ok(())
}

pub(super) async fn failed_login_evicts_none<C: Client>(env: Env) -> Outcome {
    let node = limited(&env, 2, LimitPolicy::EvictOldest).await?;
    let clients: Vec<C> = logged_in(&node, 2).await?;
    for (fault, refusal) in
        [(InjectedFault::UnavailableAt("create"), Refusal::STORE), (InjectedFault::NoEntropy, Refusal::ENTROPY)]
    {
        node.inject(fault);
        let login = C::new(&node).log_in("alice").await;
        node.heal();
        refused(login, refusal, "a login that the store or the random generator fails")?;
    }
    assert_alive(&clients, &[true, true]).await
}
