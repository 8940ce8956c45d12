//! The runbook of SECURITY.md, carried out: what each tool ends, what it does not, and which events show it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::{CreateRequest, Credential, Record, Seal as _, SessionStore, Version};
use session_core::{
    Assurance, Authentication, Error, Event, EventKind, Expiry, Key, Kind, Login, ManualClock, OsEntropy, Policy,
    Proof, Session, SessionId, SessionManager, SessionObserver, SessionSummary, StoreErrorKind, Termination, Timeouts,
    Timestamp, UserId,
};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, JwtSeal, KeyError, KeyRing, Rotation, Subject,
    TokenPair, TokenPolicy, TokenService, TokenServiceError, VerifyError, VerifyingKeys,
};

const N: Key<u64> = Key::new("n");
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default)]
struct Audit(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Audit {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Audit {
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The accounts that are locked.
#[derive(Clone, Debug, Default)]
struct Locked(Arc<Mutex<HashSet<UserId>>>);

#[async_trait]
impl Accounts for Locked {
    async fn status(&self, user: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        let is_locked = self.0.lock().unwrap().contains(user);
        Ok(if is_locked { AccountStatus::Disabled } else { AccountStatus::Active })
    }
}

/// One application: its store, its keys, and what it was told.
struct Application {
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
    audit: Audit,
    locked: Locked,
    tokens: Arc<AccessTokens>,
}

impl Application {
    fn new() -> Self {
        let clock = ManualClock::default();
        let ring = ring(Algorithm::EdDsa, &clock);
        let policy = TokenPolicy::new("https://login.example", "https://api.example").unwrap();
        Self {
            store: Arc::new(ReferenceStore::new()),
            audit: Audit::default(),
            locked: Locked::default(),
            tokens: Arc::new(AccessTokens::new(policy, ring).unwrap()),
            clock,
        }
    }

    fn now(&self) -> Timestamp {
        session_core::Clock::now(&self.clock)
    }

    /// A server that was started with this `not_before`.
    fn server(&self, not_before: Option<Timestamp>) -> TokenService {
        let manager = SessionManager::builder(Arc::clone(&self.store));
        let manager = manager.policy(policy(not_before)).clock(self.clock.clone()).observer(self.audit.clone());
        TokenService::new(manager.build(), Arc::clone(&self.tokens), self.locked.clone()).unwrap()
    }
}

fn ring(algorithm: Algorithm, clock: &ManualClock) -> KeyRing {
    let rotation = Rotation::builder().verify_for(7 * DAY).build().unwrap();
    KeyRing::generate(algorithm, rotation, session_core::Clock::now(clock), &OsEntropy).unwrap()
}

fn policy(not_before: Option<Timestamp>) -> Policy {
    let policy = Policy::standard().to_builder();
    not_before.map_or(policy.clone(), |moment| policy.not_before(moment)).build().unwrap()
}

/// As SECURITY.md has it.
fn retire_all(ring: &KeyRing, now: Timestamp) -> Result<KeyRing, KeyError> {
    let known: Vec<String> = ring.keys(now).map(|key| key.kid).collect();
    known.iter().try_fold(ring.clone(), |ring, kid| ring.retire(kid, now, &OsEntropy))
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// A request with this `Cookie` header; returns the one for the next.
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

async fn login(manager: &SessionManager) -> String {
    request(manager, "", |session| session.login(Login::new(alice()))).await.unwrap()
}

async fn user(manager: &SessionManager, cookie: &str) -> Option<UserId> {
    let session = manager.open(&manager.read_cookie([cookie.as_bytes()])).await.unwrap();
    session.user()
}

async fn is_refused(service: &TokenService, pair: &TokenPair) -> bool {
    matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant))
}

/// A session that was never logged in, as somebody makes it who can write it down: it begins when they say.
fn forged(user: &UserId, begins: Timestamp) -> (Record, String) {
    let id = SessionId::generate(Some(user), &OsEntropy).unwrap();
    let (credential, token) = Credential::issue(Kind::Cookie, id, begins, &OsEntropy).unwrap();
    let timeouts = Timeouts { idle: DAY, absolute: 30 * DAY };
    let mut summary = SessionSummary::new(id, Kind::Cookie, begins, timeouts);
    summary.authentication = Some(Authentication::new(user.clone(), Proof::new(Assurance::Aal3, begins)));
    let cookie = format!("__Host-id={}", token.encode().expose());
    (Record::new(summary, Version::first(&OsEntropy).unwrap(), credential), cookie)
}

#[tokio::test]
async fn an_account_that_was_taken_over_is_free_again() {
    let app = Application::new();
    let server = app.server(None);
    let manager = server.manager();
    let (cookie, stolen) = (login(manager).await, login(manager).await);
    let pair = server.login(Login::new(alice()), None).await.unwrap();
    let claims = server.verify(pair.access.expose()).unwrap();
    app.audit.take();

    app.locked.0.lock().unwrap().insert(alice());
    assert!(is_refused(&server, &pair).await, "before anything was revoked");
    assert_eq!(app.audit.take(), [EventKind::Terminated(Termination::Revoked)]);
    assert_eq!(manager.list(&alice()).await.unwrap().len(), 2);
    assert_eq!(manager.revoke_all(&alice()).await.unwrap(), 2);
    assert_eq!(app.audit.take(), [const { EventKind::Terminated(Termination::Revoked) }; 2]);
    assert!(manager.list(&alice()).await.unwrap().is_empty());

    for cookie in [&cookie, &stolen] {
        assert_eq!(user(manager, cookie).await, None);
        assert_eq!(app.audit.take(), [EventKind::UnknownToken]);
    }
    // What it does not do: an access token is good where nobody asks the store.
    assert!(server.verify(pair.access.expose()).is_ok());
    assert!(server.check_session(&claims).await.unwrap().is_none());
    app.clock.advance(Duration::from_secs(305));
    assert_eq!(server.verify(pair.access.expose()).unwrap_err(), VerifyError::Expired);
}

#[tokio::test]
async fn tokens_that_were_stolen_in_masses_are_dead() {
    let app = Application::new();
    let before = app.server(None);
    let stolen = login(before.manager()).await;
    let visitor = request(before.manager(), "", |session| session.insert(N, &1)).await.unwrap();
    let pair = before.login(Login::new(alice()), None).await.unwrap();
    app.clock.advance(SECOND);
    let server = app.server(Some(app.now()));
    app.audit.take();

    for cookie in [&stolen, &visitor] {
        let session = server.manager().open(&server.manager().read_cookie([cookie.as_bytes()])).await.unwrap();
        assert!(session.user().is_none() && session.get(N).unwrap().is_none());
        assert_eq!(app.audit.take(), [EventKind::Expired(Expiry::NotBefore)]);
    }
    assert!(is_refused(&server, &pair).await);
    assert_eq!(app.audit.take(), [EventKind::Expired(Expiry::NotBefore)]);
    assert_eq!(server.verify(pair.access.expose()).unwrap_err(), VerifyError::NotBefore);
    assert!(server.manager().list(&alice()).await.unwrap().is_empty());
    assert_eq!(user(server.manager(), &login(server.manager()).await).await, Some(alice()), "and logs in again");
    // Until the last server has it, it does not hold.
    assert_eq!(user(before.manager(), &stolen).await, Some(alice()));
}

/// Neither of the usual tools ends for sure what somebody wrote; another store does.
#[tokio::test]
async fn somebody_who_could_write_to_the_store_is_out() {
    let app = Application::new();
    let (record, cookie) = forged(&alice(), app.now() + Duration::from_secs(3600));
    let _ = app.store.create(CreateRequest::new(&record), app.now()).await.unwrap();
    app.clock.advance(SECOND);
    let server = app.server(Some(app.now()));
    assert_eq!(user(server.manager(), &cookie).await, Some(alice()), "it began later than not_before, as it says");

    let elsewhere = Application::new();
    let server = elsewhere.server(None);
    assert_eq!(user(server.manager(), &cookie).await, None);
    assert_eq!(elsewhere.audit.take(), [EventKind::UnknownToken]);
    assert_eq!(server.manager().count().await.unwrap().sessions, 0);
}

#[tokio::test]
async fn a_signing_key_that_leaked_signs_nothing_any_more() {
    let app = Application::new();
    let server = app.server(None);
    let pair = server.login(Login::new(alice()), None).await.unwrap();
    // The next key is published already, and was in the same file.
    app.clock.advance(Duration::from_secs(60));
    let next = app.tokens.ring().rotate(app.now() + 29 * DAY, &OsEntropy).unwrap().unwrap();
    app.tokens.set_ring(next.clone()).unwrap();
    let remote = VerifyingKeys::from_jwks(&app.tokens.jwks(app.now()).to_json()).unwrap();
    let thief = AccessTokens::new(app.tokens.policy().clone(), next.clone()).unwrap();
    let (record, _) = forged(&alice(), app.now());
    let subject = Subject::new(record.id(), record.summary.authentication.as_ref().unwrap(), Timestamp::MAX);
    let token = thief.issue(&subject, app.now()).await.unwrap();
    assert!(server.verify(token.expose()).is_ok(), "as good as any");

    let known: HashSet<String> = next.keys(app.now()).map(|key| key.kid).collect();
    assert_eq!(known.len(), 2);
    app.tokens.set_ring(retire_all(&app.tokens.ring(), app.now()).unwrap()).unwrap();
    let kids: Vec<String> = app.tokens.ring().keys(app.now()).map(|key| key.kid).collect();
    assert!(kids.len() == 1 && !known.contains(&kids[0]), "{kids:?}");
    for token in [token.expose(), pair.access.expose()] {
        assert!(server.verify(token).is_err());
    }
    let later = thief.issue(&subject, app.now() + 30 * DAY).await.unwrap();
    app.clock.advance(SECOND);
    assert!(server.verify(later.expose()).is_err(), "nor with the next key");
    // Nobody was logged out.
    let pair = server.refresh(pair.refresh.expose()).await.unwrap();
    assert!(server.verify(pair.access.expose()).is_ok());
    // What it does not do: a service that has the old public keys goes on with them.
    let verifier = session_jwt::Verifier::new(app.tokens.policy().clone(), remote);
    assert!(verifier.verify(token.expose(), app.now()).is_ok());
}

#[tokio::test]
async fn the_secret_of_client_side_sessions_that_leaked_opens_nothing_any_more() {
    let app = Application::new();
    let keys = ring(Algorithm::Hs256, &app.clock);
    let seal = Arc::new(JwtSeal::new("https://shop.example", keys.clone(), &Policy::standard()).unwrap());
    let server = |not_before| {
        let manager = SessionManager::client_side(Shared(Arc::clone(&seal)), Some(Arc::clone(&app.store)));
        manager.policy(policy(not_before)).clock(app.clock.clone()).observer(app.audit.clone()).build()
    };
    let cookie = login(&server(None)).await;
    let thief = JwtSeal::new("https://shop.example", keys.clone(), &Policy::standard()).unwrap();
    let (record, _) = forged(&alice(), app.now() + Duration::from_secs(3600));
    let forged = format!("__Host-id={}", thief.seal(&record, app.now()).unwrap());
    app.clock.advance(SECOND);
    let cut = server(Some(app.now()));
    assert_eq!(user(&cut, &forged).await, Some(alice()), "it began later than not_before, as it says");
    let Err(Error::Store(error)) = cut.revoke_all(&alice()).await else { panic!("there is no such thing") };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);

    seal.set_ring(retire_all(&keys, app.now()).unwrap()).unwrap();
    app.audit.take();
    for cookie in [&forged, &cookie] {
        assert_eq!(user(&server(None), cookie).await, None);
        assert_eq!(app.audit.take(), [EventKind::MalformedToken]);
    }
}

/// A backup is a store with sessions that ended since.
#[tokio::test]
async fn a_backup_that_is_restored_brings_no_session_back() {
    let app = Application::new();
    let cookie = login(app.server(None).manager()).await;
    app.clock.advance(SECOND);
    // The user logged out, and that is lost: the restored store still has the session.
    let server = app.server(Some(app.now()));
    assert_eq!(user(server.manager(), &cookie).await, None);
    assert_eq!(user(server.manager(), &login(server.manager()).await).await, Some(alice()));
}

/// One seal for several servers.
#[derive(Debug)]
struct Shared(Arc<JwtSeal>);

impl session_core::store::Seal for Shared {
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, session_core::StoreError> {
        self.0.seal(record, now)
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        self.0.open(text, now)
    }

    fn sealed_len(&self, record: &Record) -> usize {
        self.0.sealed_len(record)
    }
}
