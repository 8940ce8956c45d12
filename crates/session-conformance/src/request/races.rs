//! Logout, revocation and writes while other requests are under way, with cookies and with refresh tokens.

use std::time::Duration;

use session_core::{DeleteOutcome, Key, LimitPolicy, Session, VerifiedRefreshToken, WriteConflict};

use super::app::App;
use super::browser::{Browser, Reply};
use super::client::Client as _;
use super::node::Node;
use super::refresh::{assert_rotations, verify};
use super::support::{CART, COUNT, NOTE, Note, policy, race, refused};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;
use crate::test_store::run_concurrently;

/// How many requests write or refresh at the same time.
const AT_ONCE: usize = 64;

pub(super) async fn logout_stays_logout(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    for round in 0..20 {
        let browser = Browser::logged_in(&node, "alice").await?;
        let copy = browser.stolen();
        let (slow, logout) = (browser.begin().await?, browser.begin().await?);
        slow.session.insert(NOTE, &Note::Late)?;
        logout.session.logout()?;
        let (written, ended) = race(round, slow.respond(), logout.respond()).await;
        browser.take(ended)?;
        // Whether it came in time or not.
        let _ = browser.take(written);
        ensure!(!browser.has_session().await?, "round {round}: after a logout the browser has a session");
        copy.assert_dead(&format!("round {round}: the token from before a logout works again")).await?;
        node.assert_sessions("alice", 0, &format!("after a logout, round {round}")).await?;
    }
    Ok(())
}

pub(super) async fn slow_writer_gets_gone(env: Env) -> Outcome {
    let node = Node::standard(&env).await?;
    let works = [Session::regenerate, |it: &Session| it.insert(NOTE, &Note::Late)];
    for (by_logout, work) in [(true, works[0]), (true, works[1]), (false, works[0]), (false, works[1])] {
        let browser = Browser::logged_in(&node, "alice").await?;
        let slow = browser.begin().await?;
        if by_logout {
            browser.log_out().await?;
        } else {
            node.revoke_all("alice").await?;
        }
        slow.run(work).await.refused(Refusal::GONE, "a change of a session that ended")?;
    }
    Ok(())
}

pub(super) async fn slow_reader_revives_nothing(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let copy = browser.stolen();
    env.clock().advance(node.manager().policy().touch_interval());
    let slow = browser.begin().await?;
    browser.log_out().await?;
    // What it read was true when it read it, so this is no error.
    slow.respond().await.result?;
    copy.assert_dead("recorded activity revived a session").await?;
    node.assert_sessions("alice", 0, "after a logout").await
}

pub(super) async fn logout_kills_the_old_cookie(env: Env) -> Outcome {
    let (node, browser) = Browser::of_alice(&env).await?;
    let copy = browser.stolen();
    browser.log_out().await?;
    ensure_eq!(browser.header(), "", "the cookies after a logout");
    copy.assert_dead("the token works after the logout").await?;
    node.assert_sessions("alice", 0, "after the logout").await
}

pub(super) async fn logout_without_a_session_is_a_no_op(env: Env) -> Outcome {
    let (node, ended) = Browser::of_alice(&env).await?;
    node.revoke_all("alice").await?;
    node.calls();
    for (browser, calls) in [(Browser::new(&node), &[][..]), (ended, &["load"])] {
        for _ in 0..3 {
            browser.request().run(Session::logout).await.without_cookie("a logout without a session")?;
            ensure_eq!(node.calls(), calls, "store calls of a logout without a session");
        }
    }
    Ok(())
}

pub(super) async fn logout_keeps_no_data(env: Env) -> Outcome {
    let (_, browser) = Browser::of_alice(&env).await?;
    browser.set_note(Note::Mine).await?;
    let copy = browser.stolen();
    browser.post(|session| session.logout().and_then(|()| session.insert(CART, &1))).await?;
    ensure_eq!(browser.user().await?, None, "the user after the logout");
    ensure_eq!(browser.note().await?, None, "what is left of the values");
    ensure_eq!(browser.post(|it| it.get(CART)).await?, Some(1), "what was set after the logout");
    copy.assert_dead("the token works after the logout").await
}

