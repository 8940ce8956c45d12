//! Refresh tokens: each is used once, and an answer that got lost can be had again.

use std::time::Duration;

use session_core::store::Freshness;
use session_core::{DeleteOutcome, Error, OsEntropy, Policy, SessionId};

use super::client::{App, Client as _};
use super::ensure_err;
use super::line::Trouble;
use super::node::Node;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::service::{Cluster, Disruption};

/// The grace of [`Policy::standard`].
pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const MILLI: Duration = Duration::from_millis(1);

/// A node, and an app in which alice is logged in; and the id of the session.
pub(super) async fn logged_in(env: &Env) -> Result<(Node, App, SessionId), Failure> {
    let node = Node::start(env, Policy::standard()).await?;
    let app = App::default();
    let id = app.log_in(&node, &env.user("alice")?).await?;
    Ok((node, app, id))
}

/// The token that `token` is answered with, if any.
pub(super) async fn answer(node: &Node, token: &str) -> Result<Option<String>, Error> {
    Ok(node.refresh(token).await?.map(|granted| granted.token))
}

/// How often the token of the session `id` was replaced.
pub(super) async fn rotations(node: &Node, id: &SessionId) -> Result<u64, Failure> {
    let record = node.line().store().load(id, Freshness::Latest).await?.ok_or("the session is not stored any more")?;
    Ok(record.credential.generation())
}

pub(super) async fn replaced_at_each_use(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let _ = node.calls();
    let mut seen = vec![app.token()];
    for _ in 0..3 {
        ensure!(app.refresh(&node).await?, "the newest token was refused");
        ensure_eq!(node.calls(), ["load", "update"], "store calls of a refresh");
        ensure!(!seen.contains(&app.token()), "a refresh gave a token that had been there before");
        seen.push(app.token());
    }
    ensure!(node.sessions(&env.user("alice")?).await? == [id], "a refresh changed the list of sessions");
    Ok(())
}

pub(super) async fn replay_gets_the_same_successor(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let first = app.token();
    ensure!(app.refresh(&node).await?, "the first token was refused");
    for wait in [Duration::ZERO, GRACE / 2, GRACE / 2 - MILLI] {
        env.clock().advance(wait);
        let again = answer(&node, &first).await?;
        ensure!(again == Some(app.token()), "a replay inside the grace got another token or none");
    }
    ensure_eq!(rotations(&node, &id).await?, 1, "rotations after replays");
    ensure!(app.refresh(&node).await?, "the successor was refused after replays");
    Ok(())
}

pub(super) async fn restarts_are_no_reuse(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    drop(node);
    for turn in 1..=5 {
        env.close().await;
        let node = Node::start(&env, Policy::standard()).await?;
        let before = app.token();
        ensure!(app.refresh(&node).await?, "after {turn} restarts the newest token was refused");
        drop(node);
        env.close().await;
        let node = Node::start(&env, Policy::standard()).await?;
        ensure!(
            answer(&node, &before).await? == Some(app.token()),
            "a replay after a restart got another token or none"
        );
        ensure_eq!(rotations(&node, &id).await?, turn, "rotations, restarts between them");
    }
    Ok(())
}

pub(super) async fn nodes_may_take_turns(env: Env) -> Outcome {
    let (here, app, id) = logged_in(&env).await?;
    let there = Node::start(&env, Policy::standard()).await?;
    turns(&env, &[here, there], &app, &id).await
}

pub(super) async fn handles_may_take_turns(env: Env) -> Outcome {
    let (here, app, id) = logged_in(&env).await?;
    let there = Node::over(&env, env.open_node().await?, Policy::standard(), OsEntropy);
    turns(&env, &[here, there], &app, &id).await
}

/// Each node replaces tokens that the other one issued, replays them, and sees a revocation by the other one.
async fn turns(env: &Env, nodes: &[Node; 2], app: &App, id: &SessionId) -> Outcome {
    let [here, there] = nodes;
    for turn in 1..=6 {
        let (node, other) = if turn % 2 == 0 { (here, there) } else { (there, here) };
        let before = app.token();
        ensure!(app.refresh(node).await?, "a node refused the token of another one, in turn {turn}");
        let replay = answer(other, &before).await?;
        ensure!(replay == Some(app.token()), "a replay on another node got another token or none");
        ensure_eq!(rotations(node, id).await?, turn, "rotations of nodes that take turns");
    }
    let alice = env.user("alice")?;
    let alive = there.manager().find_live(id, &alice).await?;
    ensure!(alive.is_some(), "a node does not find the session");
    ensure_eq!(here.manager().revoke_all(&alice).await?, 1, "how many sessions a revocation ended");
    ensure!(there.manager().find_live(id, &alice).await?.is_none(), "a node finds a session that another one revoked");
    ensure!(!app.refresh(there).await?, "a node refreshes a session that another one revoked");
    Ok(())
}

