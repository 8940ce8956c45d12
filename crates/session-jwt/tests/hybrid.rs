//! The hybrid, over the executable contract.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::ReferenceStore;
use session_core::{
    Assurance, DeleteOutcome, Error, Kind, Login, ManualClock, OsEntropy, Policy, SessionManager, SessionSummary,
    UserId,
};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, HybridConfigError, KeyRing, Rotation, TokenPair,
    TokenPolicy, TokenService, TokenServiceError, VerifyError,
};

/// Who is barred; and whether anybody can tell.
#[derive(Clone, Debug, Default)]
struct Book {
    barred: Arc<Mutex<HashSet<String>>>,
    down: Arc<Mutex<bool>>,
}

#[async_trait]
impl Accounts for Book {
    async fn status(&self, user: &UserId, session: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        assert_eq!(session.kind, Kind::Refresh);
        if *self.down.lock().unwrap() {
            return Err(AccountsError::new("the accounts are down"));
        }
        let barred = self.barred.lock().unwrap().contains(user.as_str());
        Ok(if barred { AccountStatus::Disabled } else { AccountStatus::Active })
    }
}

struct Service {
    hybrid: TokenService,
    clock: ManualClock,
    book: Book,
}

fn service() -> Service {
    let (clock, book) = (ManualClock::default(), Book::default());
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone()).build();
    let hybrid = TokenService::new(manager, tokens(&clock, 300), book.clone()).unwrap();
    Service { hybrid, clock, book }
}

fn tokens(clock: &ManualClock, lifetime: u64) -> Arc<AccessTokens> {
    use session_core::Clock as _;
    let policy = TokenPolicy::new("https://login.example", "https://api.example").unwrap();
    let policy = policy.with_lifetime(Duration::from_secs(lifetime)).unwrap();
    let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), clock.now(), &OsEntropy).unwrap();
    Arc::new(AccessTokens::new(policy, ring).unwrap())
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn login() -> Login {
    Login::new(alice()).method("pwd").method("otp").level(Assurance::Aal2)
}

fn refresh_of(pair: &TokenPair) -> String {
    pair.refresh.expose().to_owned()
}

#[tokio::test]
async fn the_access_token_says_who_and_how() {
    let Service { hybrid, clock, .. } = service();
    let pair = hybrid.login(login(), None).await.unwrap();
    assert_eq!(pair.access.expires_in(), Duration::from_secs(300));
    let first = hybrid.verify(pair.access.expose()).unwrap();
    assert_eq!((&first.user, first.session), (&alice(), pair.session.id));
    assert_eq!(first.level, Some(Assurance::Aal2));
    clock.advance(Duration::from_secs(400));
    assert_eq!(hybrid.verify(pair.access.expose()).unwrap_err(), VerifyError::Expired);
    let pair = hybrid.refresh(pair.refresh.expose()).await.unwrap();
    let second = hybrid.verify(pair.access.expose()).unwrap();
    assert_eq!((second.session, second.authenticated_at), (first.session, first.authenticated_at));
    assert_eq!(second.methods, first.methods, "a refresh is no authentication");
    assert_ne!(second.token_id, first.token_id);
}

