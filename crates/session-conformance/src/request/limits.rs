//! The session limit, through logins.

use std::time::Duration;

use futures::future::join_all;
use session_core::{Error, LimitPolicy, Policy, UserId};

use super::client::Client;
use super::dice::Dice;
use super::line::Trouble;
use super::node::Node;
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

fn limit(max: u32, at_limit: LimitPolicy) -> Result<Policy, Failure> {
    policy(|it| it.session_limit(max, at_limit))
}

/// Logs `user` in with `number` clients, two minutes apart.
async fn logged_in<C: Client>(env: &Env, node: &Node, user: &UserId, number: usize) -> Result<Vec<C>, Failure> {
    let mut clients = Vec::new();
    for _ in 0..number {
        let client = C::arrive(env);
        client.log_in(node, user).await?;
        clients.push(client);
        env.clock().advance(Duration::from_secs(120));
    }
    Ok(clients)
}

/// Which of the clients have a session.
async fn alive<C: Client>(node: &Node, clients: &[C]) -> Result<Vec<bool>, Failure> {
    let mut alive = Vec::new();
    for client in clients {
        alive.push(client.is_alive(node).await?);
    }
    Ok(alive)
}

pub(super) async fn evicts_the_oldest<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::EvictOldest)?).await?;
    let alice = env.user("alice")?;
    let mut clients: Vec<C> = logged_in(&env, &node, &alice, 2).await?;
    // The oldest one is the one that was used last.
    ensure!(clients[0].is_alive(&node).await?, "the first session ended within the limit");
    clients.extend(logged_in(&env, &node, &alice, 1).await?);
    ensure_eq!(alive(&node, &clients).await?, [false, true, true], "which sessions live");
    Ok(())
}

pub(super) async fn evicts_the_least_recent<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::EvictLeastRecent)?).await?;
    let alice = env.user("alice")?;
    let mut clients: Vec<C> = logged_in(&env, &node, &alice, 2).await?;
    ensure!(clients[0].is_alive(&node).await?, "the first session ended within the limit");
    clients.extend(logged_in(&env, &node, &alice, 1).await?);
    ensure_eq!(alive(&node, &clients).await?, [true, false, true], "which sessions live");
    Ok(())
}

pub(super) async fn rejects<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::Reject)?).await?;
    let alice = env.user("alice")?;
    let clients: Vec<C> = logged_in(&env, &node, &alice, 2).await?;
    let third = C::arrive(&env);
    third.visit(&node).await?;
    let login = third.try_log_in(&node, &alice, |login| login).await;
    ensure_err!(login, Error::LimitReached, "a login over the limit");
    ensure!(third.still_visits(&node).await?, "a login over the limit changed what the visitor had");
    ensure_eq!(alive(&node, &clients).await?, [true, true], "which sessions live after a login was rejected");
    // The session that a login replaces does not count, nor does one that ended.
    clients[0].log_in(&node, &alice).await?;
    clients[1].log_out(&node).await?;
    third.log_in(&node, &alice).await?;
    ensure_eq!(node.sessions(&alice).await?.len(), 2, "sessions in the end");
    Ok(())
}

pub(super) async fn expired_ones_do_not_count<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(2, LimitPolicy::Reject)?).await?;
    let alice = env.user("alice")?;
    logged_in::<C>(&env, &node, &alice, 2).await?;
    env.clock().advance(Duration::from_secs(3600));
    let clients: Vec<C> = logged_in(&env, &node, &alice, 2).await?;
    ensure_eq!(alive(&node, &clients).await?, [true, true], "which sessions live");
    Ok(())
}

pub(super) async fn dead_by_policy_does_not_count<C: Client>(env: Env) -> Outcome {
    let node = Node::start(&env, limit(1, LimitPolicy::Reject)?).await?;
    let alice = env.user("alice")?;
    logged_in::<C>(&env, &node, &alice, 1).await?;
    let now = env.now();
    let cut = node.redeploy(policy(|it| it.session_limit(1, LimitPolicy::Reject).not_before(now))?).await?;
    ensure_eq!(cut.sessions(&alice).await?.len(), 0, "sessions after the cut");
    let clients: Vec<C> = logged_in(&env, &cut, &alice, 1).await?;
    ensure_eq!(alive(&cut, &clients).await?, [true], "which sessions live");
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
        let user = env.user(&format!("user-{max}-{at_limit:?}"))?;
        let clients: Vec<C> = (0..LOGINS).map(|_| C::arrive(&env)).collect();
        for client in &clients {
            client.visit(&node).await?;
        }
        let mut worked = 0;
        for login in join_all(clients.iter().map(|client| client.try_log_in(&node, &user, |login| login))).await {
            match login {
                Ok(_) => worked += 1,
                Err(Error::LimitReached) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let expected = if at_limit == LimitPolicy::Reject { max as usize } else { LOGINS };
        ensure_eq!(worked, expected, "how many of {LOGINS} logins worked, {at_limit:?} {max}");
        ensure_eq!(node.sessions(&user).await?.len(), max as usize, "how many sessions are listed, {at_limit:?} {max}");
        let mut users = 0;
        for client in &clients {
            users += usize::from(client.is_alive(&node).await?);
        }
        ensure_eq!(users, max as usize, "how many clients are logged in, {at_limit:?} {max}");
    }
    Ok(())
}

pub(super) async fn failed_login_evicts_nobody<C: Client>(env: Env) -> Outcome {
    let dice = Dice::new();
    let node = Node::over(&env, env.store().await?, limit(2, LimitPolicy::EvictOldest)?, dice.clone());
    let alice = env.user("alice")?;
    let clients: Vec<C> = logged_in(&env, &node, &alice, 2).await?;
    node.line().suffer(Trouble::DownAt("create"));
    let outage = C::arrive(&env).try_log_in(&node, &alice, |login| login).await;
    node.line().suffer(Trouble::None);
    ensure_err!(outage, Error::Store(_), "a login that could not be stored");
    dice.fail();
    let unlucky = C::arrive(&env).try_log_in(&node, &alice, |login| login).await;
    ensure!(unlucky.is_err(), "a login without random numbers worked");
    let other = Node::start(&env, limit(2, LimitPolicy::EvictOldest)?).await?;
    ensure_eq!(alive(&other, &clients).await?, [true, true], "which sessions live after logins that failed");
    Ok(())
}
