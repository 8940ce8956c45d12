//! The round-trip budget: exactly which store operations each kind of request costs. That of access tokens is in
//! session-tower.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::{
    DeleteOutcome, Error, Key, Login, ManualClock, Policy, PresentedToken, Renewal, Session, SessionId, SessionManager,
    StepUp, UserId,
};
use session_testbed::{Client, Recorder, RecordingStore};

const CART: Key<u32> = Key::new("cart");
const THEME: Key<String> = Key::new("theme");

/// A service, one browser, and what its requests cost.
struct Site {
    store: Arc<RecordingStore>,
    clock: ManualClock,
    manager: SessionManager,
    client: Client,
}

impl Site {
    fn new() -> Self {
        Self::with(Policy::standard())
    }

    fn with(policy: Policy) -> Self {
        let store = Arc::new(RecordingStore::new(ReferenceStore::new(), Recorder::default()));
        let clock = ManualClock::default();
        let manager = SessionManager::builder(store.clone()).policy(policy).clock(clock.clone()).build();
        let client = Client::new(&manager);
        Self { store, clock, manager, client }
    }

    /// With an anonymous session.
    async fn anonymous() -> Self {
        Self::new().after(async |site| site.client.request(async |session| session.insert(CART, &1)).await).await
    }

    /// With a user logged in.
    async fn logged_in() -> Self {
        Self::new().after(Self::log_in).await
    }

    /// With a user logged in whose token is due for renewal.
    async fn renewal_due() -> Self {
        let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };
        let policy = Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap();
        let site = Self::with(policy).after(Self::log_in).await;
        site.clock.advance(renewal.timeout);
        site
    }

    async fn log_in(site: &mut Self) -> Result<(), Error> {
        site.client.request(async |session| session.login(Login::new(alice()))).await
    }

    /// After this, whose cost does not count.
    async fn after(mut self, first: impl AsyncFnOnce(&mut Self) -> Result<(), Error>) -> Self {
        first(&mut self).await.unwrap();
        let _ = self.store.hook().take_calls();
        self
    }

    /// What this costs.
    async fn cost(&mut self, of: impl AsyncFnOnce(&mut Self) -> Result<(), Error>) -> Vec<&'static str> {
        of(self).await.unwrap();
        self.store.hook().take_calls()
    }

    /// What a request with this handler costs.
    async fn cost_of_request(&mut self, handler: impl AsyncFnOnce(&Session) -> Result<(), Error>) -> Vec<&'static str> {
        self.cost(async |site| site.client.request(handler).await).await
    }

    async fn cost_of_read(&mut self) -> Vec<&'static str> {
        self.cost_of_request(async |session| session.get(CART).map(drop)).await
    }
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn no_cookie() {
    let mut site = Site::new();
    assert_eq!(site.cost(async |site| site.client.request_without_session().await).await, NOTHING);
    assert_eq!(site.cost_of_read().await, NOTHING, "there is nothing to read");
}

#[tokio::test]
async fn malformed_cookie() {
    let mut site = Site::anonymous().await;
    let token = site.client.token().unwrap().to_owned();
    for malformed in ["x".to_owned(), String::new(), token[1..].to_owned(), format!("{token}="), format!("\"{token}\"")]
    {
        site.client.set_token(&malformed);
        assert_eq!(site.cost_of_read().await, NOTHING, "{} characters", malformed.len());
    }
}

#[tokio::test]
async fn two_cookies_of_the_name() {
    let mut site = Site::anonymous().await;
    let twice = format!("{0}; __Host-id={1}", site.client.token().unwrap(), "A".repeat(64));
    site.client.set_token(&twice);
    assert_eq!(site.cost_of_read().await, ["load", "load"], "one for each session that is named");
    let garbage = format!("{}; __Host-id=garbage; __Host-id=", site.client.token().unwrap().split(';').next().unwrap());
    site.client.set_token(&garbage);
    assert_eq!(site.cost_of_read().await, ["load"], "garbage names none");
}

#[tokio::test]
async fn untouched_session() {
    let mut site = Site::anonymous().await;
    site.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(site.cost(async |site| site.client.request_without_session().await).await, NOTHING, "loading is lazy");
}

