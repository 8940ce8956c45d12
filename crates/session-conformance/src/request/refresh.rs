//! Refresh tokens: each is used once, and a client whose response got lost can ask again.

use std::time::Duration;

use session_core::{DeleteOutcome, Error, SessionId};

use super::app::App;
use super::client::Client as _;
use super::faulty_store::InjectedFault;
use super::node::Node;
use super::support::refused;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;
use crate::service::{Cluster, Disruption};

/// The grace of [`Policy::standard`](session_core::Policy::standard).
pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const MILLI: Duration = Duration::from_millis(1);

/// A node, and an app in which alice is logged in; and the id of the session.
pub(super) async fn logged_in(env: &Env) -> Result<(Node, App, SessionId), Failure> {
    let node = Node::standard(env).await?;
    let app = App::new(&node);
    let id = app.log_in("alice").await?;
    Ok((node, app, id))
}

/// How often the token of the session `id` was replaced.
pub(super) async fn rotations(node: &Node, id: &SessionId) -> Result<u64, Failure> {
    Ok(node.stored(id).await?.credential.generation())
}

pub(super) async fn replaced_at_each_use(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    node.calls();
    let mut seen = vec![app.token()];
    for _ in 0..3 {
        ensure!(app.refresh().await?, "the newest token was refused");
        ensure_eq!(node.calls(), ["load", "update"], "store calls of a refresh");
        ensure!(!seen.contains(&app.token()), "a refresh returned a token that had been there before");
        seen.push(app.token());
    }
    ensure!(node.sessions("alice").await? == [id], "a refresh changed the list of sessions");
    Ok(())
}

pub(super) async fn replay_gets_the_same_successor(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let first = app.token();
    ensure!(app.refresh().await?, "the first token was refused");
    for wait in [Duration::ZERO, GRACE / 2, GRACE / 2 - MILLI] {
        env.clock().advance(wait);
        let again = node.refresh(&first).await?;
        ensure!(again == Some(app.token()), "a replay inside the grace got another token or none");
    }
    ensure_eq!(rotations(&node, &id).await?, 1, "rotations after replays");
    ensure!(app.refresh().await?, "the successor was refused after replays");
    Ok(())
}

pub(super) async fn restarts_are_no_reuse(env: Env) -> Outcome {
    let (node, mut app, id) = logged_in(&env).await?;
    drop(node);
    for turn in 1..=5 {
        let before = app.token();
        app = restarted(&env, app).await?;
        ensure!(app.refresh().await?, "after {turn} restarts the newest token was refused");
        app = restarted(&env, app).await?;
        let replay = app.node().refresh(&before).await?;
        ensure!(replay == Some(app.token()), "a replay after a restart got another token or none");
        ensure_eq!(rotations(app.node(), &id).await?, turn, "rotations, restarts between them");
    }
    Ok(())
}

/// Restarts the process. The app must be the last one to hold its node.
pub(super) async fn restarted(env: &Env, app: App) -> Result<App, Failure> {
    let token = app.token();
    drop(app);
    env.close().await;
    let app = App::new(&Node::standard(env).await?);
    app.set_token(token);
    Ok(app)
}

pub(super) async fn nodes_may_take_turns(env: Env) -> Outcome {
    let (here, app, id) = logged_in(&env).await?;
    turns(&here, &Node::standard(&env).await?, &app, &id).await
}

pub(super) async fn handles_may_take_turns(env: Env) -> Outcome {
    let (here, app, id) = logged_in(&env).await?;
    turns(&here, &Node::over(&env, env.open_node().await?), &app, &id).await
}

/// Each node replaces tokens that the other one issued, replays them, and sees a revocation by the other one.
async fn turns(here: &Node, there: &Node, app: &App, id: &SessionId) -> Outcome {
    for turn in 1..=6 {
        let (node, other) = if turn % 2 == 0 { (here, there) } else { (there, here) };
        let before = app.token();
        ensure!(app.on(node).refresh().await?, "a node refused the token of another one, in turn {turn}");
        let replay = other.refresh(&before).await?;
        ensure!(replay == Some(app.token()), "a replay on another node got another token or none");
        ensure_eq!(rotations(node, id).await?, turn, "rotations of nodes that take turns");
    }
    let alice = here.env().user("alice")?;
    let alive = there.manager().find_live(id, &alice).await?;
    ensure!(alive.is_some(), "a node does not find the session");
    ensure_eq!(here.revoke_all("alice").await?, 1, "how many sessions a revocation ended");
    let alive = there.manager().find_live(id, &alice).await?;
    ensure!(alive.is_none(), "a node finds a session that another one revoked");
    ensure!(!app.on(there).refresh().await?, "a node refreshes a session that another one revoked");
    Ok(())
}

