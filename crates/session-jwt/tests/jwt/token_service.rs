//! The token service, over the reference store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::ReferenceStore;
use session_core::{
    Assurance, DeleteOutcome, Kind, Login, ManualClock, OsEntropy, Policy, SessionManager, SessionSummary, UserId,
};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, KeyRing, Rotation, TokenPolicy, TokenPolicyError,
    TokenService, TokenServiceError, VerifyError,
};

/// The accounts of the application, which can be disabled or unavailable.
#[derive(Clone, Debug, Default)]
struct TestAccounts {
    disabled: Arc<Mutex<HashSet<String>>>,
    down: Arc<Mutex<bool>>,
}

#[async_trait]
impl Accounts for TestAccounts {
    async fn status(&self, user: &UserId, session: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        assert_eq!(session.kind, Kind::Refresh);
        if *self.down.lock().unwrap() {
            return Err(AccountsError::new("the accounts are down"));
        }
        let disabled = self.disabled.lock().unwrap().contains(user.as_str());
        Ok(if disabled { AccountStatus::Disabled } else { AccountStatus::Active })
    }
}

struct Fixture {
    service: TokenService,
    clock: ManualClock,
    accounts: TestAccounts,
}

fn fixture() -> Fixture {
    let (clock, accounts) = (ManualClock::default(), TestAccounts::default());
    let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).clock(clock.clone()).build();
    let service = TokenService::new(manager, tokens(&clock, 300), accounts.clone()).unwrap();
    Fixture { service, clock, accounts }
}

fn tokens(clock: &ManualClock, lifetime: u64) -> Arc<AccessTokens> {
    use session_core::Clock as _;
    let policy = TokenPolicy::builder("https://login.example", "https://api.example");
    let policy = policy.lifetime(Duration::from_secs(lifetime)).build().unwrap();
    let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), clock.now(), &OsEntropy).unwrap();
    Arc::new(AccessTokens::new(policy, ring).unwrap())
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

fn login() -> Login {
    Login::new(alice()).method("pwd").method("otp").level(Assurance::Aal2)
}

#[tokio::test]
async fn the_access_token_says_who_and_how() {
    let Fixture { service, clock, .. } = fixture();
    let pair = service.login(login(), None).await.unwrap();
    assert_eq!(pair.access.expires_in(), Duration::from_secs(300));
    let first = service.verify(pair.access.expose()).unwrap();
    assert_eq!((&first.user, first.session), (&alice(), pair.session.id));
    assert_eq!(first.level, Some(Assurance::Aal2));
    clock.advance(Duration::from_secs(400));
    assert_eq!(service.verify(pair.access.expose()).unwrap_err(), VerifyError::Expired);
    let pair = service.refresh(pair.refresh.expose()).await.unwrap();
    let second = service.verify(pair.access.expose()).unwrap();
    assert_eq!((second.session, second.authenticated_at), (first.session, first.authenticated_at));
    assert!(second.methods().eq(first.methods()), "a refresh is not an authentication");
    assert_ne!(second.token_id(), first.token_id());
}

#[tokio::test]
async fn no_access_token_outlives_its_session() {
    let Fixture { service, clock, .. } = fixture();
    let mut pair = service.login(login(), None).await.unwrap();
    for _ in 0..32 {
        clock.advance(Duration::from_secs(14 * 60 + 59));
        pair = service.refresh(pair.refresh.expose()).await.unwrap();
    }
    assert_eq!(pair.access.expires_in(), Duration::from_secs(32));
    clock.advance(Duration::from_secs(32));
    assert!(matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
}

/// Nor the absolute timeout of a policy that was tightened after it began.
#[tokio::test]
async fn no_access_token_outlives_its_session_by_a_tightened_policy() {
    let hour = Duration::from_secs(3600);
    let (clock, store) = (ManualClock::default(), Arc::new(ReferenceStore::new()));
    let tokens = tokens(&clock, 300);
    let service = |policy: Policy| {
        let manager = SessionManager::builder(store.clone()).policy(policy).clock(clock.clone()).build();
        TokenService::new(manager, Arc::clone(&tokens), TestAccounts::default()).unwrap()
    };
    let tightened = Policy::standard().to_builder().absolute_timeout(hour).build().unwrap();
    let (loose, tight, left) = (service(Policy::standard()), service(tightened), Duration::from_secs(40));
    let mut pair = loose.login(login(), None).await.unwrap();
    for _ in 0..2 {
        clock.advance(hour / 3);
        pair = loose.refresh(pair.refresh.expose()).await.unwrap();
    }
    clock.advance(hour / 3 - left);
    // A rotation, and the identical answer to its repetition.
    for _ in 0..2 {
        let next = tight.refresh(pair.refresh.expose()).await.unwrap();
        assert_eq!(next.access.expires_in(), left);
    }
    clock.advance(left);
    assert!(matches!(tight.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
}

#[tokio::test]
async fn every_refresh_asks_for_the_account() {
    let Fixture { service, accounts, .. } = fixture();
    let pair = service.login(login(), None).await.unwrap();
    *accounts.down.lock().unwrap() = true;
    assert!(matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::Accounts(_))));
    *accounts.down.lock().unwrap() = false;
    let pair = service.refresh(pair.refresh.expose()).await.expect("the token was not consumed");
    accounts.disabled.lock().unwrap().insert("alice".to_owned());
    assert!(matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    accounts.disabled.lock().unwrap().clear();
    assert!(matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)), "it ended");
    assert!(service.manager().list(&alice()).await.unwrap().is_empty());
}

