//! Clocks that differ, policies that differ, requests that take long: no honest client loses its session, and no consumed
//! token gets the current one.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Error, Key, Login, ManualClock, Policy, PolicyError, RememberMe, Renewal, Session, SessionManager, Timeouts, UserId,
};

const N: Key<u64> = Key::new("n");
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Servers over one store, each with its policy and clock.
struct Servers(Arc<ReferenceStore>);

impl Servers {
    fn new() -> Self {
        Self(Arc::new(ReferenceStore::new()))
    }

    fn with(&self, policy: Policy) -> Server {
        let clock = ManualClock::default();
        let builder = SessionManager::builder(Arc::clone(&self.0) as Arc<dyn SessionStore>);
        Server { manager: builder.policy(policy).clock(clock.clone()).build(), clock }
    }
}

struct Server {
    manager: SessionManager,
    clock: ManualClock,
}

impl Server {
    fn begin(&self, cookie: Option<&str>) -> RequestSession {
        RequestSession::new(self.manager.clone(), self.manager.read_cookie(cookie.map(str::as_bytes)))
    }

    /// Ends `request`; returns the cookie of its response.
    async fn end(&self, request: RequestSession) -> Result<Option<String>, Error> {
        let (outcome, headers) = request.finish().await;
        outcome?;
        Ok(headers.set_cookie.map(|cookie| cookie.expose().split(';').next().unwrap().to_owned()))
    }

    async fn request(&self, cookie: Option<&str>, act: impl FnOnce(&Session)) -> Result<Option<String>, Error> {
        let request = self.begin(cookie);
        act(request.session().await?);
        self.end(request).await
    }

    async fn login(&self, login: Login) -> String {
        self.request(None, |session| session.login(login).unwrap()).await.unwrap().unwrap()
    }

    async fn is_logged_in(&self, cookie: &str) -> bool {
        let mut user = None;
        self.request(Some(cookie), |session| user = session.user()).await.unwrap();
        user.is_some()
    }
}

fn alice() -> Login {
    Login::new(UserId::new("alice").unwrap())
}

fn renewing(grace: u64) -> Policy {
    let renewal = Renewal { timeout: 900 * SECOND, grace: Duration::from_secs(grace) };
    Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap()
}

/// The old token, the current one, and two servers: one that renewed, one with `other` as its policy.
async fn renewed(grace: u64, other: Policy) -> (Server, Server, String, String) {
    let servers = Servers::new();
    let (one, two) = (servers.with(renewing(grace)), servers.with(other));
    let first = one.login(alice()).await;
    for server in [&one, &two] {
        server.clock.advance(901 * SECOND);
    }
    let second = one.request(Some(&first), |_| {}).await.unwrap().unwrap();
    (one, two, first, second)
}

#[tokio::test]
async fn the_grace_window_is_the_one_that_was_recorded() {
    for other in [Policy::standard(), renewing(1), Policy::high_assurance()] {
        let (_, two, first, second) = renewed(30, other).await;
        two.clock.advance(20 * SECOND);
        assert_eq!(two.request(Some(&first), |_| {}).await.unwrap(), Some(second.clone()));
        assert!(two.is_logged_in(&second).await);
    }
    // A longer one elsewhere does not extend it.
    let (_, two, first, _) = renewed(5, renewing(300)).await;
    two.clock.advance(6 * SECOND);
    assert!(matches!(two.request(Some(&first), |_| {}).await, Err(Error::Superseded)));
}

/// A minute without network, and the answer with the renewed cookie is lost: no alarm, and nobody is logged out.
#[tokio::test]
async fn a_lost_renewal_costs_nobody_the_session() {
    for policy in [Policy::high_assurance(), Policy::consumer()] {
        let renewal = policy.renewal().unwrap();
        let server = Servers::new().with(policy);
        let (cookie, begin) = (server.login(alice()).await, server.manager.now());
        for _ in 0..3 {
            server.clock.advance(renewal.timeout / 3);
            // The last of these answers carries the successor, and is lost.
            let renewed = server.request(Some(&cookie), |_| {}).await.unwrap();
            assert_eq!(renewed.is_some(), server.manager.now() >= begin + renewal.timeout);
        }
        server.clock.advance(75 * SECOND);
        let again = server.request(Some(&cookie), |session| assert!(session.user().is_some())).await.unwrap();
        let successor = again.unwrap();
        assert!(server.is_logged_in(&successor).await);
    }
}

#[tokio::test]
async fn clocks_that_differ_by_the_skew_make_no_thief_of_an_honest_tab() {
    // The tab is honest for as long as the window of the server that renewed is open.
    for (ahead, behind) in [(30, 0), (0, 30), (29, 9)] {
        let (one, two, first, second) = renewed(10, renewing(10)).await;
        two.clock.advance(Duration::from_secs(ahead));
        one.clock.advance(Duration::from_secs(behind + 9));
        two.clock.advance(9 * SECOND);
        let tab = two.request(Some(&first), |_| {}).await;
        assert!(matches!(tab, Ok(_) | Err(Error::Superseded)), "{tab:?}");
        assert!(one.is_logged_in(&second).await, "two is {ahead} s ahead, one {behind} s");
    }
}

#[tokio::test]
async fn a_consumed_token_is_refused_first_and_reuse_later() {
    let (one, _, first, second) = renewed(10, renewing(10)).await;
    one.clock.advance(39 * SECOND);
    assert!(matches!(one.request(Some(&first), |_| {}).await, Err(Error::Superseded)));
    assert!(one.is_logged_in(&second).await);
    one.clock.advance(SECOND);
    assert!(!one.is_logged_in(&first).await);
    assert!(!one.is_logged_in(&second).await, "the session was ended");

    // An older generation is reuse at once.
    let (one, _, first, second) = renewed(10, renewing(10)).await;
    one.is_logged_in(&second).await;
    one.clock.advance(901 * SECOND);
    let third = one.request(Some(&second), |_| {}).await.unwrap().unwrap();
    assert!(!one.is_logged_in(&first).await);
    assert!(!one.is_logged_in(&third).await);
}

