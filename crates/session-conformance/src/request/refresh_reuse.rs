//! Refresh tokens that were used twice, are made up, or of another kind.

use std::time::Duration;

use session_core::{DeleteOutcome, PresentedToken, SessionId};

use super::app::App;
use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::refresh::{GRACE, MILLI, logged_in, restarted, rotations};
use super::support::{policy, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// Alice is logged in with two apps. The token of one was replaced, and its grace is over.
struct Replaced {
    id: SessionId,
    /// The token from before, and the app with the newest one.
    old: String,
    app: App,
    bystander: App,
}

async fn replaced(env: &Env) -> Result<Replaced, Failure> {
    let (node, app, id) = logged_in(env).await?;
    let (bystander, old) = (App::logged_in(&node, "alice").await?, app.token());
    ensure!(app.refresh().await?, "the first token was refused");
    env.clock().advance(GRACE);
    Ok(Replaced { id, old, app, bystander })
}

impl Replaced {
    /// Uses the old token.
    async fn reuse(&self) -> Outcome {
        let answer = self.app.node().refresh(&self.old).await?;
        ensure!(answer.is_none(), "a token was accepted after its grace");
        Ok(())
    }

    /// Checks that on this node nothing is left of the session, and the other one lives.
    async fn is_over(&self, node: &Node) -> Outcome {
        ensure!(!self.app.on(node).refresh().await?, "the newest token works after a reuse");
        let alive = node.manager().find_live(&self.id, &node.env().user("alice")?).await?;
        ensure!(alive.is_none(), "the session is there after a reuse");
        ensure_eq!(node.sessions("alice").await?.len(), 1, "sessions after a reuse");
        ensure!(self.bystander.on(node).refresh().await?, "a reuse ended another session of the user");
        Ok(())
    }
}

pub(super) async fn ends_the_session(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    it.reuse().await?;
    it.is_over(it.app.node()).await?;
    it.is_over(&Node::standard(&env).await?).await?;
    it.reuse().await?;
    it.app.log_in("alice").await?;
    ensure!(it.app.refresh().await?, "after a reuse the user cannot log in again");
    Ok(())
}

pub(super) async fn ends_the_session_on_every_handle(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    let other = Node::over(&env, env.open_node().await?);
    ensure!(it.app.on(&other).refresh().await?, "a node refused the token of another one");
    it.reuse().await?;
    it.is_over(&other).await
}

pub(super) async fn outlives_a_restart(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    it.reuse().await?;
    let Replaced { id, old, app, bystander } = it;
    let token = bystander.token();
    drop(bystander);
    let app = restarted(&env, app).await?;
    let bystander = App::new(app.node());
    bystander.set_token(token);
    let node = app.node().clone();
    Replaced { id, old, app, bystander }.is_over(&node).await
}

pub(super) async fn without_a_grace_no_second_use(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.refresh_grace(Duration::ZERO))?).await?;
    let app = App::logged_in(&node, "alice").await?;
    let old = app.token();
    ensure!(app.refresh().await?, "the first token was refused");
    ensure!(node.refresh(&old).await?.is_none(), "without a grace a second use was accepted");
    ensure!(!app.refresh().await?, "the newest token works after a reuse");
    Ok(())
}

pub(super) async fn replay_does_not_move_the_grace(env: Env) -> Outcome {
    let (node, app, _) = logged_in(&env).await?;
    let first = app.token();
    ensure!(app.refresh().await?, "the first token was refused");
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        ensure!(node.refresh(&first).await?.is_some(), "a replay inside the grace was refused");
    }
    env.clock().advance(2 * MILLI);
    ensure!(node.refresh(&first).await?.is_none(), "replays moved the grace");
    ensure!(!app.refresh().await?, "the newest token works after a reuse");
    Ok(())
}

pub(super) async fn order_decides_and_not_time(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let start = env.now();
    // The clock stands still, or goes back.
    for (back, generations) in [(0, 2), (0, 3), (60, 2)] {
        env.clock().set(start);
        let app = App::new(&node);
        let id = app.log_in("alice").await?;
        let oldest = app.token();
        for _ in 0..generations {
            env.clock().set(env.now() - Duration::from_secs(back));
            ensure!(app.refresh().await?, "the newest token was refused");
        }
        ensure_eq!(rotations(&node, &id).await?, generations, "rotations");
        ensure!(node.refresh(&oldest).await?.is_none(), "a token {generations} generations old was accepted");
        ensure!(!app.refresh().await?, "the newest token works after one {generations} generations old was used");
    }
    Ok(())
}

pub(super) async fn garbage_changes_nothing(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let bob = App::logged_in(&node, "bob").await?;
    let other_tenant = Node::over(&env, env.other_tenant().await?);
    let (mine, theirs) = (app.token(), App::logged_in(&other_tenant, "eve").await?.token());
    // The id is public; what follows it is not.
    let id_of_mine = format!("{}{}", &mine[..22], &bob.token()[22..]);
    ensure!(PresentedToken::parse(id_of_mine.as_bytes()).is_ok(), "the forged token is malformed");
    let mut forged = vec![id_of_mine, theirs];
    let malformed = [String::new(), mine.to_lowercase(), format!("{mine}A"), format!(" {mine}"), "x".repeat(4096)];
    forged.extend(malformed.into_iter().filter(|token| PresentedToken::parse(token.as_bytes()).is_err()));
    for token in &forged {
        ensure!(node.refresh(token).await?.is_none(), "a token that was made up was accepted");
        let logout = node.revoke_refresh_token(token).await?;
        ensure_eq!(logout, DeleteOutcome::Absent, "a logout with a token that was made up");
    }
    ensure_eq!(rotations(&node, &id).await?, 0, "rotations after tokens that were made up");
    for app in [&app, &bob] {
        ensure!(app.refresh().await?, "a token that was made up ended a session");
    }
    Ok(())
}

pub(super) async fn cookie_is_no_refresh_token(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    let cookie = browser.token();
    ensure!(node.refresh(&cookie).await?.is_none(), "a cookie was taken for a refresh token");
    let logout = node.revoke_refresh_token(&cookie).await?;
    ensure_eq!(logout, DeleteOutcome::Absent, "a logout with a cookie as refresh token");
    ensure_eq!(browser.user().await?.as_deref(), Some("alice"), "the user afterwards");
    Ok(())
}

pub(super) async fn refresh_token_is_no_cookie(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let header = format!("{}={}", node.manager().policy().cookie().name(), app.token());
    let reply = node.request(&[&header]).run(user_of).await;
    ensure_eq!(reply.result?, None, "the user of a refresh token that was sent as a cookie");
    ensure!(app.refresh().await?, "a refresh token that was sent as a cookie ended its session");
    ensure!(node.sessions("alice").await? == [id], "the sessions afterwards");
    Ok(())
}

pub(super) async fn any_token_logs_out(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let first = app.token();
    for _ in 0..2 {
        ensure!(app.refresh().await?, "the newest token was refused");
    }
    let logout = node.revoke_refresh_token(&first).await?;
    ensure_eq!(logout, DeleteOutcome::Deleted, "a logout with a token that was used up");
    ensure!(!app.refresh().await?, "the newest token works after a logout");
    let alive = node.manager().find_live(&id, &env.user("alice")?).await?;
    ensure!(alive.is_none(), "the session is there after a logout");
    ensure_eq!(node.sessions("alice").await?.len(), 0, "sessions after a logout");
    ensure_eq!(node.revoke_refresh_token(&app.token()).await?, DeleteOutcome::Absent, "the logout, repeated");
    Ok(())
}
