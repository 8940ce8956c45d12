//! Refresh tokens that somebody used twice, made up, or has of another kind.

use session_core::{DeleteOutcome, OsEntropy, Policy, PresentedToken, SessionId, UserId};

use super::browser::Browser;
use super::client::{App, Client as _};
use super::node::{Method, Node};
use super::policy;
use super::refresh::{GRACE, MILLI, answer, logged_in, rotations};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// Alice is logged in with two apps. The token of one was replaced, and its grace is over.
struct Replaced {
    node: Node,
    alice: UserId,
    id: SessionId,
    /// The token from before, and the app with the newest one.
    old: String,
    app: App,
    bystander: App,
}

async fn replaced(env: &Env) -> Result<Replaced, crate::Failure> {
    let (node, app, id) = logged_in(env).await?;
    let (alice, bystander, old) = (env.user("alice")?, App::default(), app.token());
    bystander.log_in(&node, &alice).await?;
    ensure!(app.refresh(&node).await?, "the first token was refused");
    env.clock().advance(GRACE);
    Ok(Replaced { node, alice, id, old, app, bystander })
}

impl Replaced {
    /// Checks that on this node nothing is left of the session, and the other one is.
    async fn is_over(&self, node: &Node) -> Outcome {
        ensure!(!self.app.refresh(node).await?, "the newest token works after a reuse");
        ensure!(node.manager().find_live(&self.id, &self.alice).await?.is_none(), "the session is there after a reuse");
        ensure_eq!(node.sessions(&self.alice).await?.len(), 1, "sessions after a reuse");
        ensure!(self.bystander.refresh(node).await?, "a reuse ended another session of the user");
        Ok(())
    }
}

pub(super) async fn ends_the_session(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    let other = Node::start(&env, Policy::standard()).await?;
    ensure!(answer(&it.node, &it.old).await?.is_none(), "a second use outside the grace was answered");
    it.is_over(&it.node).await?;
    it.is_over(&other).await?;
    ensure!(answer(&it.node, &it.old).await?.is_none(), "a third use outside the grace was answered");
    it.app.log_in(&it.node, &it.alice).await?;
    ensure!(it.app.refresh(&it.node).await?, "after a reuse the user cannot log in again");
    Ok(())
}

pub(super) async fn ends_the_session_on_every_handle(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    let other = Node::over(&env, env.open_node().await?, Policy::standard(), OsEntropy);
    ensure!(it.app.refresh(&other).await?, "a node refused the token of another one");
    ensure!(answer(&it.node, &it.old).await?.is_none(), "a second use outside the grace was answered");
    it.is_over(&other).await
}

pub(super) async fn outlives_a_restart(env: Env) -> Outcome {
    let Replaced { node, alice, id, old, app, bystander } = replaced(&env).await?;
    ensure!(answer(&node, &old).await?.is_none(), "a second use outside the grace was answered");
    drop(node);
    env.close().await;
    let node = Node::start(&env, Policy::standard()).await?;
    let it = Replaced { node: node.clone(), alice, id, old, app, bystander };
    it.is_over(&node).await
}

pub(super) async fn without_a_grace_no_second_use(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.refresh_grace(std::time::Duration::ZERO))?).await?;
    let app = App::default();
    app.log_in(&node, &env.user("alice")?).await?;
    let old = app.token();
    ensure!(app.refresh(&node).await?, "the first token was refused");
    ensure!(answer(&node, &old).await?.is_none(), "without a grace a second use was answered");
    ensure!(!app.refresh(&node).await?, "the newest token works after a reuse");
    Ok(())
}

pub(super) async fn replay_does_not_move_the_grace(env: Env) -> Outcome {
    let (node, app, _) = logged_in(&env).await?;
    let first = app.token();
    ensure!(app.refresh(&node).await?, "the first token was refused");
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        ensure!(answer(&node, &first).await?.is_some(), "a replay inside the grace was refused");
    }
    env.clock().advance(2 * MILLI);
    ensure!(answer(&node, &first).await?.is_none(), "replays moved the grace");
    ensure!(!app.refresh(&node).await?, "the newest token works after a reuse");
    Ok(())
}

