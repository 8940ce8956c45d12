//! Two applications on one server: sessions, tokens, limits and revocations of one are none of the other's, on every
//! backend.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::Harness;
use session_core::{
    DeleteOutcome, Error, Key, LimitPolicy, Login, ManualClock, OsEntropy, Policy, SessionManager, SessionSummary,
    UserId,
};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, KeyRing, Rotation, TokenPolicy, TokenService,
    TokenServiceError,
};
use session_testbed::records::{application, user};
use session_testbed::servers::namespace;
use session_testbed::{Client, backends};

const CART: Key<String> = Key::new("cart");
const MANY: NonZeroU32 = NonZeroU32::MAX;

/// Two applications, the name of one the beginning of the other's, and their clock. Two sessions for each user; the third
/// login ends the first.
async fn two(backend: &dyn Harness) -> ([SessionManager; 2], ManualClock) {
    let (name, clock) = (namespace(), ManualClock::default());
    let policy = Policy::standard().to_builder().session_limit(2, LimitPolicy::EvictOldest).build().unwrap();
    let open = async |name: &str| {
        let store = backend.open(&application(name)).await.unwrap();
        SessionManager::builder(store).policy(policy.clone()).clock(clock.clone()).build()
    };
    ([open(name.as_str()).await, open(&format!("{name}-2")).await], clock)
}

async fn logged_in(manager: &SessionManager, name: &str) -> Client {
    let mut client = Client::new(manager);
    client
        .request(async |session| {
            session.login(Login::new(user(name)))?;
            session.insert(CART, &"tea".to_owned())
        })
        .await
        .unwrap();
    client
}

/// Who is logged in, and what is in the cart.
async fn seen(client: &mut Client) -> (Option<UserId>, Option<String>) {
    let mut seen = (None, None);
    let look = async |session: &session_core::Session| {
        seen = (session.user(), session.get(CART)?);
        Ok(())
    };
    client.request(look).await.unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_worth_nothing_at_another_application() {
    for backend in backends() {
        let ([here, there], _) = two(&*backend).await;
        let mut alice = logged_in(&here, "alice").await;
        let mut copy = Client::new(&there);
        copy.set_token(alice.token().unwrap());
        assert_eq!(seen(&mut copy).await, (None, None), "{}", backend.backend());
        // A logout, a write and a login with it change nothing here.
        copy.request(async |session| session.logout()).await.unwrap();
        copy.set_token(alice.token().unwrap());
        copy.request(async |session| session.insert(CART, &"poison".to_owned())).await.unwrap();
        copy.set_token(alice.token().unwrap());
        copy.request(async |session| session.login(Login::new(user("alice")))).await.unwrap();
        assert_ne!(copy.token(), alice.token());
        assert_eq!(seen(&mut alice).await, (Some(user("alice")), Some("tea".to_owned())), "{}", backend.backend());
        assert_eq!(here.list(&user("alice")).await.unwrap().len(), 1);
    }
}

#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Accounts for Everybody {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_worth_nothing_at_another_application() {
    for backend in backends() {
        let ([here, there], clock) = two(&*backend).await;
        // Keys, issuer and audience are the same: only the store tells the two apart.
        let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), here.now(), &OsEntropy).unwrap();
        let policy = TokenPolicy::new("https://login.example", "https://api.example").unwrap();
        let tokens = Arc::new(AccessTokens::new(policy, ring).unwrap());
        let [here, there] =
            [here, there].map(|manager| TokenService::new(manager, Arc::clone(&tokens), Everybody).unwrap());
        let pair = here.login(Login::new(user("alice")), None).await.unwrap();
        let refresh = pair.refresh.expose();

        let refused = there.refresh(refresh).await;
        assert!(matches!(refused, Err(TokenServiceError::InvalidGrant)), "{}: {refused:?}", backend.backend());
        let access = pair.access.expose();
        assert!(there.check_session(&there.verify(access).unwrap()).await.unwrap().is_none(), "{}", backend.backend());
        for token in [refresh, access] {
            assert_eq!(there.revoke(token).await.unwrap(), DeleteOutcome::Absent);
        }
        // A login that presents it ends nothing.
        let _ = there.login(Login::new(user("alice")), Some(refresh)).await.unwrap();
        // Long after, so that a rotation there would show as reuse here.
        clock.advance(Duration::from_secs(120));
        assert!(here.check_session(&here.verify(access).unwrap()).await.unwrap().is_some());
        let _ = here.refresh(refresh).await.unwrap();
    }
}

