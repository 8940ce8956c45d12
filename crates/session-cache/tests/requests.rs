//! Whole requests of two nodes, each with a cache: what they cost, and when the store is asked.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::ReferenceStore;
use session_core::store::{Freshness, SessionStore};
use session_core::{Error, Key, Login, ManualClock, Policy, Renewal, Session, SessionId, SessionManager, UserId};
use session_testbed::{Client, Recorder, RecordingStore};

const COUNT: Key<u64> = Key::new("count");
const MINUTE: Duration = Duration::from_secs(60);

/// A node, and what it asks of the store.
struct Node {
    manager: SessionManager,
    network: Arc<RecordingStore>,
}

struct Site {
    clock: ManualClock,
    here: Node,
    there: Node,
}

impl Site {
    fn new(policy: Policy) -> Self {
        let (clock, server) = (ManualClock::default(), Arc::new(ReferenceStore::new()));
        let node = || {
            let network = Arc::new(RecordingStore::new(Arc::clone(&server), Recorder::default()));
            // Longer than any test takes: what is to be noticed, is noticed without the bound.
            let store = CachedStore::builder(Arc::clone(&network), 10 * MINUTE).build();
            let manager = SessionManager::builder(Arc::new(store)).policy(policy.clone()).clock(clock.clone()).build();
            Node { manager, network }
        };
        Self { here: node(), there: node(), clock }
    }
}