#[tokio::test]
async fn read() {
    let mut site = Site::anonymous().await;
    assert_eq!(site.cost_of_read().await, ["load"]);
    let several = site.cost(async |site| {
        let request = site.client.begin();
        for _ in 0..3 {
            request.session().await?.get(CART)?;
        }
        site.client.end(&request).await
    });
    assert_eq!(several.await, ["load"], "a request loads its session once");
}

#[tokio::test]
async fn read_with_a_due_touch() {
    let mut site = Site::anonymous().await;
    let interval = site.manager.policy().touch_interval();
    site.clock.advance(interval - Duration::from_millis(1));
    assert_eq!(site.cost_of_read().await, ["load"], "not due yet");
    site.clock.advance(Duration::from_millis(1));
    assert_eq!(site.cost_of_read().await, ["load", "touch"]);
    assert_eq!(site.cost_of_read().await, ["load"], "at most once in an interval");
}

#[tokio::test]
async fn passive_read_with_a_due_touch() {
    let mut site = Site::anonymous().await;
    site.clock.advance(site.manager.policy().touch_interval());
    let polling = site.cost_of_request(async |session| {
        session.set_passive();
        session.get(CART).map(drop)
    });
    assert_eq!(polling.await, ["load"]);
}

#[tokio::test]
async fn unknown_and_expired_sessions() {
    let mut site = Site::anonymous().await;
    let other_site = Site::anonymous().await;
    site.client.set_token(other_site.client.token().unwrap());
    assert_eq!(site.cost_of_read().await, ["load"], "unknown");

    let mut site = Site::anonymous().await;
    site.clock.advance(Duration::from_secs(8 * 3600));
    assert_eq!(site.cost_of_read().await, ["load"], "expired");
}

#[tokio::test]
async fn first_write() {
    let mut site = Site::new();
    assert_eq!(site.cost_of_request(async |session| session.insert(CART, &1)).await, ["create"]);
}

#[tokio::test]
async fn write() {
    let mut site = Site::anonymous().await;
    site.clock.advance(Duration::from_secs(20 * 60));
    let cost = site.cost_of_request(async |session| {
        session.insert(THEME, &"dark".to_owned())?;
        session.update(CART, |cart| *cart += 1)?;
        session.remove(THEME)
    });
    assert_eq!(cost.await, ["load", "update"], "all changes are one write, and activity goes with it");
}

#[tokio::test]
async fn write_of_an_unchanged_value() {
    let mut site = Site::anonymous().await;
    assert_eq!(site.cost_of_request(async |session| session.insert(CART, &1)).await, ["load"]);
}

#[tokio::test]
async fn write_with_a_conflict() {
    let mut site = Site::anonymous().await;
    let mut other = site.client.clone();
    let cost = site.cost(async |site| {
        let increment = async |session: &Session| session.update(CART, |cart| *cart += 1);
        let slow = site.client.begin();
        increment(slow.session().await?).await?;
        other.request(increment).await?;
        site.client.end(&slow).await
    });
    assert_eq!(cost.await, ["load", "load", "update", "update", "load", "update"], "one more read and write, no more");
}

#[tokio::test]
async fn login() {
    let mut site = Site::new();
    assert_eq!(site.cost(Site::log_in).await, ["create"], "without a session before");
    let mut site = Site::anonymous().await;
    assert_eq!(site.cost(Site::log_in).await, ["load", "create"], "in place of the anonymous session");
    assert_eq!(site.cost(Site::log_in).await, ["load", "create"], "again");
}

#[tokio::test]
async fn step_up_and_regenerate() {
    let mut site = Site::logged_in().await;
    let step_up = site.cost_of_request(async |session| session.step_up(StepUp::new(alice())));
    assert_eq!(step_up.await, ["load", "update"]);
    assert_eq!(site.cost_of_request(async |session| session.regenerate()).await, ["load", "update"]);
}