#[tokio::test]
async fn no_access_token_outlives_its_session() {
    let Service { hybrid, clock, .. } = service();
    let mut pair = hybrid.login(login(), None).await.unwrap();
    for _ in 0..32 {
        clock.advance(Duration::from_secs(14 * 60 + 59));
        pair = hybrid.refresh(pair.refresh.expose()).await.unwrap();
    }
    assert_eq!(pair.access.expires_in(), Duration::from_secs(32));
    clock.advance(Duration::from_secs(32));
    assert!(matches!(hybrid.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
}

#[tokio::test]
async fn a_replay_gets_the_same_refresh_token_and_reuse_ends_all() {
    let Service { hybrid, clock, .. } = service();
    let first = refresh_of(&hybrid.login(login(), None).await.unwrap());
    let second = refresh_of(&hybrid.refresh(&first).await.unwrap());
    clock.advance(Duration::from_secs(9));
    assert_eq!(refresh_of(&hybrid.refresh(&first).await.unwrap()), second);
    clock.advance(Duration::from_secs(1));
    assert!(matches!(hybrid.refresh(&first).await, Err(TokenServiceError::InvalidGrant)));
    assert!(matches!(hybrid.refresh(&second).await, Err(TokenServiceError::InvalidGrant)));
}

#[tokio::test]
async fn every_refresh_asks_for_the_account() {
    let Service { hybrid, book, .. } = service();
    let pair = hybrid.login(login(), None).await.unwrap();
    *book.down.lock().unwrap() = true;
    assert!(matches!(hybrid.refresh(pair.refresh.expose()).await, Err(TokenServiceError::Accounts(_))));
    *book.down.lock().unwrap() = false;
    let pair = hybrid.refresh(pair.refresh.expose()).await.expect("nothing was used up");
    book.barred.lock().unwrap().insert("alice".to_owned());
    assert!(matches!(hybrid.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    book.barred.lock().unwrap().clear();
    assert!(matches!(hybrid.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)), "it ended");
    assert!(hybrid.manager().list(&alice()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revoked_session_is_noticed_at_once_by_those_who_ask() {
    let Service { hybrid, .. } = service();
    for by_access_token in [true, false] {
        let pair = hybrid.login(login(), None).await.unwrap();
        let claims = hybrid.verify(pair.access.expose()).unwrap();
        assert!(hybrid.check_session(&claims).await.unwrap().is_some());
        let token = if by_access_token { pair.access.expose() } else { pair.refresh.expose() };
        assert_eq!(hybrid.revoke(token).await.unwrap(), DeleteOutcome::Deleted);
        assert_eq!(hybrid.revoke(token).await.unwrap(), DeleteOutcome::Absent);
        assert!(hybrid.check_session(&claims).await.unwrap().is_none());
        assert!(hybrid.verify(pair.access.expose()).is_ok(), "without asking, when it expires");
        assert!(matches!(hybrid.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    }
    assert_eq!(hybrid.revoke("what is this").await.unwrap(), DeleteOutcome::Absent);
}

#[tokio::test]
async fn garbage_is_an_invalid_grant() {
    let Service { hybrid, .. } = service();
    for token in ["", "x", &"A".repeat(64), &"A".repeat(65), "a.b.c", "\u{fc}", &"x".repeat(1 << 20)] {
        assert!(matches!(hybrid.refresh(token).await, Err(TokenServiceError::InvalidGrant)));
    }
}

#[tokio::test]
async fn a_second_login_takes_the_place_of_the_first() {
    let Service { hybrid, .. } = service();
    let first = hybrid.login(login(), None).await.unwrap();
    let second = hybrid.login(login(), Some(first.refresh.expose())).await.unwrap();
    assert_eq!(hybrid.manager().list(&alice()).await.unwrap().len(), 1);
    assert!(matches!(hybrid.refresh(first.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    let _ = hybrid.refresh(second.refresh.expose()).await.unwrap();
    let _ = hybrid.login(login(), Some("nonsense")).await.unwrap();
}

#[tokio::test]
async fn lifetimes_that_make_no_sense_are_refused() {
    let clock = ManualClock::default();
    let hybrid = |lifetime, policy: Policy| {
        let manager = SessionManager::new(ReferenceStore::new(), policy);
        TokenService::new(manager, tokens(&clock, lifetime), Book::default()).map(drop)
    };
    assert_eq!(hybrid(1800, Policy::standard()), Err(HybridConfigError::Timeouts));
    assert_eq!(hybrid(9, Policy::standard()), Err(HybridConfigError::Grace));
    assert_eq!(hybrid(10, Policy::standard()), Ok(()));
    assert_eq!(hybrid(1, Policy::high_assurance()), Ok(()));
}

#[tokio::test]
async fn the_limit_refuses_a_login() {
    let clock = ManualClock::default();
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).policy(Policy::high_assurance()).build();
    let hybrid = TokenService::new(manager, tokens(&clock, 120), Book::default()).unwrap();
    let _first = hybrid.login(login(), None).await.unwrap();
    let second = hybrid.login(login(), None).await;
    assert!(matches!(second, Err(TokenServiceError::Session(Error::LimitReached))));
}
