//! The endpoint of a back-channel logout: what ends, what is answered, and what is an event.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Claims, Forge, ISSUER, NOW, header, now};
use async_trait::async_trait;
use serde_json::Value;
use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::RequestHead;
use session_core::{
    Event, EventKind, Login, ManualClock, OsEntropy, Policy, PresentedToken, RequestContext, SessionManager,
    SessionObserver, StoreError, StoreErrorKind, Termination, UserId,
};
use session_jwt::{
    AccountsError, Algorithm, Answer, BackchannelLogout, BoxError, FetchJwks, JwksDocument, JwtSeal, KeyRing,
    LogoutClaims, ProviderUsers, RemoteVerifier, Rotation, TokenPolicy, Verifier, VerifyingKeys,
};

const CLIENT: &str = "our-client-id";
const LIFETIME: Duration = Duration::from_secs(120);

/// Whether something works.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn turn_off(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn turn_on(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_off(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Intercept for Switch {
    async fn intercept<T: Send>(
        &self,
        _: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.is_off() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail"));
        }
        execute.await
    }
}

/// Subjects are users with a prefix; those without are unknown.
#[async_trait]
impl ProviderUsers for Switch {
    async fn user(&self, subject: &str, logout: &LogoutClaims) -> Result<Option<UserId>, AccountsError> {
        assert_eq!(logout.issuer, ISSUER);
        if self.is_off() {
            return Err(AccountsError::new("the users are down"));
        }
        Ok(subject.strip_prefix("sub-").map(user))
    }
}

#[async_trait]
impl FetchJwks for Switch {
    async fn fetch(&self, _: &str, document: &mut JwksDocument) -> Result<(), BoxError> {
        if self.is_off() {
            return Err("connection refused".into());
        }
        Ok(document.push(forge().ring().jwks(now()).to_json().as_bytes())?)
    }
}

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Events {
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(|event| event.kind).collect()
    }
}

struct Post;

impl RequestHead for Post {
    fn method(&self) -> &str {
        "POST"
    }

    fn path(&self) -> &str {
        "/backchannel-logout"
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        (name == "content-type").then_some(&b"application/x-www-form-urlencoded"[..]).into_iter()
    }

    fn describe(&self, _: &mut RequestContext) {}
}