impl Node {
    /// What it has asked since the last call of this.
    fn calls(&self) -> Vec<&'static str> {
        self.network.hook().take_calls()
    }

    /// The same browser, whose next request comes to this node.
    fn client(&self, token: &str) -> Client {
        let mut client = Client::new(&self.manager);
        client.set_token(token);
        client
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

async fn logged_in(node: &Node) -> Client {
    let mut client = Client::new(&node.manager);
    client.request(async |session: &Session| session.login(Login::new(alice()))).await.unwrap();
    node.calls();
    client
}

async fn is_alive(client: &mut Client) -> bool {
    client.request(async |session: &Session| Ok(session.user().is_some())).await.unwrap()
}

async fn id(client: &mut Client) -> SessionId {
    client.request(async |session: &Session| Ok(session.id())).await.unwrap().unwrap()
}

async fn increment(client: &mut Client) -> Result<(), Error> {
    client.request(async |session: &Session| session.update(COUNT, |count| *count += 1)).await
}

#[tokio::test]
async fn a_warm_session_costs_no_round_trip_to_read_and_one_to_write() {
    let site = Site::new(Policy::standard());
    let mut client = logged_in(&site.here).await;
    for _ in 0..3 {
        assert!(is_alive(&mut client).await);
        assert_eq!(site.here.calls(), [""; 0], "after a login, and after each read");
    }
    for _ in 0..2 {
        increment(&mut client).await.unwrap();
        assert_eq!(site.here.calls(), ["update"]);
        assert!(is_alive(&mut client).await);
        assert_eq!(site.here.calls(), [""; 0]);
    }
    let mut elsewhere = site.there.client(client.token().unwrap());
    for calls in [&["load"][..], &[]] {
        assert!(is_alive(&mut elsewhere).await);
        assert_eq!(site.there.calls(), calls);
    }
    // Once per interval and node.
    site.clock.advance(5 * MINUTE);
    for calls in [&["touch"][..], &[]] {
        assert!(is_alive(&mut client).await);
        assert_eq!(site.here.calls(), calls);
    }
    client.request(async |session: &Session| session.logout()).await.unwrap();
    assert_eq!(site.here.calls(), ["delete"]);
}

#[tokio::test]
async fn an_access_token_is_checked_by_a_copy_unless_the_latest_is_wanted() {
    let site = Site::new(Policy::standard());
    let session = id(&mut logged_in(&site.here).await).await;
    let find = async |freshness| site.there.manager.find(&session, &alice(), freshness).await.unwrap().is_some();
    for (freshness, calls) in [
        (Freshness::Cached, &["load"][..]),
        (Freshness::Cached, &[]),
        (Freshness::Cached, &[]),
        (Freshness::Latest, &["load"]),
        (Freshness::Cached, &[]),
    ] {
        assert!(find(freshness).await);
        assert_eq!(site.there.calls(), calls);
    }
    assert!(site.there.manager.find_live(&session, &alice()).await.unwrap().is_some());
    assert_eq!(site.there.calls(), ["load"]);
    // That it is not this user's, a copy may not say.
    let bob = UserId::new("bob").unwrap();
    assert!(site.there.manager.find(&session, &bob, Freshness::Cached).await.unwrap().is_none());
    assert_eq!(site.there.calls(), ["load"]);
    let _ = site.here.manager.revoke(&alice(), &session).await.unwrap();
    assert!(!find(Freshness::Latest).await);
    assert!(!find(Freshness::Cached).await, "what was found to be over stays so");
}

#[tokio::test]
async fn decisions_reach_the_store() {
    let site = Site::new(Policy::standard());
    let client = logged_in(&site.here).await;
    let request = client.begin();
    let session = request.session().await.unwrap();
    assert_eq!(site.here.calls(), [""; 0]);
    site.here.manager.reload(session).await.unwrap();
    assert_eq!(site.here.calls(), ["load"]);
    let handle = site.here.manager.handle(session).unwrap();
    assert!(handle.is_live().await.unwrap());
    assert_eq!(site.here.calls(), ["load"]);
}

#[tokio::test]
async fn a_change_that_is_based_on_an_old_copy_is_repeated() {
    let site = Site::new(Policy::standard());
    let mut client = logged_in(&site.here).await;
    let mut elsewhere = site.there.client(client.token().unwrap());
    assert!(is_alive(&mut elsewhere).await);
    increment(&mut client).await.unwrap();
    site.there.calls();
    increment(&mut elsewhere).await.unwrap();
    assert_eq!(site.there.calls(), ["update", "load", "update"]);
    let count = elsewhere.request(async |session: &Session| session.get(COUNT)).await.unwrap();
    assert_eq!((count, site.there.calls().len()), (Some(2), 0));
}

#[tokio::test]
async fn that_a_session_is_idle_a_copy_may_not_say() {
    let site = Site::new(Policy::standard());
    let mut client = logged_in(&site.here).await;
    let mut elsewhere = site.there.client(client.token().unwrap());
    assert!(is_alive(&mut elsewhere).await);
    site.there.calls();
    for _ in 0..3 {
        site.clock.advance(20 * MINUTE);
        assert!(is_alive(&mut client).await, "used here every 20 minutes");
    }
    // The copy there was last used an hour ago, and the idle timeout is half of that.
    assert!(is_alive(&mut elsewhere).await);
    assert_eq!(site.there.calls()[..1], ["load"]);
}

#[tokio::test]
async fn that_a_token_is_unknown_or_old_a_copy_may_not_say() {
    let renewal = Renewal { timeout: 10 * MINUTE, grace: Duration::from_secs(10) };
    let site = Site::new(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap());
    let mut client = logged_in(&site.here).await;
    let first = client.token().unwrap().to_owned();
    assert!(is_alive(&mut site.there.client(&first)).await);
    site.clock.advance(10 * MINUTE);
    // Renewed here, twice; the copy there knows the first token only.
    for _ in 0..2 {
        assert!(is_alive(&mut client).await);
    }
    site.there.calls();
    let mut elsewhere = site.there.client(client.token().unwrap());
    assert_ne!(client.token().unwrap(), first);
    for calls in [&["load"][..], &[]] {
        assert!(is_alive(&mut elsewhere).await);
        assert_eq!(site.there.calls(), calls);
    }
}

#[tokio::test]
async fn of_several_cookies_too_a_copy_may_only_know_the_current_one() {
    let site = Site::new(Policy::standard());
    let mut client = logged_in(&site.here).await;
    let first = client.token().unwrap().to_owned();
    assert!(is_alive(&mut site.there.client(&first)).await);
    client.request(async |session: &Session| session.regenerate()).await.unwrap();
    let second = client.token().unwrap();
    // Of the same session, and made up.
    let other = format!("{}{}", &second[..63], if second.ends_with('A') { "B" } else { "A" });
    site.there.calls();
    let name = site.there.manager.policy().cookie().name();
    let both = format!("{name}={second}; {name}={other}");
    for calls in [&["load"][..], &[]] {
        let session = site.there.manager.open(&site.there.manager.read_cookie([both.as_bytes()])).await.unwrap();
        assert_eq!(session.user(), Some(alice()));
        assert_eq!(site.there.calls(), calls);
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_no_logout_and_copies_are_good_for_their_time() {
    let site = Site::new(Policy::standard());
    let mut client = logged_in(&site.here).await;
    site.here.network.hook().set_failing(true);
    assert!(is_alive(&mut client).await);
    assert!(increment(&mut client).await.is_err());
    // That write may have been done.
    let failed = client.request(async |session: &Session| Ok(session.user().is_some())).await;
    assert!(matches!(failed, Err(Error::Store(_))));
    site.here.network.hook().set_failing(false);
    assert!(is_alive(&mut client).await);
}

#[tokio::test]
async fn debug_shows_no_session() {
    let store = CachedStore::builder(ReferenceStore::new(), MINUTE).build();
    let manager = SessionManager::new(store.clone(), Policy::standard());
    let mut client = Client::new(&manager);
    client.request(async |session: &Session| session.login(Login::new(alice()))).await.unwrap();
    assert_eq!(store.stats().entries, 1);
    let id = id(&mut client).await;
    assert!(store.load(&id, Freshness::Cached).await.unwrap().is_some());
    let shown = format!("{:?}", CachedStore::builder(store, MINUTE));
    assert!(!shown.contains(&id.to_string()), "{shown}");
}
