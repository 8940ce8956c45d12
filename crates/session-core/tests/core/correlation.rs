//! By what events are correlated: the public id of the session they are about, and nothing else of it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::SessionStore;
use session_core::{
    Error, Event, EventKind, Expiry, Key, LimitPolicy, Login, ManualClock, OsEntropy, Policy, PolicyBuilder,
    PresentedToken, Renewal, Session, SessionId, SessionManager, SessionObserver, StepUp, StoreError, StoreErrorKind,
    Termination, UserId,
};

use crate::plain::Plain;

const N: Key<u64> = Key::new("n");
const RENEWAL: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Audit(Arc<Mutex<Vec<Event>>>);

impl SessionObserver for Audit {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Whether the store is down. Clones are the same.
#[derive(Clone, Debug, Default)]
struct Down(Arc<AtomicBool>);

impl Intercept for Down {
    async fn intercept<T: Send>(
        &self,
        _: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "down"));
        }
        execute.await
    }
}

struct Site {
    store: Arc<dyn SessionStore>,
    down: Down,
    clock: ManualClock,
    audit: Audit,
    manager: SessionManager,
}

impl Site {
    fn new() -> Self {
        let (down, clock, audit) = (Down::default(), ManualClock::default(), Audit::default());
        let store: Arc<dyn SessionStore> = Arc::new(Intercepted::new(ReferenceStore::new(), down.clone()));
        let manager = with(&store, &clock, &audit, |policy| policy);
        Self { store, down, clock, audit, manager }
    }

