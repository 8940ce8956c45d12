//! With nothing configured: what a process keeps for its sessions is gone when they are.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{
    Error, Key, Login, ManualClock, PresentedToken, Session, SessionHandle, SessionManager, StepUp, UserId,
};
use tokio::task::JoinSet;

const N: Key<u64> = Key::new("n");
const MINUTE: Duration = Duration::from_secs(60);
/// Requests that are under way at once.
const TABS: usize = 8;

struct Site {
    manager: SessionManager,
    /// Another process.
    elsewhere: SessionManager,
    clock: ManualClock,
}

impl Site {
    fn new() -> Self {
        let clock = ManualClock::default();
        let store: Arc<dyn SessionStore> = Arc::new(ReferenceStore::new());
        let manager = || SessionManager::builder(Arc::clone(&store)).clock(clock.clone()).build();
        Self { manager: manager(), elsewhere: manager(), clock }
    }

    fn begin(&self, cookie: &str) -> RequestSession {
        RequestSession::new(self.manager.clone(), self.manager.read_cookie([cookie.as_bytes()]))
    }

    async fn handle(&self, cookie: &str) -> SessionHandle {
        let session = self.manager.open(&self.manager.read_cookie([cookie.as_bytes()])).await.unwrap();
        self.manager.handle(&session).unwrap()
    }

    async fn request(&self, cookie: &mut String, act: impl FnOnce(&Session) -> Result<(), Error>) {
        let request = self.begin(cookie);
        act(request.session().await.unwrap()).unwrap();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        if let Some(set) = headers.set_cookie {
            *cookie = set.expose().split(';').next().unwrap().to_owned();
        }
    }

    /// Everything for which the manager remembers something, and a logout.
    async fn visit(&self, number: u64) {
        let user = UserId::new(format!("user-{number}")).unwrap();
        let mut cookie = String::new();
        self.request(&mut cookie, |it| it.insert(N, &1)).await;
        self.request(&mut cookie, |it| it.login(Login::new(user.clone()))).await;

        // Tabs that change one value at once: all but one meet a conflict, and queue.
        let tabs: Vec<RequestSession> = (0..TABS).map(|_| self.begin(&cookie)).collect();
        for tab in &tabs {
            tab.session().await.unwrap().update(N, |n| *n += 1).unwrap();
        }
        let finished: JoinSet<_> = tabs.into_iter().map(async |tab: RequestSession| tab.finish().await).collect();
        for (outcome, _) in finished.join_all().await {
            outcome.unwrap();
        }

        // Activity that is recorded.
        self.clock.advance(MINUTE);
        self.request(&mut cookie, |_| Ok(())).await;
        self.request(&mut cookie, |it| it.step_up(StepUp::new(user.clone()))).await;

        // Sockets that are closed, of a session that ends here, and of one that ends elsewhere, later; and one that is open.
        let mut phone = String::new();
        self.request(&mut phone, |it| it.login(Login::new(user.clone()))).await;
        for cookie in [&phone, &cookie] {
            let closed = tokio::time::timeout(Duration::from_millis(1), self.handle(cookie).await.ended()).await;
            assert!(closed.is_err());
        }
        let handle = self.handle(&cookie).await;
        let waits = tokio::spawn(async move { handle.ended().await });

        // A login whose request goes away, and a refresh token.
        let dropped = self.begin("");
        dropped.session().await.unwrap().login(Login::new(user.clone())).unwrap();
        self.manager.commit(dropped.session().await.unwrap()).await.unwrap();
        drop(dropped);
        let issued = self.manager.issue_refresh_token(Login::new(user.clone()), None).await.unwrap();
        let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
        let verified = self.manager.verify_refresh_token(&token).await.unwrap().unwrap();
        let _ = self.manager.rotate(verified).await.unwrap().unwrap();

        self.request(&mut cookie, Session::logout).await;
        waits.await.unwrap();
        assert_eq!(self.manager.drain(MINUTE).await, 0);
        // That nobody waits any more is noticed within a second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let _ = self.elsewhere.revoke_all(&user).await.unwrap();
        assert!(self.manager.list(&user).await.unwrap().is_empty());
    }
}

/// Neither a commit queue, nor a watch, nor a note of a touch or of a user is left over: each visit is somebody else's.
#[test]
fn visits_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let site = Site::new();
    let visits = |numbers: std::ops::Range<u64>| {
        let run = || {
            for number in numbers {
                runtime.block_on(site.visit(number));
            }
        };
        allocation_counter::measure(run).bytes_current
    };
    let _ = visits(0..100);
    // Once in a while, the table grows in which the reference store remembers what has ended: not in each of these.
    let left = [1, 2, 3].map(|time| visits(1_000 * time..1_000 * time + 100)).into_iter().min().unwrap();
    assert!(left < 100 * 8, "100 visits left {left} bytes");
}