pub(super) async fn store_down_is_an_error(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let troubles = [Trouble::Down, Trouble::LosesAnswers, Trouble::Corrupt, Trouble::DownAt("update")];
    for (turn, trouble) in (1..).zip(troubles) {
        node.line().suffer(trouble);
        let refresh = app.refresh(&node).await;
        node.line().suffer(Trouble::None);
        ensure_err!(refresh, Error::Store(_), "a refresh while the store fails");
        ensure!(app.refresh(&node).await?, "a token is worth nothing after a refresh that failed");
        ensure_eq!(rotations(&node, &id).await?, turn, "rotations after a refresh that failed");
    }
    for trouble in [Trouble::Down, Trouble::DownAt("delete")] {
        node.line().suffer(trouble);
        let logout = node.revoke_refresh_token(&app.token()).await;
        node.line().suffer(Trouble::None);
        ensure_err!(logout, Error::Store(_), "a logout while the store fails");
        ensure!(app.refresh(&node).await?, "a logout that failed ended the session");
    }
    ensure_eq!(node.revoke_refresh_token(&app.token()).await?, DeleteOutcome::Deleted, "the logout, repeated");
    ensure!(!app.refresh(&node).await?, "a session outlived its logout");
    Ok(())
}

pub(super) async fn lost_answer_is_made_good(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    for turn in 1..=3 {
        let opening = node.verify_refresh_token(&app.token()).await?.ok_or("the newest token was refused")?;
        node.line().suffer(Trouble::LosesOneAnswer);
        ensure_err!(opening.rotate().await, Error::Store(_), "a refresh whose answer got lost");
        let first = answer(&node, &app.token()).await?;
        ensure!(first.is_some(), "a client that asked again after a lost answer was refused");
        ensure!(app.refresh(&node).await? && first == Some(app.token()), "two repetitions got different tokens");
        ensure_eq!(rotations(&node, &id).await?, turn, "rotations, of which the answers got lost");
    }
    ensure!(app.refresh(&node).await?, "the session did not survive lost answers");
    Ok(())
}

pub(super) async fn lost_reply_is_made_good(env: Env) -> Outcome {
    let Cluster { nodes, service } = env.launch(Disruption::LostReply).await?;
    let [here, there] = nodes.map(|node| Node::over(&env, node, Policy::standard(), OsEntropy));
    let alice = env.user("alice")?;
    let (mut app, bystander) = (App::default(), App::default());
    // Everything once: what a connection or a server learns at the first time is not the reply to lose.
    bystander.log_in(&here, &alice).await?;
    ensure!(bystander.refresh(&here).await?, "a token was refused before anything happened");
    let id = app.log_in(&here, &alice).await?;
    for turn in 1..=6 {
        let before = app.token();
        // The reply to the load gets lost, or that to the update.
        let opening = if turn % 2 == 0 { None } else { here.verify_refresh_token(&before).await? };
        service.begin().await?;
        let first = match opening {
            Some(opening) => opening.rotate().await.map(|granted| granted.map(|granted| granted.token)),
            None => answer(&here, &before).await,
        };
        service.end().await?;
        let again = insist(&here, &before).await?;
        ensure!(again.is_some(), "a client that asked again after a lost reply was refused, in turn {turn}");
        ensure!(first.is_err() || first? == again, "an answer and its repetition differ, in turn {turn}");
        let elsewhere = insist(&there, &before).await?;
        ensure!(elsewhere == again, "another node gave another token after a lost reply, in turn {turn}");
        ensure_eq!(rotations(&there, &id).await?, turn, "rotations, of which the replies got lost");
        app = App::with(&again.unwrap_or_default());
    }
    service.begin().await?;
    let revoked = here.manager().revoke(&alice, &id).await;
    service.end().await?;
    ensure!(insist(&here, &bystander.token()).await?.is_some(), "the session of another client ended");
    if revoked.is_err() {
        let _ = here.manager().revoke(&alice, &id).await?;
    }
    ensure_eq!(there.sessions(&alice).await?.len(), 1, "sessions after a revocation whose reply got lost");
    ensure!(!app.refresh(&there).await?, "a session refreshes after a revocation whose reply got lost");
    Ok(())
}

/// The answer to `token`, asked for until there is one: a store may need a moment to find its servers.
async fn insist(node: &Node, token: &str) -> Result<Option<String>, Failure> {
    for _ in 0..200 {
        match answer(node, token).await {
            Err(Error::Store(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            answered => return Ok(answered?),
        }
    }
    Err("nothing but errors, long after the reply got lost".into())
}