pub(super) async fn store_down_is_an_error(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let faults = [
        InjectedFault::Unavailable,
        InjectedFault::LoseReplies,
        InjectedFault::Corrupt,
        InjectedFault::UnavailableAt("update"),
    ];
    for (turn, fault) in (1..).zip(faults) {
        node.inject(fault);
        let refresh = app.refresh().await;
        node.heal();
        refused(refresh, Refusal::STORE, "a refresh while the store fails")?;
        ensure!(app.refresh().await?, "a token is worth nothing after a refresh that failed");
        ensure_eq!(rotations(&node, &id).await?, turn, "rotations after a refresh that failed");
    }
    for fault in [InjectedFault::Unavailable, InjectedFault::UnavailableAt("delete")] {
        node.inject(fault);
        let logout = app.log_out().await;
        node.heal();
        refused(logout, Refusal::STORE, "a logout while the store fails")?;
        ensure!(app.refresh().await?, "a logout that failed ended the session");
    }
    ensure_eq!(node.revoke_refresh_token(&app.token()).await?, DeleteOutcome::Deleted, "the logout, repeated");
    ensure!(!app.refresh().await?, "a session outlived its logout");
    Ok(())
}

pub(super) async fn lost_answer_is_made_good(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    for turn in 1..=3 {
        let verified = node.verify_refresh_token(&app.token()).await?.ok_or("the newest token was refused")?;
        node.inject(InjectedFault::LoseNextReply);
        refused(node.rotate(verified).await, Refusal::STORE, "a refresh whose reply got lost")?;
        let first = node.refresh(&app.token()).await?;
        ensure!(first.is_some(), "a client that asked again after a lost reply was refused");
        ensure!(app.refresh().await? && first == Some(app.token()), "two repetitions got different tokens");
        ensure_eq!(rotations(&node, &id).await?, turn, "rotations, of which the replies got lost");
    }
    ensure!(app.refresh().await?, "the session did not survive lost replies");
    Ok(())
}

pub(super) async fn lost_reply_is_made_good(env: Env) -> Outcome {
    let Cluster { nodes, service } = env.launch(Disruption::LostReply).await?;
    let [here, there] = nodes.map(|node| Node::over(&env, node));
    let (app, bystander) = (App::new(&here), App::new(&here));
    // Everything once: what a connection or a server learns at the first time is not the reply to lose.
    bystander.log_in("alice").await?;
    ensure!(bystander.refresh().await?, "a token was refused before anything happened");
    let id = app.log_in("alice").await?;
    for turn in 1..=6 {
        let before = app.token();
        // The reply to the load gets lost, or that to the update.
        let verified = if turn % 2 == 0 { None } else { here.verify_refresh_token(&before).await? };
        service.begin().await?;
        let first = match verified {
            Some(verified) => here.rotate(verified).await,
            None => here.refresh(&before).await,
        };
        service.end().await?;
        let again = retry(&here, &before).await?;
        ensure!(again.is_some(), "a client that asked again after a lost reply was refused, in turn {turn}");
        ensure!(first.is_err() || first? == again, "an answer and its repetition differ, in turn {turn}");
        let elsewhere = retry(&there, &before).await?;
        ensure!(elsewhere == again, "another node returned another token after a lost reply, in turn {turn}");
        ensure_eq!(rotations(&there, &id).await?, turn, "rotations, of which the replies got lost");
        app.set_token(again.unwrap_or_default());
    }
    let alice = env.user("alice")?;
    service.begin().await?;
    let revoked = here.manager().revoke(&alice, &id).await;
    service.end().await?;
    ensure!(retry(&here, &bystander.token()).await?.is_some(), "the session of another client ended");
    if revoked.is_err() {
        let _ = here.manager().revoke(&alice, &id).await?;
    }
    ensure_eq!(there.sessions("alice").await?.len(), 1, "sessions after a revocation whose reply got lost");
    ensure!(!app.on(&there).refresh().await?, "a session refreshes after a revocation whose reply got lost");
    Ok(())
}

/// The answer to `token`, asked for until there is one: a store may need a moment to find its servers.
async fn retry(node: &Node, token: &str) -> Result<Option<String>, Failure> {
    for _ in 0..200 {
        match node.refresh(token).await {
            Err(Error::Store(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            answer => return Ok(answer?),
        }
    }
    Err("nothing but errors, long after the reply got lost".into())
}
