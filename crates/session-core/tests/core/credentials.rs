//! Sessions that end when the credentials of their account change.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::{Error, Key, Login, ManualClock, Policy, PresentedToken, Session, SessionManager, StepUp, UserId};

/// What an application stores of a password.
const OLD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$b2xk";
const NEW: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$bmV3";
const CART: Key<u32> = Key::new("cart");

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn manager() -> (SessionManager, ManualClock) {
    let clock = ManualClock::default();
    let builder = SessionManager::builder(Arc::new(ReferenceStore::new()));
    (builder.policy(Policy::standard()).clock(clock.clone()).build(), clock)
}

/// What a request does.
type Act = fn(&Session) -> Result<(), Error>;

/// Returns what `act` does, and the cookie that the browser has afterwards.
async fn request<T>(
    manager: &SessionManager,
    cookie: Option<&str>,
    act: impl FnOnce(&Session) -> Result<T, Error>,
) -> (T, Option<String>) {
    let presented = manager.read_cookie(cookie.map(str::as_bytes));
    let request = RequestSession::new(manager.clone(), presented);
    let answer = act(request.session().await.unwrap()).unwrap();
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let set = headers.set_cookie.map(|cookie| cookie.expose().split(';').next().unwrap().to_owned());
    (answer, set.or(cookie.map(str::to_owned)))
}

async fn log_in(manager: &SessionManager, login: Login) -> String {
    request(manager, None, |session| session.login(login)).await.1.unwrap()
}

async fn has(manager: &SessionManager, cookie: &str, credentials: &str) -> bool {
    request(manager, Some(cookie), |session| Ok(session.has_credentials(credentials))).await.0
}

#[tokio::test]
async fn a_change_of_the_password_is_seen_by_the_sessions_before_it() {
    let (manager, clock) = manager();
    let [one, other] = [log_in(&manager, Login::new(alice()).credentials(OLD)).await, {
        clock.advance(Duration::from_secs(1));
        log_in(&manager, Login::new(alice()).credentials(OLD)).await
    }];
    assert!(has(&manager, &one, OLD).await && has(&manager, &other, OLD).await);
    // The one changes it, and says so.
    let (_, one) = request(&manager, Some(&one), |session| {
        session.step_up(StepUp::new(alice()).method("pwd").credentials(NEW))?;
        assert!(session.has_credentials(NEW), "at once");
        Ok(())
    })
    .await;
    assert!(has(&manager, &one.unwrap(), NEW).await);
    assert!(!has(&manager, &other, NEW).await && has(&manager, &other, OLD).await);
}

/// Renewed tokens, values, a step-up that says nothing of them: they stay.
#[tokio::test]
async fn what_else_happens_changes_nothing() {
    let (manager, clock) = manager();
    let mut cookie = log_in(&manager, Login::new(alice()).credentials(OLD)).await;
    let acts: [Act; 4] = [
        |session| session.insert(CART, &1),
        Session::clear,
        Session::regenerate,
        |session| session.step_up(StepUp::new(alice()).method("otp")),
    ];
    for (number, act) in acts.into_iter().enumerate() {
        clock.advance(Duration::from_secs(60));
        cookie = request(&manager, Some(&cookie), act).await.1.unwrap();
        assert!(has(&manager, &cookie, OLD).await, "act {number}");
        let keys = request(&manager, Some(&cookie), |session| Ok(session.keys())).await.0;
        assert!(keys.len() <= 1, "the digest is no value of the application: {keys:?}");
    }
}

/// Nobody, a login that said nothing, another login.
#[tokio::test]
async fn whoever_did_not_say_has_none() {
    let (manager, _) = manager();
    let (visitor, _) = request(&manager, None, |session| {
        session.insert(CART, &1)?;
        Ok(session.has_credentials(""))
    })
    .await;
    assert!(!visitor);
    let cookie = log_in(&manager, Login::new(alice())).await;
    assert!(!has(&manager, &cookie, OLD).await && !has(&manager, &cookie, "").await);
    let cookie = log_in(&manager, Login::new(alice()).credentials(OLD)).await;
    let again = request(&manager, Some(&cookie), |session| session.login(Login::new(alice()))).await.1.unwrap();
    assert!(!has(&manager, &again, OLD).await, "a login that does not say has not proved them");
    let (after, _) = request(&manager, Some(&cookie), |session| {
        session.login(Login::new(alice()).credentials(OLD))?;
        session.logout()?;
        Ok(session.has_credentials(OLD))
    })
    .await;
    assert!(!after);
}

#[tokio::test]
async fn refresh_tokens_are_tied_too() {
    let (manager, _) = manager();
    let issued = manager.issue_refresh_token(Login::new(alice()).credentials(OLD), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let verified = manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert!(verified.has_credentials(OLD) && !verified.has_credentials(NEW));
    let rotated = manager.rotate(verified).await.unwrap().unwrap();
    let token = PresentedToken::parse(rotated.token.encode().expose().as_bytes()).unwrap();
    assert!(manager.verify_refresh_token(&token).await.unwrap().unwrap().has_credentials(OLD));
}
