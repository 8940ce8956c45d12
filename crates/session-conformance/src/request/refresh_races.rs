//! Refresh tokens, and requests that are under way at the same time.

use futures::future::join_all;
use session_core::{DeleteOutcome, Error, LimitPolicy, OsEntropy, Policy, PresentedToken, UserId};

use super::browser::Browser;
use super::client::{App, Client as _};
use super::node::Node;
use super::refresh::{answer, logged_in, rotations};
use super::tokens::{Granted, Opening};
use super::{ensure_err, policy};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};

/// How many requests refresh at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn one_rotates(env: Env) -> Outcome {
    let (here, app, _) = logged_in(&env).await?;
    let there = Node::start(&env, Policy::standard()).await?;
    at_once(&env, std::slice::from_ref(&here), &app).await?;
    at_once(&env, &[here, there], &app).await
}

pub(super) async fn one_rotates_on_two_handles(env: Env) -> Outcome {
    let (here, app, _) = logged_in(&env).await?;
    let there = Node::over(&env, env.open_node().await?, Policy::standard(), OsEntropy);
    at_once(&env, &[here, there], &app).await
}

/// All refresh with the same token, and nobody is logged out. Twice: with all tokens read before the first one is
/// replaced, and as it comes.
async fn at_once(env: &Env, nodes: &[Node], app: &App) -> Outcome {
    let [here, ..] = nodes else { return Err("there is no node".into()) };
    let alice = env.user("alice")?;
    let id = here.sessions(&alice).await?.first().copied().ok_or("nobody is logged in")?;
    let start = rotations(here, &id).await?;
    for (turn, reads_first) in [(1, true), (2, false)] {
        let token = app.token();
        let mut refreshes = Vec::new();
        for node in nodes.iter().cycle().take(AT_ONCE) {
            let opening = if reads_first { node.verify_refresh_token(&token).await? } else { None };
            refreshes.push(refresh(node.clone(), token.clone(), opening));
        }
        // Some on other threads, some on the same: both kinds of simultaneity.
        let mut tasks = Vec::new();
        while !refreshes.is_empty() {
            tasks.push(tokio::spawn(join_all(refreshes.split_off(refreshes.len().saturating_sub(16)))));
        }
        let mut answers = Vec::new();
        for task in tasks {
            for granted in task.await? {
                answers.push(granted?.map(|granted| granted.token));
            }
        }
        let first = answers.first().cloned().flatten().ok_or("a refresh among many was refused")?;
        ensure!(answers.iter().all(|answer| answer.as_ref() == Some(&first)), "of many refreshes, two differ");
        ensure_eq!(rotations(here, &id).await?, start + turn, "how often {AT_ONCE} refreshes replaced the token");
        ensure!(app.refresh(here).await? && app.token() == first, "a replay gets another token than the others");
        for node in nodes {
            ensure!(node.manager().find_live(&id, &alice).await?.is_some(), "the session ended");
        }
    }
    ensure!(app.refresh(here).await?, "the successor of many refreshes was refused");
    Ok(())
}

async fn refresh(node: Node, token: String, opening: Option<Opening>) -> Result<Option<Granted>, Error> {
    match opening {
        Some(opening) => opening.rotate().await,
        None => node.refresh(&token).await,
    }
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
    const EVERY: [Self; 4] = [Self::One, Self::Others, Self::All, Self::Token];

    /// Ends the session of `app`, but not that of `kept`, unless everything ends.
    async fn bring_about(self, node: &Node, user: &UserId, app: &App, kept: &App) -> Outcome {
        let id = |app: &App| PresentedToken::parse(app.token().as_bytes()).map(|token| token.id());
        let (id, kept) = (id(app).map_err(|_| "a malformed token")?, id(kept).map_err(|_| "a malformed token")?);
        let ended = match self {
            Self::One => node.manager().revoke(user, &id).await? == DeleteOutcome::Deleted,
            Self::Others => node.manager().revoke_others(user, &kept).await? == 1,
            Self::All => node.manager().revoke_all(user).await? == 2,
            Self::Token => node.revoke_refresh_token(&app.token()).await? == DeleteOutcome::Deleted,
        };
        ensure!(ended, "{self:?}: the revocation ended another number of sessions");
        Ok(())
    }
}

