//! Refresh tokens, and requests that are under way at the same time.

use session_core::{DeleteOutcome, LimitPolicy, VerifiedRefreshToken};

use super::app::App;
use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::refresh::{assert_rotations, verify};
use super::support::{policy, race, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;
use crate::test_store::run_concurrently;

/// How many requests refresh at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn one_rotates(env: Env) -> Outcome {
    let (here, app) = App::of_alice(&env).await?;
    at_once(&[&here], &app, 0).await?;
    at_once(&[&here, &Node::standard(&env).await?], &app, 3).await
}

pub(super) async fn one_rotates_on_two_handles(env: Env) -> Outcome {
    let (here, app) = App::of_alice(&env).await?;
    at_once(&[&here, &Node::with_own_handle(&env).await?], &app, 0).await
}

/// All refresh with the same token, and none is logged out. Twice: with all tokens verified before the first one is
/// replaced, and as it comes. There were `before` rotations.
async fn at_once(nodes: &[&Node], app: &App, before: u64) -> Outcome {
    let (here, id, alice) = (app.node(), app.id()?, app.node().env().user("alice")?);
    for (turn, verify_first) in [(1, true), (2, false)] {
        let token = app.token();
        let mut refreshes = Vec::new();
        for &node in nodes.iter().cycle().take(AT_ONCE) {
            let verified = if verify_first { node.verify_refresh_token(&token).await? } else { None };
            refreshes.push(refresh(node.clone(), token.clone(), verified));
        }
        let answers = run_concurrently(refreshes).await?;
        let first = answers[0].clone().ok_or("a refresh among many was refused")?;
        ensure!(answers.iter().all(|answer| answer.as_ref() == Some(&first)), "of many refreshes, two differ");
        assert_rotations(here, &id, before + turn, "by many refreshes at once").await?;
        ensure!(app.is_alive().await? && app.token() == first, "a replay gets another token than the others");
        for node in nodes {
            ensure!(node.manager().find_live(&id, &alice).await?.is_some(), "the session ended");
        }
    }
    app.assert_alive("the successor of many refreshes was refused").await
}

async fn refresh(node: Node, token: String, verified: Option<VerifiedRefreshToken>) -> Result<Option<String>, Failure> {
    Ok(match verified {
        Some(verified) => node.rotate(verified).await?,
        None => node.refresh(&token).await?,
    })
}

/// How the session of a refresh token can end.
#[derive(Clone, Copy, Debug)]
enum End {
    One,
    Others,
    All,
    Token,
}

impl End {
    const ALL: [Self; 4] = [Self::One, Self::Others, Self::All, Self::Token];

    /// Ends the session of `app`, but not that of `kept`, unless everything ends.
    async fn bring_about(self, user: &str, app: &App, kept: &App) -> Outcome {
        let (manager, user) = (app.node().manager(), app.node().env().user(user)?);
        let ended = match self {
            Self::One => manager.revoke(&user, &app.id()?).await? == DeleteOutcome::Deleted,
            Self::Others => manager.revoke_others(&user, &kept.id()?).await? == 1,
            Self::All => manager.revoke_all(&user).await? == 2,
            Self::Token => app.node().revoke_refresh_token(&app.token()).await? == DeleteOutcome::Deleted,
        };
        ensure!(ended, "{self:?}: the revocation ended another number of sessions");
        Ok(())
    }
}

/// A session is revoked while `there`, another node, refreshes it.
pub(super) async fn revocation_wins(env: &Env, there: Node) -> Outcome {
    let here = Node::standard(env).await?;
    for end in End::ALL {
        for round in 0..10 {
            let user = format!("{end:?}-{round}");
            let (app, kept) = (App::logged_in(&here, &user).await?, App::logged_in(&here, &user).await?);
            let first = app.token();
            let verified = verify(&there, &first).await?;
            let (refreshed, revoked) = race(round, there.rotate(verified), end.bring_about(&user, &app, &kept)).await;
            revoked?;
            // Whether it came in time or not.
            let refreshed = refreshed?;
            for node in [&here, &there] {
                for token in refreshed.iter().chain([&first]) {
                    let answer = node.refresh(token).await?;
                    ensure!(answer.is_none(), "{end:?}, {round}: a token works after a revocation");
                }
            }
            let left = usize::from(!matches!(end, End::All));
            here.assert_sessions(&user, left, &format!("after the revocation, {end:?}, {round}")).await?;
        }
    }
    Ok(())
}

pub(super) async fn late_refresh_revives_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for end in End::ALL {
        let user = format!("{end:?}");
        let (app, kept) = (App::logged_in(&node, &user).await?, App::logged_in(&node, &user).await?);
        let verified = verify(&node, &app.token()).await?;
        end.bring_about(&user, &app, &kept).await?;
        ensure!(node.rotate(verified).await?.is_none(), "{end:?}: a session that was revoked refreshes");
        app.assert_dead(&format!("{end:?}: a late refresh revived a session")).await?;
    }
    Ok(())
}

pub(super) async fn limit_counts_both_kinds(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.session_limit(2, LimitPolicy::Reject))?).await?;
    let (browser, app) = (Browser::logged_in(&node, "alice").await?, App::logged_in(&node, "alice").await?);
    let more = [App::new(&node).log_in("alice").await, Browser::new(&node).log_in("alice").await];
    for login in more {
        refused(login, Refusal::LIMIT_REACHED, "a third session, of either kind")?;
    }
    browser.assert_alive("the session with a cookie ended").await?;
    app.assert_alive("the session with a refresh token ended").await
}

pub(super) async fn revocation_ends_both_kinds(env: Env) -> Outcome {
    let (node, app) = App::of_alice(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    node.assert_sessions("alice", 2, "of both kinds in the list").await?;
    ensure_eq!(node.revoke_all("alice").await?, 2, "how many sessions a revocation ended");
    browser.assert_dead("a session with a cookie outlived a revocation of all").await?;
    app.assert_dead("a session with a refresh token outlived a revocation of all").await
}
