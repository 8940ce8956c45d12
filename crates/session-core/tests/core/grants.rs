//! What a refresh token was granted for: it stays so, whatever is asked for at a refresh.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use session_conformance::ReferenceStore;
use session_core::store::{Data, Freshness, Record, SessionStore, UpdateOutcome, Version};
use session_core::{
    Clock as _, Error, Event, EventKind, Grant, GrantError, IssuedRefreshToken, Key, Login, ManualClock, OsEntropy,
    Policy, PresentedToken, Scope, SessionManager, SessionObserver, StoreErrorKind, UserId,
};

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Events {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

struct Site {
    store: Arc<ReferenceStore>,
    manager: SessionManager,
    clock: ManualClock,
    events: Events,
}

impl Site {
    fn new() -> Self {
        let (store, clock, events) = (Arc::new(ReferenceStore::new()), ManualClock::default(), Events::default());
        let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
        let manager = builder.policy(Policy::standard()).clock(clock.clone()).observer(events.clone()).build();
        Self { store, manager, clock, events }
    }

    async fn login(&self, grant: Option<&Grant>) -> IssuedRefreshToken {
        let login = Login::new(UserId::new("alice").unwrap()).method("pwd");
        let login = grant.cloned().into_iter().fold(login, Login::grant);
        self.manager.issue_refresh_token(login, None).await.unwrap()
    }

    /// Refreshes, with the scope of the request.
    async fn refresh(&self, token: &PresentedToken, scope: Option<&str>) -> Result<IssuedRefreshToken, GrantError> {
        let mut verified = self.manager.verify_refresh_token(token).await.unwrap().unwrap();
        if let Some(scope) = scope {
            verified.narrow(Scope::parse(scope)?)?;
        }
        Ok(self.manager.rotate(verified).await.unwrap().unwrap())
    }

    /// Changes what is stored behind the library's back.
    async fn tamper(&self, issued: &IssuedRefreshToken, change: impl FnOnce(&mut Data)) {
        let mut record: Record = self.store.load(&issued.session.id, Freshness::Latest).await.unwrap().unwrap();
        let expected = record.version;
        change(&mut record.data);
        record.version = Version { number: expected.number + 1, ..Version::first(&OsEntropy).unwrap() };
        let outcome = self.store.update(&record, expected, self.clock.now()).await.unwrap();
        assert_eq!(outcome, UpdateOutcome::Applied);
    }
}

fn presented(issued: &IssuedRefreshToken) -> PresentedToken {
    PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap()
}

fn app() -> Grant {
    let grant = Grant::new().with_client("mobile app").unwrap();
    let grant = grant.with_audience("https://api.example").unwrap().with_audience("https://файлы.example").unwrap();
    grant.with_scope(Scope::parse("orders:read orders:write profile").unwrap()).unwrap()
}

#[tokio::test]
async fn it_comes_with_each_token_and_never_changes() {
    let site = Site::new();
    for granted in [app(), Grant::default()] {
        let first = site.login(Some(&granted)).await;
        assert_eq!((&first.grant, &first.scope), (&granted, granted.scope()));
        let verified = site.manager.verify_refresh_token(&presented(&first)).await.unwrap().unwrap();
        assert_eq!(*verified.grant(), granted);
        let mut token = presented(&first);
        for _ in 0..3 {
            let next = site.refresh(&token, None).await.unwrap();
            assert_eq!((&next.grant, &next.scope), (&granted, granted.scope()));
            let again = site.refresh(&token, None).await.unwrap();
            assert_eq!((&again.grant, &again.scope), (&granted, granted.scope()), "a replay");
            token = presented(&next);
        }
    }
    let without = site.login(None).await;
    assert_eq!(site.refresh(&presented(&without), None).await.unwrap().grant, Grant::default());
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_and_not_for_more() {
    let site = Site::new();
    let first = site.login(Some(&app())).await;
    let narrow = site.refresh(&presented(&first), Some("profile orders:read")).await.unwrap();
    assert_eq!(narrow.scope.to_string(), "profile orders:read");
    assert_eq!(narrow.grant, app(), "the grant stays");
    // A replay says for itself what it wants.
    let replay = site.refresh(&presented(&first), Some("profile")).await.unwrap();
    assert_eq!((replay.scope.as_str(), &replay.grant), ("profile", &app()));
    assert_eq!(replay.token.encode().expose(), narrow.token.encode().expose());
    // The next one gets all of it again.
    let second = site.refresh(&presented(&narrow), None).await.unwrap();
    assert_eq!(second.scope, *app().scope());

    let token = presented(&second);
    for more in ["admin", "profile admin", "Profile", "orders", "orders:read:all", "orders:*"] {
        assert_eq!(site.refresh(&token, Some(more)).await.unwrap_err(), GrantError::NotGranted, "{more}");
    }
    let mut verified = site.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    verified.narrow(Scope::parse("profile").unwrap()).unwrap();
    assert!(verified.narrow(Scope::parse("profile admin").unwrap()).is_err());
    let issued = site.manager.rotate(verified).await.unwrap().unwrap();
    assert_eq!(issued.scope.as_str(), "profile", "what was refused changes nothing, and uses nothing up");

    // Nothing was granted, so there is nothing to ask for.
    let without = site.login(None).await;
    assert_eq!(site.refresh(&presented(&without), Some("profile")).await.unwrap_err(), GrantError::NotGranted);
}

/// Two requests with one token, which want different things: one rotates, the other repeats.
#[tokio::test]
async fn the_loser_of_a_race_gets_what_it_asked_for() {
    let site = Site::new();
    let token = presented(&site.login(Some(&app())).await);
    let verify = async || site.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    let (winner, mut loser) = (verify().await, verify().await);
    loser.narrow(Scope::parse("profile").unwrap()).unwrap();
    let winner = site.manager.rotate(winner).await.unwrap().unwrap();
    let loser = site.manager.rotate(loser).await.unwrap().unwrap();
    assert_eq!((winner.scope, loser.scope.as_str()), (app().scope().clone(), "profile"));
    assert_eq!(loser.grant, app());
}

/// It is not of the kind of session that a browser has, and no value that an application could reach.
#[tokio::test]
async fn it_is_kept_apart_from_values() {
    let site = Site::new();
    let issued = site.login(Some(&app())).await;
    let stored = site.store.load(&issued.session.id, Freshness::Latest).await.unwrap().unwrap();
    assert_eq!((stored.data.len(), stored.data.names().count()), (1, 0));
    assert!(stored.data.size() < 110, "{} bytes", stored.data.size());
    let without = site.login(None).await;
    let stored = site.store.load(&without.session.id, Freshness::Latest).await.unwrap().unwrap();
    assert!(stored.data.is_empty());
    // The names are no text, and those of keys are.
    for byte in 0x80..=0xff_u8 {
        assert!(String::from_utf8(vec![byte]).is_err());
    }
    assert!(Key::<u8>::dynamic("\u{80}").is_ok_and(|key| key.name().len() == 2));

    let session = site.manager.open(&site.manager.read_cookie([])).await.unwrap();
    session.login(Login::new(UserId::new("bob").unwrap()).grant(app())).unwrap();
    site.manager.commit(&session).await.unwrap();
    let stored = site.store.load(&session.id().unwrap(), Freshness::Latest).await.unwrap().unwrap();
    assert!(stored.data.is_empty(), "a session with a cookie has none");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_is_left_as_it_is() {
    let damaged: [&[u8]; 7] = [
        b"",
        b"\x07",
        // A client that has no text, a scope that is none, something behind it, a client that is too long.
        b"\x01\x00\x00\x00",
        b"\x00\x00\x03a  ",
        b"\x00\x00\x01a\x00",
        b"\x00\x01\x01\x07\x00",
        b"\x00\x00\x01\xff",
    ];
    for bytes in damaged {
        let site = Site::new();
        let issued = site.login(Some(&app())).await;
        site.tamper(&issued, |data| data.insert(Bytes::from_static(&[0x80]), Bytes::from_static(bytes))).await;
        let answer = site.manager.verify_refresh_token(&presented(&issued)).await;
        assert!(
            matches!(&answer, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt),
            "{bytes:?}: {answer:?}"
        );
        let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Corrupt };
        assert_eq!(site.events.0.lock().unwrap().last(), Some(&failed));
        let stored = site.store.load(&issued.session.id, Freshness::Latest).await.unwrap().unwrap();
        assert_eq!(stored.data.get(&[0x80]).unwrap(), bytes);
        // A login with it takes its place.
        let login = Login::new(UserId::new("alice").unwrap());
        let _ = site.manager.issue_refresh_token(login, Some(&presented(&issued))).await.unwrap();
        assert_eq!(site.manager.list(&UserId::new("alice").unwrap()).await.unwrap().len(), 1);
    }
    // A session that was stored before there were grants.
    let site = Site::new();
    let issued = site.login(Some(&app())).await;
    site.tamper(&issued, |data| data.remove(&[0x80])).await;
    assert_eq!(site.refresh(&presented(&issued), None).await.unwrap().grant, Grant::default());
}

/// How often tokens were replayed is read when one is, and refuses it.
#[tokio::test]
async fn a_count_of_replays_that_cannot_be_read_refuses_replays_alone() {
    let site = Site::new();
    let issued = site.login(Some(&app())).await;
    let second = site.refresh(&presented(&issued), None).await.unwrap();
    site.tamper(&issued, |data| data.insert(Bytes::from_static(&[0x81]), Bytes::from_static(b"\x80"))).await;
    let answer = site.manager.verify_refresh_token(&presented(&issued)).await;
    assert!(matches!(answer, Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt));
    assert!(site.refresh(&presented(&second), None).await.is_ok());
}

/// A copy is reuse, whatever else is wrong with its session.
#[tokio::test]
async fn reuse_ends_a_session_whose_grant_is_damaged() {
    let site = Site::new();
    let issued = site.login(Some(&app())).await;
    let _ = site.refresh(&presented(&issued), None).await.unwrap();
    site.tamper(&issued, |data| data.insert(Bytes::from_static(&[0x80]), Bytes::from_static(b"\x07"))).await;
    site.clock.advance(Duration::from_secs(60));
    assert!(site.manager.verify_refresh_token(&presented(&issued)).await.unwrap().is_none());
    assert_eq!(site.manager.count().await.unwrap().sessions, 0);
}

#[test]
fn texts_are_checked_and_bounded() {
    let long = "x".repeat(Grant::MAX_VALUE_LEN);
    let longer = "x".repeat(Grant::MAX_VALUE_LEN + 1);
    assert_eq!(Grant::new().with_client(&*long).unwrap().client(), Some(&*long));
    assert_eq!(Grant::new().with_client(&*longer).unwrap_err(), GrantError::TooLong);
    assert_eq!(Grant::new().with_audience(&*longer).unwrap_err(), GrantError::TooLong);
    assert_eq!(Scope::parse(&longer).unwrap_err(), GrantError::TooLong);
    assert!(Scope::parse(&format!("{long} a")).is_ok());
    for text in ["", "a\n", "ä", "a\u{7f}", "a\0b"] {
        assert_eq!(Grant::new().with_client(text).unwrap_err(), GrantError::Text, "{text:?}");
    }
    for text in ["", "a\r\nb", "\u{85}"] {
        assert_eq!(Grant::new().with_audience(text).unwrap_err(), GrantError::Text, "{text:?}");
    }
    let twice = Grant::new().with_audience("a").unwrap().with_audience("a").unwrap();
    assert_eq!(twice.audiences(), ["a"]);

    // All together, to the byte, whichever text is the last.
    let audience = |grant: Grant, number: usize| grant.with_audience(format!("{number}{}", &long[1..]));
    let seven = (0..7).fold(Grant::new(), |grant, number| audience(grant, number).unwrap());
    let full = seven.clone().with_client(&*long).unwrap();
    assert_eq!(full.clone().with_audience("a").unwrap_err(), GrantError::TooLong);
    assert_eq!(full.with_scope(Scope::parse("a").unwrap()).unwrap_err(), GrantError::TooLong);
    let scope = Scope::parse(&long).unwrap();
    assert_eq!(seven.clone().with_scope(scope.clone()).unwrap().with_client("a").unwrap_err(), GrantError::TooLong);
    assert_eq!(*seven.with_scope(scope.clone()).unwrap().scope(), scope);
}

#[test]
fn a_scope_is_as_rfc_6749_has_it() {
    for text in ["", " ", " a", "a ", "a  b", "a\tb", "a\"", "a\\b", "ä", "a\n", "a\u{7f}", "a\0"] {
        assert_eq!(Scope::parse(text).unwrap_err(), GrantError::Scope, "{text:?}");
    }
    for text in ["a", "a b", "!#[]~", "https://api.example/orders.read", "orders:*", "a,b", "A a"] {
        assert_eq!(Scope::parse(text).unwrap().to_string(), text);
    }
    let scope = Scope::parse("b a b").unwrap();
    assert_eq!((scope.as_str(), scope.tokens().count()), ("b a", 2), "each once, in the order of the request");
    assert_eq!(scope, Scope::parse("a b").unwrap());
    assert_ne!(scope, Scope::parse("a c").unwrap());
    assert_ne!(scope, Scope::parse("a").unwrap());
    assert_ne!(Scope::parse("a bc").unwrap(), Scope::parse("ab c").unwrap());
    assert!(scope.contains("a") && !scope.contains("A") && !scope.contains("") && !scope.contains("b a"));
    assert!(Scope::default().is_subset_of(&scope) && !scope.is_subset_of(&Scope::default()));
    assert!(Scope::default().is_empty() && Scope::default().tokens().next().is_none());
}

proptest! {
    #[test]
    fn what_was_granted_is_read_back(
        client in proptest::option::of("[ -~]{1,40}"),
        audiences in prop::collection::vec("[^\\p{Cc}]{1,40}", 0..4),
        scope in prop::collection::vec("[!#-\\[\\]-~]{1,20}", 0..6),
    ) {
        let grant = client.iter().fold(Grant::new(), |grant, client| grant.with_client(client.clone()).unwrap());
        let grant = audiences.iter().fold(grant, |grant, audience| grant.with_audience(audience.clone()).unwrap());
        let scope = if scope.is_empty() { Scope::default() } else { Scope::parse(&scope.join(" ")).unwrap() };
        let grant = grant.with_scope(scope).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let site = Site::new();
            let issued = site.login(Some(&grant)).await;
            let verified = site.manager.verify_refresh_token(&presented(&issued)).await.unwrap().unwrap();
            assert_eq!(*verified.grant(), grant);
            assert_eq!(verified.grant().scope().as_str(), grant.scope().as_str());
            let shown = format!("{grant:?} {:?} {verified:?} {issued:?}", grant.scope());
            for text in audiences.iter().filter(|text| text.len() > 10) {
                assert!(!shown.contains(text.as_str()));
            }
        });
    }
}