pub(super) async fn stale_logout_keeps_a_newer_login(env: Env) -> Outcome {
    let browser = Browser::new(&Node::standard(&env).await?);
    browser.set_note(Note::Anonymous).await?;
    let slow = browser.begin().await?;
    slow.session.logout()?;
    browser.log_in("alice").await?;
    browser.take(slow.respond().await)?;
    browser.assert_user("alice", "the user after the end of an older session").await
}

pub(super) async fn different_keys_both_survive(env: Env) -> Outcome {
    for write_conflict in [WriteConflict::LastWriterWins, WriteConflict::Fail] {
        let browser = logged_in(&env, write_conflict).await?;
        browser.post(|session| session.insert(COUNT, &1)).await?;
        let (one, two, three) = (browser.begin().await?, browser.begin().await?, browser.begin().await?);
        one.session.insert(NOTE, &Note::First)?;
        two.session.insert(CART, &2)?;
        three.session.remove(COUNT)?;
        for writer in [one, two, three] {
            browser.take(writer.respond().await)?;
        }
        let left = browser.post(|it| Ok((it.get(NOTE)?, it.get(CART)?, it.get(COUNT)?))).await?;
        ensure_eq!(left, (Some(Note::First), Some(2), None), "what three writers of three keys left");
    }
    Ok(())
}

async fn logged_in(env: &Env, write_conflict: WriteConflict) -> Result<Browser, Failure> {
    let node = Node::start(env, policy(|it| it.write_conflict(write_conflict))?).await?;
    Ok(Browser::logged_in(&node, "alice").await?)
}

pub(super) async fn every_increment_counts(env: Env) -> Outcome {
    // Many wait for their turn, on a machine that does other things as well.
    let patient = policy(|it| it.store_timeout(Duration::from_secs(30)))?;
    let (here, there) = (Node::start(&env, patient.clone()).await?, Node::start(&env, patient).await?);
    let browser = Browser::logged_in(&here, "alice").await?;
    let mut writers = Vec::new();
    for node in [&here, &there].into_iter().cycle().take(AT_ONCE) {
        let writer = browser.on(node).begin().await?;
        writer.session.update(COUNT, |count| *count += 1)?;
        writers.push(async move { Ok(writer.respond().await) });
    }
    for reply in run_concurrently(writers).await? {
        browser.take(reply)?;
    }
    let sum = browser.on(&there).post(|it| it.get(COUNT)).await?;
    ensure_eq!(sum, Some(AT_ONCE as u64), "the sum of all increments");
    Ok(())
}

/// The answer to a writer of a key that another one wrote meanwhile.
async fn second_writer(browser: &Browser) -> Result<Reply<()>, Failure> {
    let (late, first) = (browser.begin().await?, browser.begin().await?);
    browser.take(first.run(|session| session.insert(NOTE, &Note::First)).await)?;
    Ok(late.run(|session| session.insert(NOTE, &Note::Second)).await)
}

pub(super) async fn same_key_later_commit_wins(env: Env) -> Outcome {
    let browser = logged_in(&env, WriteConflict::LastWriterWins).await?;
    second_writer(&browser).await?.result?;
    browser.assert_note(Note::Second, "the value committed last").await
}

pub(super) async fn same_key_may_be_an_error(env: Env) -> Outcome {
    let browser = logged_in(&env, WriteConflict::Fail).await?;
    second_writer(&browser).await?.refused(Refusal::CONFLICT, "the later of two writers of one key")?;
    browser.assert_note(Note::First, "the value committed first").await
}

pub(super) async fn stale_write_restores_no_privilege(env: Env) -> Outcome {
    const ADMIN: Key<u64> = Key::new("admin");
    let (_, browser) = Browser::of_alice(&env).await?;
    browser.post(|session| session.insert(ADMIN, &1)).await?;
    let slow = browser.begin().await?;
    browser.post(|session| session.remove(ADMIN)).await?;
    browser.take(slow.run(|session| session.insert(NOTE, &Note::Late)).await)?;
    let both = browser.post(|it| Ok((it.get(ADMIN)?, it.get(NOTE)?))).await?;
    ensure_eq!(both, (None, Some(Note::Late)), "the role that was taken away, and what was written meanwhile");
    Ok(())
}

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