/// How many sessions the pages of all have.
async fn all(manager: &SessionManager) -> usize {
    let (mut ids, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = manager.list_all(cursor.as_ref(), MANY).await.unwrap();
        ids.extend(page.listing.sessions.iter().map(|session| session.id));
        cursor = page.next;
        if cursor.is_none() {
            return ids.len();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_revocations_and_clean_up_are_those_of_one_application() {
    for backend in backends() {
        let ([here, there], clock) = two(&*backend).await;
        let (name, alice) = (backend.backend(), user("alice"));
        let mut theirs = [logged_in(&there, "alice").await, logged_in(&there, "alice").await];
        let mut ours = Vec::new();
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            ours.push(logged_in(&here, "alice").await);
        }
        let counts = async || {
            let count = async |manager: &SessionManager| {
                let (of_all, listed) = (all(manager).await, manager.list(&alice).await.unwrap().len());
                let count = manager.count().await.unwrap();
                // On a server that others use too, a count may be an estimate.
                assert!(!count.is_exact || count.sessions == of_all as u64, "{name}: {count:?}");
                (of_all, listed)
            };
            [count(&here).await, count(&there).await]
        };
        assert_eq!(counts().await, [(2, 2), (2, 2)], "{name}, at the limit");
        assert_eq!(seen(&mut ours[0]).await.0, None, "{name}: evicted here");
        for client in &mut theirs {
            assert_eq!(seen(client).await.0.as_ref(), Some(&alice), "{name}: and not there");
        }

        // An id of theirs is none of ours.
        let id = there.list(&alice).await.unwrap()[0].id;
        assert_eq!(here.revoke(&alice, &id).await.unwrap(), DeleteOutcome::Absent);
        assert_eq!(here.revoke_others(&alice, &id).await.unwrap(), 2, "{name}: to keep it keeps nothing");
        assert_eq!(counts().await, [(0, 0), (2, 2)], "{name}, after a revocation");
        logged_in(&here, "alice").await;
        assert_eq!(here.revoke_all(&alice).await.unwrap(), 1);
        assert_eq!(counts().await, [(0, 0), (2, 2)], "{name}, after another");

        // All have expired; here they are deleted, and a page there is still one of what was there.
        logged_in(&here, "alice").await;
        clock.advance(Duration::from_secs(24 * 60 * 60));
        let expired = [here.delete_expired(MANY).await.unwrap(), there.delete_expired(MANY).await.unwrap()];
        // Redis and the store in this process free them by themselves.
        assert!([[0, 0], [1, 2]].contains(&expired), "{name}: {expired:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_of_one_application() {
    for backend in backends() {
        let ([here, there], _) = two(&*backend).await;
        for name in 0..40 {
            logged_in(&here, &format!("user {name}")).await;
            logged_in(&there, &format!("user {name}")).await;
        }
        let Some(cursor) = here.list_all(None, NonZeroU32::MIN).await.unwrap().next else {
            panic!("{}: one page", backend.backend());
        };
        here.list_all(Some(&cursor), NonZeroU32::MIN).await.unwrap();
        let refused = there.list_all(Some(&cursor), NonZeroU32::MIN).await;
        // A store in this process has no name: its sessions are in nobody's reach anyway.
        if backend.backend() != "moka" {
            assert!(matches!(refused, Err(Error::InvalidCursor)), "{}: {refused:?}", backend.backend());
        }
    }
}