#[tokio::test]
async fn renewal() {
    let mut site = Site::renewal_due().await;
    let mut other_tab = site.client.clone();
    assert_eq!(site.cost_of_read().await, ["load", "update"], "the renewal");
    let predecessor = site.cost(async |_| other_tab.request(async |session| session.get(CART).map(drop)).await);
    assert_eq!(predecessor.await, ["load"; 2], "the predecessor; the window is open when it is given the successor");
    assert_eq!(site.cost_of_read().await, ["load", "update"], "the first use of the successor is recorded");
    assert_eq!(site.cost_of_read().await, ["load"]);
}

#[tokio::test]
async fn reuse() {
    let mut site = Site::renewal_due().await;
    let mut thief = site.client.clone();
    let _ = site.cost_of_read().await;
    site.clock.advance(Duration::from_secs(60));
    let cost = site.cost(async |_| thief.request(async |session| session.get(CART).map(drop)).await);
    assert_eq!(cost.await, ["load", "delete"]);
}

#[tokio::test]
async fn logout() {
    let mut site = Site::logged_in().await;
    assert_eq!(site.cost_of_request(async |session| session.logout()).await, ["load", "delete"]);
    assert_eq!(site.cost_of_request(async |session| session.logout()).await, NOTHING, "logged out already");

    let mut site = Site::logged_in().await;
    let cost = site.cost_of_request(async |session| {
        session.logout()?;
        session.insert(THEME, &"dark".to_owned())
    });
    assert_eq!(cost.await, ["load", "create"], "an anonymous session takes its place");
}

#[tokio::test]
async fn devices() {
    let mut site = Site::logged_in().await;
    let cost = site.cost(async |site| {
        let devices = site.manager.list(&alice()).await?;
        assert_eq!(devices.len(), 1);
        let other = SessionId::from_bytes([7; 16]);
        assert_eq!(site.manager.revoke(&alice(), &other).await?, DeleteOutcome::Absent);
        site.manager.revoke_others(&alice(), &devices[0].id).await?;
        site.manager.revoke_all(&alice()).await.map(drop)
    });
    assert_eq!(cost.await, ["list_by_user", "delete", "delete_by_user", "delete_by_user"]);
}

#[tokio::test]
async fn back_channel_logout() {
    let mut site = Site::new();
    for sid in ["1", "2", "1"] {
        let login = Login::new(alice()).provider_session("https://login.example", sid);
        let _ = site.manager.issue_refresh_token(login, None).await.unwrap();
    }
    let _ = site.store.hook().take_calls();
    let cost = site.cost(async |site| {
        assert_eq!(site.manager.revoke_provider_session(&alice(), "https://login.example", "1").await?, 2);
        Ok(())
    });
    let mut cost = cost.await;
    cost.sort_unstable();
    assert_eq!(cost, ["delete", "delete", "list_by_user", "load", "load", "load"]);
}

#[tokio::test]
async fn refresh_tokens() {
    let mut site = Site::new();
    let mut token = String::new();
    let parse = |token: &str| PresentedToken::parse(token.as_bytes()).unwrap();
    let issue = async |site: &mut Site| {
        token = site.manager.issue_refresh_token(Login::new(alice()), None).await?.token.encode().expose().to_owned();
        Ok(())
    };
    assert_eq!(site.cost(issue).await, ["create"]);
    let refresh = async |site: &mut Site| {
        let verified = site.manager.verify_refresh_token(&parse(&token)).await?.unwrap();
        site.manager.rotate(verified).await.map(drop)
    };
    assert_eq!(site.cost(refresh).await, ["load", "update"]);
    assert_eq!(site.cost(refresh).await, ["load", "update"], "once more, in the grace window: it is counted");
    assert_eq!(site.cost(refresh).await, ["load"], "a token counts once");
    let session = site.manager.list(&alice()).await.unwrap()[0].id;
    let _ = site.store.hook().take_calls();
    let find = async |site: &mut Site| site.manager.find_live(&session, &alice()).await.map(drop);
    assert_eq!(site.cost(find).await, ["load"]);
    let revoke = async |site: &mut Site| site.manager.revoke_refresh_token(&parse(&token)).await.map(drop);
    assert_eq!(site.cost(revoke).await, ["load", "delete"]);
    assert_eq!(site.cost(revoke).await, ["load"]);
}
