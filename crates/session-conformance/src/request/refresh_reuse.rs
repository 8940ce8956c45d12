//! Refresh tokens that were used twice, are made up, or of another kind.

use std::time::Duration;

use session_core::{DeleteOutcome, Policy, PresentedToken, SessionId};

use super::app::App;
use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::refresh::{assert_rotations, restarted};
use super::support::{COOKIE, GRACE, MILLI, policy, user_of};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};

/// The node does not accept this token.
async fn assert_refused(node: &Node, token: &str, failure: &str) -> Outcome {
    ensure!(node.refresh(token).await?.is_none(), "{failure}");
    Ok(())
}

/// A logout with this token has this answer.
async fn assert_logout(node: &Node, token: &str, expected: DeleteOutcome, what: &str) -> Outcome {
    ensure_eq!(node.revoke_refresh_token(token).await?, expected, "a logout with {what}");
    Ok(())
}

/// The session of alice cannot be found.
async fn assert_not_found(node: &Node, id: &SessionId, when: &str) -> Outcome {
    let found = node.manager().find_live(id, &node.env().user("alice")?).await?;
    ensure!(found.is_none(), "the session is there {when}");
    Ok(())
}

/// Alice is logged in with two apps. The token of one was replaced, and its grace is over.
struct Replaced {
    /// The token from before, and the app with the newest one.
    old: String,
    app: App,
    bystander: App,
}

async fn replaced(env: &Env) -> Result<Replaced, Failure> {
    let (node, app) = App::of_alice(env).await?;
    let (bystander, old) = (App::logged_in(&node, "alice").await?, app.token());
    app.assert_alive("the first token was refused").await?;
    env.clock().advance(GRACE + Policy::standard().max_clock_skew());
    Ok(Replaced { old, app, bystander })
}

impl Replaced {
    /// Uses the old token.
    async fn reuse(&self) -> Outcome {
        assert_refused(self.app.node(), &self.old, "a token was accepted after its grace").await
    }

    /// Checks that on this node nothing is left of the session, and the other one lives.
    async fn is_over(&self, node: &Node) -> Outcome {
        self.app.on(node).assert_dead("the newest token works after a reuse").await?;
        assert_not_found(node, &self.app.id()?, "after a reuse").await?;
        node.assert_sessions("alice", 1, "after a reuse").await?;
        self.bystander.on(node).assert_alive("a reuse ended another session of the user").await
    }
}

pub(super) async fn ends_the_session(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    it.reuse().await?;
    it.is_over(it.app.node()).await?;
    it.is_over(&Node::standard(&env).await?).await?;
    it.reuse().await?;
    it.app.log_in("alice").await?;
    it.app.assert_alive("after a reuse the user cannot log in again").await
}

pub(super) async fn ends_the_session_on_every_handle(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    let other = Node::with_own_handle(&env).await?;
    it.app.on(&other).assert_alive("a node refused the token of another one").await?;
    it.reuse().await?;
    it.is_over(&other).await
}

pub(super) async fn outlives_a_restart(env: Env) -> Outcome {
    let it = replaced(&env).await?;
    it.reuse().await?;
    let Replaced { old, app, bystander } = it;
    let token = bystander.token();
    drop(bystander);
    let app = restarted(&env, app).await?;
    let (node, bystander) = (app.node().clone(), App::new(app.node()));
    bystander.set_token(token);
    Replaced { old, app, bystander }.is_over(&node).await
}

pub(super) async fn without_a_grace_no_second_use(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.refresh_grace(Duration::ZERO))?).await?;
    let app = App::logged_in(&node, "alice").await?;
    let old = app.token();
    app.assert_alive("the first token was refused").await?;
    assert_refused(&node, &old, "without a grace a second use was accepted").await?;
    app.assert_dead("the newest token works after a reuse").await
}

pub(super) async fn replay_does_not_move_the_grace(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it)?).await?;
    let app = App::logged_in(&node, "alice").await?;
    let first = app.token();
    app.assert_alive("the first token was refused").await?;
    for _ in 0..2 {
        env.clock().advance(GRACE / 2 - MILLI);
        ensure!(node.refresh(&first).await?.is_some(), "a replay inside the grace was refused");
    }
    env.clock().advance(2 * MILLI);
    assert_refused(&node, &first, "replays moved the grace").await?;
    app.assert_dead("the newest token works after a reuse").await
}

pub(super) async fn order_decides_and_not_time(env: Env) -> Outcome {
    let start = env.now();
    // The clock stands still, or goes back.
    for (back, generations) in [(0, 2), (0, 3), (60, 2)] {
        env.clock().set(start);
        let (node, app) = App::of_alice(&env).await?;
        let oldest = app.token();
        for _ in 0..generations {
            env.clock().set(env.now() - Duration::from_secs(back));
            app.assert_alive("the newest token was refused").await?;
        }
        assert_rotations(&node, &app.id()?, generations, "before the reuse").await?;
        assert_refused(&node, &oldest, &format!("a token {generations} generations old was accepted")).await?;
        app.assert_dead("the newest token works after a reuse").await?;
    }
    Ok(())
}

pub(super) async fn garbage_changes_nothing(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
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
        assert_refused(&node, token, "a token that was made up was accepted").await?;
        assert_logout(&node, token, DeleteOutcome::Absent, "a token that was made up").await?;
    }
    assert_rotations(&node, &app.id()?, 0, "after tokens that were made up").await?;
    for app in [&app, &bob] {
        app.assert_alive("a token that was made up ended a session").await?;
    }
    Ok(())
}

pub(super) async fn cookie_is_no_refresh_token(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let cookie = browser.token();
    assert_refused(&node, &cookie, "a cookie was taken for a refresh token").await?;
    assert_logout(&node, &cookie, DeleteOutcome::Absent, "a cookie as refresh token").await?;
    browser.assert_user("alice", "the user afterwards").await
}

pub(super) async fn refresh_token_is_no_cookie(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let reply = node.request(&[&format!("{COOKIE}={}", app.token())]).run(user_of).await;
    ensure_eq!(reply.result?, None, "the user of a refresh token that was sent as a cookie");
    app.assert_alive("a refresh token that was sent as a cookie ended its session").await?;
    ensure!(node.sessions("alice").await? == [app.id()?], "the sessions afterwards");
    Ok(())
}

pub(super) async fn any_token_logs_out(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let first = app.token();
    for _ in 0..2 {
        app.assert_alive("the newest token was refused").await?;
    }
    assert_logout(&node, &first, DeleteOutcome::Deleted, "a token that was used up").await?;
    app.assert_dead("the newest token works after a logout").await?;
    assert_not_found(&node, &app.id()?, "after a logout").await?;
    node.assert_sessions("alice", 0, "after a logout").await?;
    assert_logout(&node, &app.token(), DeleteOutcome::Absent, "the newest token, after a logout").await
}