/// A request that presents `first`, and takes long. What happens to it meanwhile is `meanwhile`.
async fn slow(
    meanwhile: impl AsyncFn(&Server, &str) -> String,
    write: bool,
) -> (Result<Option<String>, Error>, String) {
    let server = Servers::new().with(renewing(10));
    let first = server.login(alice()).await;
    server.clock.advance(901 * SECOND);
    let request = server.begin(Some(&first));
    let session = request.session().await.unwrap().clone();
    let current = meanwhile(&server, &first).await;
    if write {
        session.insert(N, &1).unwrap();
    }
    let outcome = server.end(request).await;
    let mut n = None;
    server.request(Some(&current), |session| n = session.get(N).unwrap()).await.unwrap();
    assert_eq!(n, write.then_some(1), "the session lives, and a long request may write to it");
    (outcome, current)
}

#[tokio::test]
async fn a_long_request_is_not_given_the_current_token_outside_the_window() {
    for write in [false, true] {
        let used = async |server: &Server, first: &str| {
            let second = server.request(Some(first), |_| {}).await.unwrap().unwrap();
            server.request(Some(&second), |_| {}).await.unwrap();
            server.clock.advance(600 * SECOND);
            server.request(Some(&second), |_| {}).await.unwrap();
            second
        };
        let (outcome, current) = slow(used, write).await;
        assert_ne!(outcome.unwrap(), Some(current), "write: {write}");

        // Two generations on, its token is nobody's predecessor any more.
        let twice = async |server: &Server, first: &str| {
            let second = server.request(Some(first), |_| {}).await.unwrap().unwrap();
            server.request(Some(&second), |_| {}).await.unwrap();
            server.clock.advance(901 * SECOND);
            server.request(Some(&second), |_| {}).await.unwrap().unwrap()
        };
        let (outcome, current) = slow(twice, write).await;
        assert_ne!(outcome.unwrap(), Some(current), "write: {write}");

        // Inside the window, it is.
        let inside = async |server: &Server, first: &str| server.request(Some(first), |_| {}).await.unwrap().unwrap();
        let (outcome, current) = slow(inside, write).await;
        assert_eq!(outcome.unwrap(), Some(current), "write: {write}");
    }
}

#[tokio::test]
async fn a_request_that_began_in_the_window_and_ends_outside_is_not_given_the_current_token() {
    for write in [false, true] {
        for close in ["time", "use"] {
            let (one, _, first, second) = renewed(10, renewing(10)).await;
            let request = one.begin(Some(&first));
            let session = request.session().await.unwrap().clone();
            assert!(session.user().is_some());
            match close {
                "time" => one.clock.advance(10 * SECOND),
                _ => drop(one.request(Some(&second), |_| {}).await.unwrap()),
            }
            if write {
                session.insert(N, &1).unwrap();
            }
            assert_eq!(one.end(request).await.unwrap(), None, "closed by {close}, write: {write}");
            assert!(one.is_logged_in(&second).await);
        }
    }
}

#[tokio::test]
async fn a_verified_refresh_token_is_not_rotated_into_the_current_one_outside_the_window() {
    let server = Servers::new().with(Policy::standard());
    let issued = server.manager.issue_refresh_token(alice(), None).await.unwrap();
    let parse = |token: &session_core::SessionToken| {
        session_core::PresentedToken::parse(token.encode().expose().as_bytes()).unwrap()
    };
    let first = parse(&issued.token);
    let verify = async || server.manager.verify_refresh_token(&first).await;
    let second = server.manager.rotate(verify().await.unwrap().unwrap()).await.unwrap().unwrap();
    let slow = verify().await.unwrap().unwrap();
    server.clock.advance(11 * SECOND);
    assert!(matches!(server.manager.rotate(slow).await, Err(Error::Superseded)));
    assert!(server.manager.verify_refresh_token(&parse(&second.token)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_active_session_lives_whatever_its_idle_timeout() {
    let idle = |seconds| Timeouts { idle: seconds * SECOND, absolute: DAY };
    let remembering = |seconds| Policy::standard().to_builder().remember_me(RememberMe::OptIn(idle(seconds)));
    let servers = Servers::new();
    let server = servers.with(remembering(45).build().unwrap());
    let cookie = server.login(alice().remember()).await;
    for _ in 0..30 {
        server.clock.advance(10 * SECOND);
        assert!(server.is_logged_in(&cookie).await);
    }
    // An interval that was set, and is too long for one of them, is refused.
    let policy = remembering(45).touch_interval(60 * SECOND).build();
    assert_eq!(policy.unwrap_err(), PolicyError::TouchInterval);
}

#[tokio::test]
async fn a_policy_that_is_loosened_logs_no_active_session_out() {
    let minute = 60 * SECOND;
    for (before, after) in [(minute, 30 * minute), (2 * minute, 600 * minute), (SECOND, minute)] {
        let servers = Servers::new();
        let with = |idle: Duration| {
            let anonymous = Timeouts { idle, absolute: DAY };
            let builder = Policy::standard().to_builder().idle_timeout(idle).absolute_timeout(DAY).anonymous(anonymous);
            servers.with(builder.build().unwrap())
        };
        let (old, new) = (with(before), with(after));
        let cookie = old.login(alice()).await;
        for _ in 0..50 {
            new.clock.advance(before / 3);
            assert!(new.is_logged_in(&cookie).await, "from {before:?} to {after:?}");
        }
    }
}