/// Too late for its successor, and too early to be called theft: the loser of a race, or a client that lost an answer.
#[tokio::test]
async fn a_used_token_is_invalid_also_while_it_is_no_reuse() {
    let Fixture { service, clock, .. } = fixture();
    let old = service.login(login(), None).await.unwrap();
    let new = service.refresh(old.refresh.expose()).await.unwrap();
    clock.advance(service.manager().policy().refresh_grace() + Duration::from_secs(1));
    assert!(matches!(service.refresh(old.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    // A login with it ends the session all the same.
    let _ = service.login(login(), Some(old.refresh.expose())).await.unwrap();
    assert!(matches!(service.refresh(new.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)), "it ended");
    assert_eq!(service.manager().list(&alice()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_revoked_session_is_noticed_at_once_by_those_who_ask() {
    let Fixture { service, .. } = fixture();
    for by_access_token in [true, false] {
        let pair = service.login(login(), None).await.unwrap();
        let claims = service.verify(pair.access.expose()).unwrap();
        assert!(service.check_session(&claims).await.unwrap().is_some());
        let token = if by_access_token { pair.access.expose() } else { pair.refresh.expose() };
        assert_eq!(service.revoke(token).await.unwrap(), DeleteOutcome::Deleted);
        assert_eq!(service.revoke(token).await.unwrap(), DeleteOutcome::Absent);
        assert!(service.check_session(&claims).await.unwrap().is_none());
        assert!(service.verify(pair.access.expose()).is_ok(), "until it expires, without asking the store");
        assert!(matches!(service.refresh(pair.refresh.expose()).await, Err(TokenServiceError::InvalidGrant)));
    }
    assert_eq!(service.revoke("what is this").await.unwrap(), DeleteOutcome::Absent);
}

/// A policy with `not_before` ends access tokens and refresh tokens of earlier logins, and of no later ones.
#[tokio::test]
async fn not_before_ends_the_tokens_of_earlier_logins() {
    let (second, milli) = (Duration::from_secs(1), Duration::from_millis(1));
    let (clock, store) = (ManualClock::default(), Arc::new(ReferenceStore::new()));
    let tokens = tokens(&clock, 300);
    let service = |policy: Policy| {
        let manager = SessionManager::builder(store.clone()).policy(policy).clock(clock.clone()).build();
        TokenService::new(manager, Arc::clone(&tokens), TestAccounts::default()).unwrap()
    };
    let before = service(Policy::standard());
    let early = before.login(login(), None).await.unwrap();
    clock.advance(milli);
    let cut = service(Policy::standard().to_builder().not_before(before.manager().now()).build().unwrap());
    let between = cut.login(login(), None).await.unwrap();
    clock.advance(second - milli);
    let late = cut.login(login(), None).await.unwrap();

    for (pair, dies) in [(&early, true), (&between, true), (&late, false)] {
        let verified = cut.verify(pair.access.expose());
        assert_eq!(verified.as_ref().err(), dies.then_some(&VerifyError::NotBefore));
        assert!(before.verify(pair.access.expose()).is_ok(), "as long as nobody has told this server");
        // Whoever is refused is told to log in, and not to refresh for ever.
        assert_eq!(cut.refresh(pair.refresh.expose()).await.is_err(), dies);
    }
    // A server that was not told renews none of them for those that were.
    let renewed = before.refresh(early.refresh.expose()).await.unwrap();
    assert_eq!(cut.verify(renewed.access.expose()).unwrap_err(), VerifyError::NotBefore);
    assert_eq!(cut.revoke(renewed.access.expose()).await.unwrap(), DeleteOutcome::Deleted, "what is left of it");
}

#[tokio::test]
async fn lifetimes_that_do_not_fit_the_session_policy_are_refused() {
    let clock = ManualClock::default();
    let service = |lifetime, policy: Policy| {
        let manager = SessionManager::new(ReferenceStore::new(), policy);
        TokenService::new(manager, tokens(&clock, lifetime), TestAccounts::default()).map(drop)
    };
    assert_eq!(service(1800, Policy::standard()), Err(TokenPolicyError::OutlivesIdleTimeout));
    assert_eq!(service(9, Policy::standard()), Err(TokenPolicyError::ShorterThanRefreshGrace));
    assert_eq!(service(10, Policy::standard()), Ok(()));
    assert_eq!(service(1, Policy::high_assurance()), Ok(()));
}
