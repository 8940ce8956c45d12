//! Refresh tokens, and requests that are under way at the same time.

use session_core::{DeleteOutcome, Error, LimitPolicy, VerifiedRefreshToken};

use super::app::App;
use super::browser::Browser;
use super::client::Client as _;
use super::node::Node;
use super::refresh::{logged_in, rotations};
use super::support::{policy, refused, run_concurrently, yield_times};
use crate::env::Env;
use crate::outcome::{Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// How many requests refresh at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn one_rotates(env: Env) -> Outcome {
    let (here, app, _) = logged_in(&env).await?;
    let there = Node::standard(&env).await?;
    at_once(std::slice::from_ref(&here), &app).await?;
    at_once(&[here, there], &app).await
}

pub(super) async fn one_rotates_on_two_handles(env: Env) -> Outcome {
    let (here, app, _) = logged_in(&env).await?;
    let there = Node::over(&env, env.open_node().await?);
    at_once(&[here, there], &app).await
}

/// All refresh with the same token, and none is logged out. Twice: with all tokens verified before the first one is
/// replaced, and as it comes.
async fn at_once(nodes: &[Node], app: &App) -> Outcome {
    let (here, id) = (app.node(), app.id()?);
    let alice = here.env().user("alice")?;
    let start = rotations(here, &id).await?;
    for (turn, verify_first) in [(1, true), (2, false)] {
        let token = app.token();
        let mut refreshes = Vec::new();
        for node in nodes.iter().cycle().take(AT_ONCE) {
            let verified = if verify_first { node.verify_refresh_token(&token).await? } else { None };
            refreshes.push(refresh(node.clone(), token.clone(), verified));
        }
        let mut answers = Vec::new();
        for answer in run_concurrently(refreshes).await? {
            answers.push(answer?);
        }
        let first = answers[0].clone().ok_or("a refresh among many was refused")?;
        ensure!(answers.iter().all(|answer| answer.as_ref() == Some(&first)), "of many refreshes, two differ");
        ensure_eq!(rotations(here, &id).await?, start + turn, "how often {AT_ONCE} refreshes replaced the token");
        ensure!(app.refresh().await? && app.token() == first, "a replay gets another token than the others");
        for node in nodes {
            ensure!(node.manager().find_live(&id, &alice).await?.is_some(), "the session ended");
        }
    }
    ensure!(app.refresh().await?, "the successor of many refreshes was refused");
    Ok(())
}

async fn refresh(node: Node, token: String, verified: Option<VerifiedRefreshToken>) -> Result<Option<String>, Error> {
    match verified {
        Some(verified) => node.rotate(verified).await,
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

pub(super) async fn revocation_wins(env: Env) -> Outcome {
    revoked_while_refreshing(&Node::standard(&env).await?, &Node::standard(&env).await?).await
}

pub(super) async fn revocation_wins_on_two_handles(env: Env) -> Outcome {
    revoked_while_refreshing(&Node::standard(&env).await?, &Node::over(&env, env.open_node().await?)).await
}

async fn revoked_while_refreshing(here: &Node, there: &Node) -> Outcome {
    for end in End::ALL {
        for round in 0..10 {
            let user = format!("{end:?}-{round}");
            let (app, kept) = (App::logged_in(here, &user).await?, App::logged_in(here, &user).await?);
            let first = app.token();
            let verified = there.verify_refresh_token(&first).await?.ok_or("the newest token was refused")?;
            // In each round, one of them comes a step later than in the round before.
            let (refresh_waits, end_waits) = if round % 2 == 0 { (round / 2, 0) } else { (0, round / 2) };
            let refresh = async {
                yield_times(refresh_waits).await;
                there.rotate(verified).await
            };
            let revoke = async {
                yield_times(end_waits).await;
                end.bring_about(&user, &app, &kept).await
            };
            let (refreshed, revoked) = tokio::join!(refresh, revoke);
            revoked?;
            // Whether it came in time or not.
            let refreshed = refreshed?;
            for node in [here, there] {
                for token in refreshed.iter().chain([&first]) {
                    let answer = node.refresh(token).await?;
                    ensure!(answer.is_none(), "{end:?}, {round}: a token works after a revocation");
                }
            }
            let left = usize::from(!matches!(end, End::All));
            ensure_eq!(here.sessions(&user).await?.len(), left, "{end:?}, {round}: sessions after the revocation");
        }
    }
    Ok(())
}

pub(super) async fn late_refresh_revives_nothing(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for end in End::ALL {
        let user = format!("{end:?}");
        let (app, kept) = (App::logged_in(&node, &user).await?, App::logged_in(&node, &user).await?);
        let verified = node.verify_refresh_token(&app.token()).await?.ok_or("the newest token was refused")?;
        end.bring_about(&user, &app, &kept).await?;
        ensure!(node.rotate(verified).await?.is_none(), "{end:?}: a session that was revoked refreshes");
        ensure!(!app.refresh().await?, "{end:?}: a late refresh revived a session");
    }
    Ok(())
}

pub(super) async fn limit_counts_both_kinds(env: Env) -> Outcome {
    let node = Node::start(&env, policy(|it| it.session_limit(2, LimitPolicy::Reject))?).await?;
    let (browser, app) = (Browser::logged_in(&node, "alice").await?, App::logged_in(&node, "alice").await?);
    let more = App::new(&node).log_in("alice").await;
    refused(more, Refusal::LIMIT_REACHED, "a third session, with a refresh token")?;
    let more = Browser::new(&node).log_in("alice").await;
    refused(more, Refusal::LIMIT_REACHED, "a third session, with a cookie")?;
    ensure!(browser.has_session().await? && app.refresh().await?, "one of the two sessions ended");
    Ok(())
}

pub(super) async fn revocation_ends_both_kinds(env: Env) -> Outcome {
    let (node, app, _) = logged_in(&env).await?;
    let browser = Browser::logged_in(&node, "alice").await?;
    ensure_eq!(node.sessions("alice").await?.len(), 2, "sessions of both kinds in the list");
    ensure_eq!(node.revoke_all("alice").await?, 2, "how many sessions a revocation ended");
    ensure!(!browser.has_session().await?, "a session with a cookie outlived a revocation of all");
    ensure!(!app.refresh().await?, "a session with a refresh token outlived a revocation of all");
    Ok(())
}