pub(super) async fn revocation_wins(env: Env) -> Outcome {
    let (here, there) = (Node::start(&env, Policy::standard()).await?, Node::start(&env, Policy::standard()).await?);
    revoked_while_refreshing(&env, &here, &there).await
}

pub(super) async fn revocation_wins_on_two_handles(env: Env) -> Outcome {
    let here = Node::start(&env, Policy::standard()).await?;
    let there = Node::over(&env, env.open_node().await?, Policy::standard(), OsEntropy);
    revoked_while_refreshing(&env, &here, &there).await
}

async fn revoked_while_refreshing(env: &Env, here: &Node, there: &Node) -> Outcome {
    for end in End::EVERY {
        for round in 0..10 {
            let user = env.user(&format!("{end:?}-{round}"))?;
            let (app, kept) = (App::default(), App::default());
            app.log_in(here, &user).await?;
            kept.log_in(here, &user).await?;
            let first = app.token();
            let opening = there.verify_refresh_token(&first).await?.ok_or("the newest token was refused")?;
            // In each round, one of them comes a step later than in the round before.
            let (refresh_waits, end_waits) = if round % 2 == 0 { (round / 2, 0) } else { (0, round / 2) };
            let refresh = async {
                steps(refresh_waits).await;
                opening.rotate().await
            };
            let revoke = async {
                steps(end_waits).await;
                end.bring_about(here, &user, &app, &kept).await
            };
            let (refreshed, revoked) = tokio::join!(refresh, revoke);
            revoked?;
            // Whether it came in time or not.
            let refreshed = refreshed?.map(|granted| granted.token);
            for node in [here, there] {
                for token in refreshed.iter().chain([&first]) {
                    ensure!(answer(node, token).await?.is_none(), "{end:?}, {round}: a token works after a revocation");
                }
            }
            let left = usize::from(!matches!(end, End::All));
            ensure_eq!(here.sessions(&user).await?.len(), left, "{end:?}, {round}: sessions after the revocation");
        }
    }
    Ok(())
}

/// Lets others go first, so many times.
async fn steps(number: usize) {
    for _ in 0..number {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn late_refresh_revives_nothing(env: Env) -> Outcome {
    let node = Node::start(&env, Policy::standard()).await?;
    for end in End::EVERY {
        let user = env.user(&format!("{end:?}"))?;
        let (app, kept) = (App::default(), App::default());
        app.log_in(&node, &user).await?;
        kept.log_in(&node, &user).await?;
        let opening = node.verify_refresh_token(&app.token()).await?.ok_or("the newest token was refused")?;
        end.bring_about(&node, &user, &app, &kept).await?;
        ensure!(opening.rotate().await?.is_none(), "{end:?}: a session that was revoked refreshes");
        ensure!(!app.refresh(&node).await?, "{end:?}: a late refresh brought a session back");
    }
    Ok(())
}

pub(super) async fn limit_counts_both_kinds(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.session_limit(2, LimitPolicy::Reject))?).await?;
    let (alice, browser, app) = (env.user("alice")?, Browser::new(&env), App::default());
    browser.log_in(&node, &alice).await?;
    app.log_in(&node, &alice).await?;
    let more = App::default().try_log_in(&node, &alice, |login| login).await;
    ensure_err!(more, Error::LimitReached, "a third session, with a refresh token");
    let more = Browser::new(&env).try_log_in(&node, &alice, |login| login).await;
    ensure_err!(more, Error::LimitReached, "a third session, with a cookie");
    ensure!(browser.has_session(&node).await? && app.refresh(&node).await?, "one of the two sessions ended");
    Ok(())
}

pub(super) async fn revocation_ends_both_kinds(env: Env) -> Outcome {
    let (node, app, _) = logged_in(&env).await?;
    let (alice, browser) = (env.user("alice")?, Browser::new(&env));
    browser.log_in(&node, &alice).await?;
    ensure_eq!(node.sessions(&alice).await?.len(), 2, "sessions of both kinds in the list");
    ensure_eq!(node.manager().revoke_all(&alice).await?, 2, "how many sessions a revocation ended");
    ensure!(!browser.has_session(&node).await?, "a session with a cookie outlived a revocation of all");
    ensure!(!app.refresh(&node).await?, "a session with a refresh token outlived a revocation of all");
    Ok(())
}
