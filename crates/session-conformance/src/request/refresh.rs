//! Refresh tokens: each is used once, and a client whose response got lost can ask again.

use std::time::Duration;

use session_core::{DeleteOutcome, SessionId, VerifiedRefreshToken};

use super::app::App;
use super::client::Client as _;
use super::node::{InjectedFault, Node};
use super::support::{GRACE, MILLI, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;
use crate::service::{Cluster, Disruption};

/// The token of the session `id` was replaced so often.
pub(super) async fn assert_rotations(node: &Node, id: &SessionId, number: u64, when: &str) -> Outcome {
    ensure_eq!(node.stored(id).await?.credential.generation(), number, "rotations {when}");
    Ok(())
}

/// The first half of a refresh, which must succeed.
pub(super) async fn verify(node: &Node, token: &str) -> Result<VerifiedRefreshToken, Failure> {
    Ok(node.verify_refresh_token(token).await?.ok_or("the newest token was refused")?)
}

pub(super) async fn replaced_at_each_use(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let mut seen = vec![app.token()];
    for _ in 0..3 {
        app.assert_alive("the newest token was refused").await?;
        ensure_eq!(node.calls(), ["load", "update"], "store calls of a refresh");
        ensure!(!seen.contains(&app.token()), "a refresh returned a token that had been there before");
        seen.push(app.token());
    }
    ensure!(node.sessions("alice").await? == [app.id()?], "a refresh changed the list of sessions");
    Ok(())
}

pub(super) async fn replay_gets_the_same_successor(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let first = app.token();
    app.assert_alive("the first token was refused").await?;
    for wait in [Duration::ZERO, GRACE / 2, GRACE / 2 - MILLI] {
        env.clock().advance(wait);
        assert_replayed(&node, &first, &app).await?;
    }
    assert_rotations(&node, &app.id()?, 1, "after replays").await?;
    app.assert_alive("the successor was refused after replays").await
}

/// A replay of the `old` token, inside its grace, gets the one that the app has.
async fn assert_replayed(node: &Node, old: &str, app: &App) -> Outcome {
    ensure!(node.refresh(old).await? == Some(app.token()), "a replay inside the grace got another token or none");
    Ok(())
}

pub(super) async fn restarts_are_no_reuse(env: Env) -> Outcome {
    let (_, mut app) = App::of_alice(&env).await?;
    for turn in 1..=5 {
        let before = app.token();
        app = restarted(&env, app).await?;
        app.assert_alive("after a restart the newest token was refused").await?;
        app = restarted(&env, app).await?;
        assert_replayed(app.node(), &before, &app).await?;
        assert_rotations(app.node(), &app.id()?, turn, "with restarts between them").await?;
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

/// `there`, another node, and the one where alice logged in replace tokens that the other one issued, replay them, and
/// see a revocation by the other one.
pub(super) async fn nodes_may_take_turns(env: &Env, there: Node) -> Outcome {
    let (here, app) = App::of_alice(env).await?;
    let (alice, id) = (env.user("alice")?, app.id()?);
    for turn in 1..=6 {
        let (node, other) = if turn % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let before = app.token();
        app.on(node).assert_alive("a node refused the token of another one").await?;
        assert_replayed(other, &before, &app).await?;
        assert_rotations(node, &id, turn, "of nodes that take turns").await?;
    }
    ensure!(there.manager().find_live(&id, &alice).await?.is_some(), "a node does not find the session");
    ensure_eq!(here.revoke_all("alice").await?, 1, "how many sessions a revocation ended");
    let alive = there.manager().find_live(&id, &alice).await?;
    ensure!(alive.is_none(), "a node finds a session that another one revoked");
    app.on(&there).assert_dead("a node refreshes a session that another one revoked").await
}

pub(super) async fn store_down_is_an_error(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let faults = [
        InjectedFault::Unavailable,
        InjectedFault::LoseReplies,
        InjectedFault::Corrupt,
        InjectedFault::UnavailableAt("update"),
    ];
    for (turn, fault) in (1..).zip(faults) {
        let is_unreadable = matches!(fault, InjectedFault::Corrupt);
        node.inject(fault);
        let refresh = app.is_alive().await;
        node.heal();
        if is_unreadable && node.has_token_routes() {
            // No repetition helps the app, and a login does: they say so.
            ensure!(refresh == Ok(false), "a session that cannot be read refreshes, or the app is told to repeat it");
        } else {
            refused(refresh, Refusal::STORE, "a refresh while the store fails")?;
        }
        app.assert_alive("a token is worth nothing after a refresh that failed").await?;
        assert_rotations(&node, &app.id()?, turn, "after a refresh that failed").await?;
    }
    for fault in [InjectedFault::Unavailable, InjectedFault::UnavailableAt("delete")] {
        node.inject(fault);
        let logout = app.log_out().await;
        node.heal();
        refused(logout, Refusal::STORE, "a logout while the store fails")?;
        app.assert_alive("a logout that failed ended the session").await?;
    }
    ensure_eq!(node.revoke_refresh_token(&app.token()).await?, DeleteOutcome::Deleted, "the logout, repeated");
    app.assert_dead("a session outlived its logout").await
}

pub(super) async fn lost_answer_is_made_good(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    for turn in 1..=3 {
        let verified = verify(&node, &app.token()).await?;
        node.inject(InjectedFault::LoseReplies);
        refused(node.rotate(verified).await, Refusal::STORE, "a refresh whose replies got lost")?;
        node.heal();
        let first = node.refresh(&app.token()).await?;
        ensure!(first.is_some(), "a client that asked again after a lost reply was refused");
        ensure!(app.is_alive().await? && first == Some(app.token()), "two repetitions got different tokens");
        assert_rotations(&node, &app.id()?, turn, "of which the replies got lost").await?;
    }
    app.assert_alive("the session did not survive lost replies").await
}

pub(super) async fn lost_reply_is_made_good(env: Env) -> Outcome {
    let Cluster { nodes, service } = env.launch(Disruption::LostReply).await?;
    let [here, there] = nodes.map(|node| Node::over(&env, node));
    // Everything once: what a connection or a server learns at the first time is not the reply to lose.
    let bystander = App::logged_in(&here, "alice").await?;
    bystander.assert_alive("a token was refused before anything happened").await?;
    let app = App::logged_in(&here, "alice").await?;
    let id = app.id()?;
    for turn in 1..=6 {
        let before = app.token();
        // The reply to the load gets lost, or that to the update.
        let verified = if turn % 2 == 0 { None } else { here.verify_refresh_token(&before).await? };
        service.begin().await?;
        let first = match verified {
            Some(verified) => here.rotate(verified).await.map_err(Refusal::from),
            None => here.refresh(&before).await,
        };
        service.end().await?;
        let again = retry(&here, &before).await?;
        ensure!(again.is_some(), "a client that asked again after a lost reply was refused, in turn {turn}");
        ensure!(
            first.is_err() || first.ok() == Some(again.clone()),
            "an answer and its repetition differ, in turn {turn}"
        );
        let elsewhere = retry(&there, &before).await?;
        ensure!(elsewhere == again, "another node returned another token after a lost reply, in turn {turn}");
        assert_rotations(&there, &id, turn, "of which the replies got lost").await?;
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
    there.assert_sessions("alice", 1, "after a revocation whose reply got lost").await?;
    app.on(&there).assert_dead("a session refreshes after a revocation whose reply got lost").await
}

/// The answer to `token`, asked for until there is one: a store may need a moment to find its servers.
async fn retry(node: &Node, token: &str) -> Result<Option<String>, Failure> {
    for _ in 0..200 {
        match node.refresh(token).await {
            Err(refusal) if refusal == Refusal::STORE => tokio::time::sleep(50 * MILLI).await,
            answer => return Ok(answer?),
        }
    }
    Err("nothing but errors, long after the reply got lost".into())
}
