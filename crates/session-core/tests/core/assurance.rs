//! What a proof of identity renews, and how long a login may ask a session to live.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::{RejectionKind, RequestSession, require_fresh};
use session_core::store::SessionStore;
use session_core::{
    Assurance, Login, ManualClock, Policy, Proof, RememberMe, Session, SessionManager, StepUp, Timeouts, UserId,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// Alice in her browser.
struct Browser {
    manager: SessionManager,
    clock: ManualClock,
    cookie: Option<String>,
}

impl Browser {
    fn new(policy: Policy) -> Self {
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let clock = ManualClock::default();
        Self {
            manager: SessionManager::builder(store).policy(policy).clock(clock.clone()).build(),
            clock,
            cookie: None,
        }
    }

    /// Returns the whole `Set-Cookie` of the response, if there is one.
    async fn request(&mut self, act: impl AsyncFnOnce(&SessionManager, &Session)) -> Option<String> {
        let cookie = self.manager.read_cookie(self.cookie.as_deref().map(str::as_bytes));
        let request = RequestSession::new(self.manager.clone(), cookie);
        act(&self.manager, request.session().await.unwrap()).await;
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        let set_cookie = headers.set_cookie.map(|cookie| cookie.expose().to_owned());
        if let Some(cookie) = &set_cookie {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        set_cookie
    }

    async fn login(&mut self, login: Login) -> String {
        self.request(async |_, session| session.login(login).unwrap()).await.unwrap()
    }

    async fn step_up(&mut self, step_up: StepUp) {
        self.request(async |_, session| session.step_up(step_up).unwrap()).await;
    }

    /// Whether a guard of five minutes lets Alice pass, by level.
    async fn passes(&mut self) -> [bool; 3] {
        let mut passes = [false; 3];
        self.request(async |manager, session| {
            for (level, passes) in [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3].into_iter().zip(&mut passes) {
                *passes = match require_fresh(manager, session, 5 * MINUTE, level).await {
                    Ok(()) => true,
                    Err(RejectionKind::ReauthenticationRequired) => false,
                    Err(other) => panic!("{other:?}"),
                };
                assert_eq!(session.is_fresh(5 * MINUTE, level), *passes);
            }
        })
        .await;
        passes
    }

    async fn proofs(&mut self) -> Vec<Proof> {
        let mut proofs = Vec::new();
        self.request(async |_, session| proofs = session.authentication().unwrap().proofs().cloned().collect()).await;
        proofs
    }

    async fn is_logged_in(&mut self) -> bool {
        let mut user = None;
        self.request(async |_, session| user = session.user()).await;
        user.is_some()
    }
}

#[tokio::test]
async fn a_weak_step_up_renews_nothing_strong() {
    let mut browser = Browser::new(Policy::standard().to_builder().idle_timeout(8 * HOUR).build().unwrap());
    browser.login(Login::new(alice()).method("pwd").method("otp").level(Assurance::Aal2)).await;
    let began = browser.manager.now();
    assert_eq!(browser.passes().await, [true, true, false]);

    browser.clock.advance(3 * HOUR);
    assert_eq!(browser.passes().await, [false; 3]);
    browser.step_up(StepUp::new(alice()).method("pwd")).await;
    assert_eq!(browser.passes().await, [true, false, false]);
    let strong = Proof::new(Assurance::Aal2, began).method("pwd").method("otp");
    let weak = Proof::new(Assurance::Aal1, browser.manager.now()).method("pwd");
    assert_eq!(browser.proofs().await, [strong.clone(), weak]);

    // Nor does it after the weak one is too old, or was repeated.
    browser.clock.advance(5 * MINUTE);
    assert_eq!(browser.passes().await, [false; 3]);
    browser.step_up(StepUp::new(alice()).method("pwd")).await;
    assert_eq!(browser.passes().await, [true, false, false]);

    // A strong one renews what is below.
    browser.clock.advance(HOUR);
    browser.step_up(StepUp::new(alice()).method("hwk").level(Assurance::Aal3)).await;
    assert_eq!(browser.passes().await, [true; 3]);
    let strongest = Proof::new(Assurance::Aal3, browser.manager.now()).method("pwd").method("otp").method("hwk");
    assert_eq!(browser.proofs().await, std::slice::from_ref(&strongest));

    browser.clock.advance(HOUR);
    browser.step_up(StepUp::new(alice()).method("otp").level(Assurance::Aal2)).await;
    let weaker = Proof::new(Assurance::Aal2, browser.manager.now()).method("otp");
    browser.clock.advance(4 * MINUTE);
    browser.step_up(StepUp::new(alice()).method("pwd")).await;
    let weakest = Proof::new(Assurance::Aal1, browser.manager.now()).method("pwd");
    assert_eq!(browser.passes().await, [true, true, false]);
    assert_eq!(browser.proofs().await, [strongest, weaker, weakest]);
    browser.clock.advance(MINUTE);
    assert_eq!(browser.passes().await, [true, false, false]);

    // A login begins anew.
    browser.login(Login::new(alice()).method("pwd")).await;
    assert_eq!(browser.proofs().await, [Proof::new(Assurance::Aal1, browser.manager.now()).method("pwd")]);
}

#[tokio::test]
async fn several_step_ups_in_one_request_each_count_at_their_level() {
    let mut browser = Browser::new(Policy::standard());
    browser.login(Login::new(alice()).method("pwd")).await;
    browser.clock.advance(10 * MINUTE);
    browser
        .request(async |_, session| {
            session.step_up(StepUp::new(alice()).method("otp").level(Assurance::Aal2)).unwrap();
            session.step_up(StepUp::new(alice()).method("pwd")).unwrap();
            assert!(session.is_fresh(MINUTE, Assurance::Aal2));
        })
        .await;
    assert_eq!(browser.passes().await, [true, true, false]);
}

#[tokio::test]
async fn a_login_may_ask_for_shorter_timeouts_and_never_for_longer_ones() {
    let remembered = Timeouts { idle: 24 * HOUR, absolute: 48 * HOUR };
    let policy = Policy::standard().to_builder().remember_me(RememberMe::OptIn(remembered)).build().unwrap();
    let of_policy = policy.timeouts(true, session_core::Persistence::Transient);
    let cases = [
        (Login::new(alice()).idle_timeout(MINUTE), Timeouts { idle: MINUTE, ..of_policy }),
        (Login::new(alice()).absolute_timeout(HOUR), Timeouts { absolute: HOUR, ..of_policy }),
        (Login::new(alice()).idle_timeout(1000 * HOUR).absolute_timeout(Duration::MAX), of_policy),
        (Login::new(alice()).remember().absolute_timeout(HOUR), Timeouts { absolute: HOUR, ..remembered }),
    ];
    for (login, expected) in cases {
        let mut browser = Browser::new(policy.clone());
        browser.login(login).await;
        for change in ["as it began", "after a step-up", "after a write"] {
            let shown = browser.manager.list(&alice()).await.unwrap();
            assert_eq!(shown[0].timeouts, expected, "{change}");
            browser
                .request(async |_, session| match change {
                    "as it began" => session.step_up(StepUp::new(alice())).unwrap(),
                    _ => session.insert(session_core::Key::<u8>::new("n"), &1).unwrap(),
                })
                .await;
        }
        // It is in use all the time.
        let end = browser.manager.now() + expected.absolute;
        while browser.manager.now() + expected.idle / 2 < end {
            browser.clock.advance(expected.idle / 2);
            assert!(browser.is_logged_in().await, "{expected:?}");
        }
        browser.clock.advance(expected.idle / 2);
        assert!(!browser.is_logged_in().await, "{expected:?}");
    }
}

/// The next login of the same browser has the timeouts of the policy again.
#[tokio::test]
async fn shorter_timeouts_end_with_their_session() {
    let mut browser = Browser::new(Policy::consumer());
    let cookie = browser.login(Login::new(alice()).idle_timeout(MINUTE).absolute_timeout(HOUR)).await;
    assert!(cookie.contains("Max-Age=3600"), "{cookie}");
    let cookie = browser.login(Login::new(alice())).await;
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    browser.clock.advance(HOUR);
    assert!(browser.is_logged_in().await);
}