pub(super) async fn order_decides_and_not_time(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let start = env.now();
    // The clock stands still, or goes back.
    for (back, generations) in [(0, 2), (0, 3), (60, 2)] {
        env.clock().set(start);
        let app = App::default();
        let id = app.log_in(&node, &env.user("alice")?).await?;
        let oldest = app.token();
        for _ in 0..generations {
            env.clock().set(env.now() - std::time::Duration::from_secs(back));
            ensure!(app.refresh(&node).await?, "the newest token was refused");
        }
        ensure_eq!(rotations(&node, &id).await?, generations, "rotations");
        ensure!(answer(&node, &oldest).await?.is_none(), "a token {generations} generations old was answered");
        ensure!(!app.refresh(&node).await?, "the newest token works after one {generations} generations old was used");
    }
    Ok(())
}

pub(super) async fn garbage_changes_nothing(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let bob = App::default();
    bob.log_in(&node, &env.user("bob")?).await?;
    let (mine, theirs) = (app.token(), bob.token());
    let nobodys = App::default();
    nobodys
        .log_in(&Node::over(&env, env.other_tenant().await?, Policy::standard(), OsEntropy), &env.user("eve")?)
        .await?;
    // The id is public; what follows it is not.
    let id_of_mine = format!("{}{}", &mine[..22], &theirs[22..]);
    let mut forged = vec![id_of_mine, nobodys.token()];
    let malformed = [String::new(), mine.to_lowercase(), format!("{mine}A"), format!(" {mine}"), "x".repeat(4096)];
    forged.extend(malformed.into_iter().filter(|token| PresentedToken::parse(token.as_bytes()).is_err()));
    ensure!(PresentedToken::parse(forged[0].as_bytes()).is_ok(), "the forged token is malformed");
    for token in &forged {
        ensure!(answer(&node, token).await?.is_none(), "a token that was made up was answered");
        ensure_eq!(
            node.revoke_refresh_token(token).await?,
            DeleteOutcome::Absent,
            "a logout with a token that was made up"
        );
    }
    ensure_eq!(rotations(&node, &id).await?, 0, "rotations after tokens that were made up");
    for app in [&app, &bob] {
        ensure!(app.refresh(&node).await?, "a token that was made up ended a session");
    }
    Ok(())
}

pub(super) async fn cookie_is_no_refresh_token(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    let (browser, alice) = (Browser::new(&env), env.user("alice")?);
    browser.log_in(&node, &alice).await?;
    let cookie = browser.cookie(node.policy().cookie().name()).ok_or("a login set no cookie")?;
    ensure!(answer(&node, &cookie).await?.is_none(), "a cookie was taken for a refresh token");
    ensure_eq!(
        node.revoke_refresh_token(&cookie).await?,
        DeleteOutcome::Absent,
        "a logout with a cookie as refresh token"
    );
    ensure_eq!(browser.user(&node).await?, Some(alice), "who is logged in afterwards");
    Ok(())
}

pub(super) async fn refresh_token_is_no_cookie(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let header = format!("{}={}", node.policy().cookie().name(), app.token());
    let reply = node.receive(Method::Post, &[&header]).handle(|session| Ok(session.user())).await;
    ensure_eq!(reply.result?, None, "who a refresh token belongs to that was sent as a cookie");
    ensure!(app.refresh(&node).await?, "a refresh token that was sent as a cookie ended its session");
    ensure!(node.sessions(&env.user("alice")?).await? == [id], "the sessions afterwards");
    Ok(())
}

pub(super) async fn any_token_logs_out(env: Env) -> Outcome {
    let (node, app, id) = logged_in(&env).await?;
    let (first, alice) = (app.token(), env.user("alice")?);
    for _ in 0..2 {
        ensure!(app.refresh(&node).await?, "the newest token was refused");
    }
    ensure_eq!(
        node.revoke_refresh_token(&first).await?,
        DeleteOutcome::Deleted,
        "a logout with a token that was used up"
    );
    ensure!(!app.refresh(&node).await?, "the newest token works after a logout");
    ensure!(node.manager().find_live(&id, &alice).await?.is_none(), "the session is there after a logout");
    ensure_eq!(node.sessions(&alice).await?.len(), 0, "sessions after a logout");
    ensure_eq!(node.revoke_refresh_token(&app.token()).await?, DeleteOutcome::Absent, "the logout, repeated");
    Ok(())
}