    /// The same store, with another policy.
    fn with(&self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> SessionManager {
        with(&self.store, &self.clock, &self.audit, change)
    }

    /// Compares the events since the last call, in any order, by what they say happened to which session.
    #[track_caller]
    fn expect(&self, expected: &[(EventKind, Option<SessionId>)]) {
        let events = std::mem::take(&mut *self.audit.0.lock().unwrap());
        let show = |kind: &EventKind, id: Option<SessionId>| {
            format!("{kind:?} {}", id.map_or("-".to_owned(), |id| id.to_string()))
        };
        let mut seen: Vec<String> = events.iter().map(|event| show(&event.kind, event.session)).collect();
        let mut wanted: Vec<String> = expected.iter().map(|(kind, id)| show(kind, *id)).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(seen, wanted);
    }
}

fn with(
    store: &Arc<dyn SessionStore>,
    clock: &ManualClock,
    audit: &Audit,
    change: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
) -> SessionManager {
    let renewal = Renewal { timeout: RENEWAL, grace: GRACE };
    let policy = change(Policy::standard().to_builder().renewal(Some(renewal))).build().unwrap();
    let builder = SessionManager::builder(Arc::clone(store)).policy(policy).clock(clock.clone());
    builder.observer(audit.clone()).build()
}

/// One request; returns the cookie that the browser has then.
async fn request(
    manager: &SessionManager,
    cookie: &str,
    act: impl FnOnce(&Session) -> Result<(), Error>,
) -> Result<String, Error> {
    let request = RequestSession::new(manager.clone(), manager.read_cookie([cookie.as_bytes()]));
    act(request.session().await?)?;
    let (outcome, headers) = request.finish().await;
    outcome?;
    let set = headers.set_cookie.map(|set| set.expose().split(';').next().unwrap().to_owned());
    Ok(set.unwrap_or_else(|| cookie.to_owned()))
}

async fn login(manager: &SessionManager, user: &UserId) -> String {
    request(manager, "", |session| session.login(Login::new(user.clone()))).await.unwrap()
}

/// The public id in front of a token.
fn id(cookie: &str) -> SessionId {
    let bytes = URL_SAFE_NO_PAD.decode(cookie.trim_start_matches("__Host-id=")).unwrap();
    SessionId::from_bytes(bytes[..16].try_into().unwrap())
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn ended(why: Termination) -> EventKind {
    EventKind::Terminated(why)
}

const READ: fn(&Session) -> Result<(), Error> = |_| Ok(());

#[tokio::test]
async fn each_step_names_the_session_by_its_public_id() {
    let site = Site::new();
    let manager = &site.manager;
    let visitor = request(manager, "", |it| it.insert(N, &1)).await.unwrap();
    site.expect(&[(EventKind::Created, Some(id(&visitor)))]);
    let first = request(manager, &visitor, |it| it.login(Login::new(alice()))).await.unwrap();
    let it = Some(id(&first));
    assert_ne!(it, Some(id(&visitor)));
    site.expect(&[(EventKind::LoggedIn, it), (ended(Termination::Replaced), Some(id(&visitor)))]);
    let second = request(manager, &first, |it| it.step_up(StepUp::new(alice()))).await.unwrap();
    site.expect(&[(EventKind::SteppedUp, it)]);
    let third = request(manager, &second, Session::regenerate).await.unwrap();
    site.expect(&[(EventKind::Regenerated, it)]);
    site.clock.advance(RENEWAL);
    let fourth = request(manager, &third, READ).await.unwrap();
    site.expect(&[(EventKind::Renewed, it)]);
    assert_eq!(request(manager, &third, READ).await.unwrap(), fourth);
    site.expect(&[(EventKind::Replayed, it)]);
    request(manager, &fourth, READ).await.unwrap();
    site.expect(&[]);
    assert!(request(manager, &third, READ).await.is_err());
    site.expect(&[(EventKind::RenewalRaced, it)]);
    site.clock.advance(GRACE + manager.policy().max_clock_skew());
    request(manager, &third, READ).await.unwrap();
    site.expect(&[(EventKind::TokenReuse, it), (ended(Termination::Reuse), it)]);
}

#[tokio::test]
async fn so_does_each_end() {
    let site = Site::new();
    let manager = &site.manager;
    let cookies = [login(manager, &alice()).await, login(manager, &alice()).await, login(manager, &alice()).await];
    let [first, second, third] = cookies.each_ref().map(|cookie| Some(id(cookie)));
    site.expect(&[first, second, third].map(|id| (EventKind::LoggedIn, id)));
    request(manager, &cookies[0], Session::logout).await.unwrap();
    site.expect(&[(ended(Termination::Logout), first)]);
    let _ = manager.revoke(&alice(), &second.unwrap()).await.unwrap();
    site.expect(&[(ended(Termination::Revoked), second)]);
    let _ = manager.revoke_all(&alice()).await.unwrap();
    site.expect(&[(ended(Termination::Revoked), third)]);

    let one = site.with(|policy| policy.session_limit(1, LimitPolicy::EvictOldest));
    let [old, new] = [login(&one, &alice()).await, login(&one, &alice()).await].map(|cookie| Some(id(&cookie)));
    site.expect(&[(EventKind::LoggedIn, old), (EventKind::LoggedIn, new), (ended(Termination::Evicted), old)]);
    let strict = site.with(|policy| policy.session_limit(1, LimitPolicy::Reject));
    assert!(request(&strict, "", |it| it.login(Login::new(alice()))).await.is_err());
    site.expect(&[(EventKind::LimitReached, None)]);

    // Of a request that goes away before its response is sent.
    let gone = RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    let session = gone.session().await.unwrap().clone();
    session.login(Login::new(UserId::new("bob").unwrap())).unwrap();
    manager.commit(&session).await.unwrap();
    let unreceived = session.id();
    drop((session, gone));
    assert_eq!(manager.drain(Duration::from_secs(60)).await, 0);
    site.expect(&[(EventKind::LoggedIn, unreceived), (ended(Termination::Unreceived), unreceived)]);
}

#[tokio::test]
async fn so_does_each_refusal_of_a_session_that_is_known() {
    let site = Site::new();
    let manager = &site.manager;
    let idle = login(manager, &alice()).await;
    site.expect(&[(EventKind::LoggedIn, Some(id(&idle)))]);
    let later = site.with(|policy| policy.not_before(manager.now() + Duration::from_secs(1)));
    request(&later, &idle, READ).await.unwrap();
    site.expect(&[(EventKind::Expired(Expiry::NotBefore), Some(id(&idle)))]);
    site.clock.advance(Duration::from_secs(1800));
    request(manager, &idle, READ).await.unwrap();
    site.expect(&[(EventKind::Expired(Expiry::Idle), Some(id(&idle)))]);

    // Whose it is said to be: the public half of a token that was made up.
    let stranger = SessionId::generate(None, &OsEntropy).unwrap();
    let made_up = URL_SAFE_NO_PAD.encode([&stranger.as_bytes()[..], &[7; 32]].concat());
    request(manager, &format!("__Host-id={made_up}"), READ).await.unwrap();
    site.expect(&[(EventKind::UnknownToken, Some(stranger))]);
    // The right id, and nothing of the secret.
    let alive = login(manager, &alice()).await;
    let forged = URL_SAFE_NO_PAD.encode([&id(&alive).as_bytes()[..], &[7; 32]].concat());
    request(manager, &format!("__Host-id={forged}"), READ).await.unwrap();
    site.expect(&[(EventKind::LoggedIn, Some(id(&alive))), (EventKind::UnknownToken, Some(id(&alive)))]);
    // The id alone opens nothing.
    request(manager, &format!("__Host-id={}", id(&alive)), READ).await.unwrap();
    site.expect(&[(EventKind::MalformedToken, None)]);

    site.down.0.store(true, Ordering::SeqCst);
    assert!(request(manager, &alive, READ).await.is_err());
    let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Unavailable };
    site.expect(&[(failed, None)]);
    site.down.0.store(false, Ordering::SeqCst);

    let two = format!("{alive}; __Host-id={made_up}");
    request(manager, &two, READ).await.unwrap();
    site.expect(&[(EventKind::AmbiguousCookie, None), (EventKind::UnknownToken, Some(stranger))]);
}

#[tokio::test]
async fn so_do_those_of_refresh_tokens_and_client_side_sessions() {
    let site = Site::new();
    let manager = &site.manager;
    let issued = manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let it = Some(issued.session.id);
    site.expect(&[(EventKind::LoggedIn, it)]);
    let first = || PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let use_up = async |token: PresentedToken| {
        let verified = manager.verify_refresh_token(&token).await.unwrap();
        manager.rotate(verified.unwrap()).await.unwrap().unwrap()
    };
    let second = use_up(first()).await;
    site.expect(&[(EventKind::Renewed, it)]);
    let again = use_up(first()).await;
    assert_eq!(again.token.encode().expose(), second.token.encode().expose());
    site.expect(&[(EventKind::Replayed, it)]);
    site.clock.advance(manager.policy().refresh_grace() + manager.policy().max_clock_skew());
    assert!(manager.verify_refresh_token(&first()).await.unwrap().is_none());
    site.expect(&[(EventKind::TokenReuse, it), (ended(Termination::Reuse), it)]);

    for deny_list in [None, Some(Arc::clone(&site.store))] {
        let over = if deny_list.is_some() { ended(Termination::Logout) } else { EventKind::CookieRemoved };
        let manager = SessionManager::client_side(Plain, deny_list).clock(site.clock.clone());
        let manager = manager.observer(site.audit.clone()).build();
        let cookie = login(&manager, &alice()).await;
        let session = manager.open(&manager.read_cookie([cookie.as_bytes()])).await.unwrap();
        site.expect(&[(EventKind::LoggedIn, session.id())]);
        request(&manager, &cookie, Session::logout).await.unwrap();
        site.expect(&[(over, session.id())]);
    }
}