fn forge() -> Forge {
    Forge::new(Algorithm::EdDsa, 1)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn claims(id: &str, sub: Option<&str>, sid: Option<&str>) -> Claims {
    let claims = Claims(Vec::new())
        .with("iss", &format!("\"{ISSUER}\""))
        .with("aud", &format!("\"{CLIENT}\""))
        .with("iat", &NOW.to_string())
        .with("exp", &(NOW + LIFETIME.as_secs()).to_string())
        .with("jti", &format!("\"{id}\""))
        .with("events", r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#);
    let named = [("sub", sub), ("sid", sid)].into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.fold(claims, |claims, (name, value)| claims.with(name, &format!("\"{value}\"")))
}

fn body(claims: &Claims) -> String {
    format!("logout_token={}", forge().token(header("EdDSA", &forge().kid(), "logout+jwt"), claims.json()))
}

fn token(id: &str, sub: Option<&str>, sid: Option<&str>) -> String {
    body(&claims(id, sub, sid))
}

fn policy() -> TokenPolicy {
    TokenPolicy::builder(ISSUER, CLIENT).lifetime(LIFETIME).build().unwrap()
}

fn verifier() -> Arc<Verifier> {
    Arc::new(Verifier::for_issuer(policy(), VerifyingKeys::from_ring(&forge().ring())))
}

struct Site {
    store: Switch,
    users: Switch,
    clock: ManualClock,
    events: Events,
    manager: SessionManager,
    logout: BackchannelLogout,
}

impl Site {
    fn new() -> Self {
        let (store, users, clock, events) = Default::default();
        let clock: ManualClock = clock;
        clock.set(now());
        let backend = Intercepted::new(ReferenceStore::new(), Switch::clone(&store));
        let manager = SessionManager::builder(Arc::new(backend)).clock(clock.clone());
        let manager = manager.observer(Events::clone(&events)).build();
        let logout = BackchannelLogout::with_keys(manager.clone(), verifier(), Switch::clone(&users));
        Self { store, users, clock, events, manager, logout }
    }

    /// A session with a refresh token, which began in this session of the provider.
    async fn login(&self, name: &str, sid: Option<&str>) -> PresentedToken {
        let login = Login::new(user(name));
        let login = sid.into_iter().fold(login, |login, sid| login.provider_session(ISSUER, sid));
        let issued = self.manager.issue_refresh_token(login, None).await.unwrap();
        self.events.take();
        PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap()
    }

    async fn is_alive(&self, token: &PresentedToken) -> bool {
        self.manager.inspect_refresh_token(token).await.unwrap().is_some()
    }

    async fn post(&self, body: &str) -> Answer {
        self.logout.answer(&Post, body.as_bytes()).await
    }

    /// The token is obeyed, and this many sessions end.
    #[track_caller]
    fn assert_done(&self, answer: Answer, ended: usize) {
        assert_eq!((answer.status(), answer.content_type()), (200, "application/json"));
        assert_uncached(&answer);
        assert_eq!(answer.into_body(), "{}");
        assert_eq!(self.events.take(), vec![EventKind::Terminated(Termination::Revoked); ended]);
    }

    /// The token is refused, which is an event.
    #[track_caller]
    fn assert_refused(&self, answer: Answer, reason: &str) {
        assert_error(answer, 400, "invalid_request", reason);
        let events = std::mem::take(&mut *self.events.0.lock().unwrap());
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.kind, EventKind::InvalidLogoutToken);
        assert_eq!(event.request.as_ref().unwrap().path, "/backchannel-logout");
    }
}

#[track_caller]
fn assert_uncached(answer: &Answer) {
    assert!(answer.edits().is_some() && answer.headers().all(|(name, _)| name != "cache-control"));
}

#[track_caller]
fn assert_error(answer: Answer, status: u16, code: &str, reason: &str) {
    assert_uncached(&answer);
    assert_eq!(answer.status(), status);
    let body: Value = serde_json::from_str(&answer.into_body()).unwrap();
    assert_eq!(body["error"], code);
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{body}");
}

#[tokio::test]
async fn what_began_in_the_session_ends_and_nothing_else() {
    let site = Site::new();
    let ended = [site.login("alice", Some("1")).await, site.login("alice", Some("1")).await];
    let others = [
        site.login("alice", Some("2")).await,
        site.login("alice", None).await,
        site.login("bob", Some("1")).await,
        site.login("sub-alice", Some("1")).await,
    ];
    site.assert_done(site.post(&token("a", Some("sub-alice"), Some("1"))).await, 2);
    for token in &ended {
        assert!(!site.is_alive(token).await);
    }
    for token in &others {
        assert!(site.is_alive(token).await);
    }
    // What is gone, or never was here, is logged out too.
    site.assert_done(site.post(&token("b", Some("sub-alice"), Some("1"))).await, 0);
    site.assert_done(site.post(&token("c", Some("sub-carol"), Some("1"))).await, 0);
    site.assert_done(site.post(&token("d", Some("nobody"), None)).await, 0);
    // All of the user's.
    site.assert_done(site.post(&token("e", Some("sub-alice"), None)).await, 2);
    assert!(site.is_alive(&others[2]).await && site.is_alive(&others[3]).await);
}

#[tokio::test]
async fn a_token_is_good_once() {
    let site = Site::new();
    let (all, one) = (token("all", Some("sub-alice"), None), token("one", Some("sub-alice"), Some("1")));
    let _ = site.login("alice", Some("1")).await;
    site.assert_done(site.post(&one).await, 1);
    let _ = site.login("alice", None).await;
    site.assert_done(site.post(&all).await, 1);
    let later = site.login("alice", None).await;
    // To the end of its life, leeway included; also in a clone, as each connection of a server has one.
    for seconds in [0, 60, 64] {
        site.clock.advance(Duration::from_secs(seconds));
        for body in [&all, &one, &token("all", Some("sub-alice"), Some("2"))] {
            site.assert_refused(site.logout.clone().answer(&Post, body.as_bytes()).await, "used before");
        }
    }
    site.clock.advance(Duration::from_secs(1));
    site.assert_refused(site.post(&all).await, "expired");
    assert!(site.is_alive(&later).await);
}

/// What was not obeyed may be repeated.
#[tokio::test]
async fn nothing_is_used_up_while_something_is_down() {
    let site = Site::new();
    let session = site.login("alice", Some("1")).await;
    for body in [token("a", Some("sub-alice"), Some("1")), token("b", Some("sub-alice"), None)] {
        for switch in [&site.store, &site.users] {
            switch.turn_off();
            assert_error(site.post(&body).await, 503, "temporarily_unavailable", "repeat");
            switch.turn_on();
            let events = site.events.take();
            assert!(!events.contains(&EventKind::InvalidLogoutToken), "no verdict about the token: {events:?}");
            assert!(site.is_alive(&session).await);
        }
    }
    site.assert_done(site.post(&token("a", Some("sub-alice"), Some("1"))).await, 1);
    site.assert_done(site.post(&token("b", Some("sub-alice"), None)).await, 0);
}

#[tokio::test]
async fn a_session_without_a_user_is_refused_clearly() {
    let site = Site::new();
    let session = site.login("alice", Some("1")).await;
    site.assert_refused(site.post(&token("a", None, Some("1"))).await, "has sid and no sub");
    assert!(site.is_alive(&session).await);
}

#[tokio::test]
async fn bad_tokens_end_nothing_and_the_provider_learns_why() {
    let site = Site::new();
    let session = site.login("alice", Some("1")).await;
    site.store.turn_off(); // nobody asks it
    site.users.turn_off();
    let good = || claims("a", Some("sub-alice"), Some("1"));
    for (bad, reason) in [
        (good().with("nonce", "\"n\""), "nonce"),
        (good().without("events"), "events"),
        (good().without("exp"), "exp"),
        (good().with("aud", "\"another\""), "audience"),
        (good().with("iss", "\"https://other.example\""), "issuer"),
        (good().with("exp", &(NOW + 3600).to_string()), "lifetime"),
        (good().without("sub").without("sid"), "sub"),
    ] {
        site.assert_refused(site.post(&body(&bad)).await, reason);
    }
    let signed = token("a", Some("sub-alice"), None);
    let unsigned = signed.rsplit_once('.').unwrap().0;
    for (bad, reason) in [
        (format!("{unsigned}."), "three segments"),
        (format!("{unsigned}.{}", "A".repeat(86)), "signature"),
        ("logout_token=x".to_owned(), "three segments"),
        (format!("logout_token={}", "x".repeat(9000)), "too long"),
        (format!("logout_token={}", forge().good()), "another kind"),
    ] {
        site.assert_refused(site.post(&bad).await, reason);
    }
    site.store.turn_on();
    assert!(site.is_alive(&session).await);
}

#[tokio::test]
async fn only_a_form_with_one_token() {
    let site = Site::new();
    let good = token("a", Some("sub-alice"), None);
    for (body, reason) in [
        (String::new(), "not a form with a logout_token"),
        ("logout_token=".to_owned(), "not a form with a logout_token"),
        ("Logout_Token=x&token=y".to_owned(), "not a form with a logout_token"),
        (format!("{good}&{good}"), "repeated"),
        ("%ff=%ff".to_owned(), "form"),
    ] {
        assert_error(site.post(&body).await, 400, "invalid_request", reason);
        assert_eq!(site.events.take(), [], "there was no token");
    }
    // Other parameters are ignored.
    site.assert_done(site.post(&format!("state=x&{good}&state=y")).await, 0);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_no_verdict() {
    let (site, keys) = (Site::new(), Switch::default());
    let session = site.login("alice", Some("1")).await;
    let remote = Verifier::for_issuer(policy(), VerifyingKeys::none());
    let remote = RemoteVerifier::new(remote, "https://login.example/jwks.json", keys.clone()).unwrap();
    let remote = remote.with_clock(site.clock.clone());
    let logout = BackchannelLogout::new(site.manager.clone(), remote, site.users.clone());
    let body = token("a", Some("sub-alice"), Some("1"));
    keys.turn_off();
    let answer = logout.answer(&Post, body.as_bytes()).await;
    assert_error(answer, 503, "temporarily_unavailable", "repeat");
    assert_eq!(site.events.take(), []);
    keys.turn_on();
    site.clock.advance(Duration::from_secs(100));
    site.assert_done(logout.answer(&Post, body.as_bytes()).await, 1);
    assert!(!site.is_alive(&session).await);
    site.assert_refused(logout.answer(&Post, body.as_bytes()).await, "used before");
}

#[tokio::test]
async fn client_side_sessions_cannot_be_ended() {
    let rotation = Rotation::builder().verify_for(Duration::from_secs(7 * 24 * 3600)).build().unwrap();
    let ring = KeyRing::generate(Algorithm::Hs256, rotation, now(), &OsEntropy).unwrap();
    let seal = JwtSeal::new(ISSUER, ring, &Policy::standard()).unwrap();
    let manager = SessionManager::client_side(seal, None).clock(ManualClock::new(now())).build();
    let logout = BackchannelLogout::with_keys(manager, verifier(), Switch::default());
    for sid in [None, Some("1")] {
        let answer = logout.answer(&Post, token("a", Some("sub-alice"), sid).as_bytes()).await;
        assert_error(answer, 501, "unsupported", "cannot be ended");
    }
}
