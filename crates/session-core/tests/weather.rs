//! What becomes of a commit, a login, a touch when the caller goes away, the store is slow, or its answer is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::{RequestSession, ResponseHeaders};
use session_core::store::{Freshness, Record, SessionStore};
use session_core::{
    DeleteOutcome, Entropy, EntropyError, Error, Event, EventKind, Key, LimitPolicy, Login, ManualClock, OsEntropy,
    Policy, PresentedToken, Session, SessionManager, SessionObserver, StepUp, StoreError, StoreErrorKind, Termination,
    Timestamp, UserId,
};
use tokio::time::{Instant, sleep, timeout};

const N: Key<u64> = Key::new("n");

/// What happens to the calls of an operation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Executed, and answered after so many milliseconds.
    Slow(u64),
    /// Executed after so many milliseconds, then answered.
    Late(u64),
    /// Executed, and never answered.
    LosesAnswer,
    /// Neither executed nor answered.
    Hangs,
    /// Refused.
    Fails,
    /// Executed, and answered with an error.
    FailsAfterwards,
    /// The same, once.
    FailsAfterwardsOnce,
    /// Nothing was sent.
    IsNotSent,
    /// The record cannot be decoded.
    Unreadable,
}

/// The fate of each operation, and how often it was called.
#[derive(Debug, Default)]
struct Weather {
    fates: Mutex<HashMap<&'static str, Fate>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Weather {
    fn set(&self, operation: &'static str, fate: Fate) {
        self.fates.lock().unwrap().insert(operation, fate);
    }

    fn clear(&self) {
        self.fates.lock().unwrap().clear();
    }

    fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| **call == operation).count()
    }
}

impl Intercept for Weather {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push(call.operation);
        let fate = self.fates.lock().unwrap().get(call.operation).copied();
        let down = || StoreError::new(StoreErrorKind::Unavailable, "bad weather");
        match fate {
            None => execute.await,
            Some(Fate::Slow(millis)) => {
                let answer = execute.await;
                sleep(Duration::from_millis(millis)).await;
                answer
            }
            Some(Fate::Late(millis)) => {
                sleep(Duration::from_millis(millis)).await;
                execute.await
            }
            Some(Fate::LosesAnswer) => {
                let _ = execute.await;
                std::future::pending().await
            }
            Some(Fate::Hangs) => std::future::pending().await,
            Some(Fate::Fails) => Err(down()),
            Some(Fate::IsNotSent) => Err(down().unsent()),
            Some(Fate::Unreadable) => Err(StoreError::new(StoreErrorKind::Corrupt, "a newer format")),
            Some(Fate::FailsAfterwards) => execute.await.and(Err(down())),
            Some(Fate::FailsAfterwardsOnce) => {
                self.fates.lock().unwrap().remove(call.operation);
                execute.await.and(Err(down()))
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<EventKind>>>);

impl SessionObserver for Log {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.clone());
    }
}

impl Log {
    fn take(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Bed {
    store: Arc<Intercepted<Weather>>,
    clock: ManualClock,
    log: Log,
    manager: SessionManager,
}

impl Bed {
    fn new(policy: Policy) -> Self {
        let store = Arc::new(Intercepted::new(ReferenceStore::new(), Weather::default()));
        let (clock, log) = (ManualClock::default(), Log::default());
        let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
        let manager = builder.policy(policy).clock(clock.clone()).observer(log.clone()).build();
        Self { store, clock, log, manager }
    }

    fn weather(&self) -> &Weather {
        self.store.hook()
    }

    fn begin(&self, cookie: Option<&str>) -> RequestSession {
        let presented = self.manager.read_cookie(cookie.map(str::as_bytes));
        RequestSession::new(self.manager.clone(), presented)
    }

    /// One request; returns the cookie of its response.
    async fn request(&self, cookie: Option<&str>, act: impl FnOnce(&Session)) -> Option<String> {
        let request = self.begin(cookie);
        act(request.session().await.unwrap());
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        pair(&headers)
    }

    async fn logged_in(&self) -> String {
        self.request(None, |session| session.login(Login::new(alice())).unwrap()).await.unwrap()
    }

    async fn count(&self) -> usize {
        self.manager.list(&alice()).await.unwrap().len()
    }

    async fn number(&self, cookie: &str) -> Option<u64> {
        let mut number = None;
        self.request(Some(cookie), |session| number = session.get(N).unwrap()).await;
        number
    }

    async fn is_logged_in(&self, cookie: &str) -> bool {
        let mut user = None;
        self.request(Some(cookie), |session| user = session.user()).await;
        user.is_some()
    }
}

fn pair(headers: &ResponseHeaders) -> Option<String> {
    let cookie = headers.set_cookie.as_ref()?;
    Some(cookie.expose().split(';').next().unwrap().to_owned())
}

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_commit_that_its_handler_cancelled_counts_once_whenever_it_was_cancelled() {
    for fate in [Fate::Slow(500), Fate::Late(500)] {
        for cancelled_after in [1, 100, 499] {
            let bed = Bed::new(Policy::standard());
            let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
            let request = bed.begin(Some(&cookie));
            let session = request.session().await.unwrap();
            session.update(N, |n| *n += 1).unwrap();
            bed.weather().set("update", fate);
            assert!(timeout(cancelled_after * MS, bed.manager.commit(session)).await.is_err());
            bed.weather().clear();
            request.finish().await.0.unwrap();
            assert_eq!(bed.number(&cookie).await, Some(1), "{fate:?}, cancelled after {cancelled_after} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_commit_that_met_a_conflict_counts_once() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap();
    session.update(N, |n| *n += 1).unwrap();
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 10).unwrap()).await;
    bed.weather().set("load", Fate::Slow(500));
    assert!(timeout(100 * MS, bed.manager.commit(session)).await.is_err());
    bed.weather().clear();
    request.finish().await.0.unwrap();
    assert_eq!(bed.number(&cookie).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_login_and_the_end_of_its_request_make_one_session_with_a_cookie() {
    for fate in [Fate::Slow(500), Fate::Late(500)] {
        let bed = Bed::new(Policy::standard());
        let request = bed.begin(None);
        let session = request.session().await.unwrap();
        session.login(Login::new(alice())).unwrap();
        bed.weather().set("create", fate);
        assert!(timeout(100 * MS, bed.manager.commit(session)).await.is_err());
        bed.weather().clear();
        let (outcome, headers) = request.finish().await;
        outcome.unwrap();
        let cookie = pair(&headers).expect("the session is handed out");
        assert!(bed.is_logged_in(&cookie).await);
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 1, "{fate:?}");
        assert_eq!(bed.log.take().iter().filter(|kind| **kind == EventKind::LoggedIn).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_that_went_away_has_done_is_reported() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    bed.log.take();
    let request = bed.begin(Some(&cookie));
    request.session().await.unwrap().logout().unwrap();
    bed.weather().set("delete", Fate::Slow(100));
    assert!(timeout(10 * MS, request.finish()).await.is_err());
    drop(request);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Terminated(Termination::Logout)]);
    assert_eq!(bed.count().await, 0);

    let cookie = bed.logged_in().await;
    bed.log.take();
    bed.weather().set("delete_by_user", Fate::Late(100));
    assert!(timeout(10 * MS, bed.manager.revoke_all(&alice())).await.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Terminated(Termination::Revoked)]);
    assert!(!bed.is_logged_in(&cookie).await);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_request_went_away_is_ended_and_reported() {
    for fate in [Fate::Slow(50), Fate::Late(50)] {
        let bed = Bed::new(Policy::high_assurance());
        bed.weather().set("create", fate);
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        assert!(timeout(10 * MS, request.finish()).await.is_err());
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.log.take(), [EventKind::LoggedIn, EventKind::Terminated(Termination::Unreceived)]);
        bed.weather().clear();
        bed.logged_in().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_was_committed_before_its_request_went_away_is_ended() {
    let bed = Bed::new(Policy::high_assurance());
    let request = bed.begin(None);
    let session = request.session().await.unwrap();
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(session).await.unwrap();
    drop(request);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, 0);
    // Without an adapter, the caller of the commit is the one that has it.
    let session = bed.manager.open(&session_core::adapter::PresentedCookie::Nothing).await.unwrap();
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(&session).await.unwrap();
    drop(session);
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_was_lost_does_not_lock_its_user_out() {
    for fate in [Fate::LosesAnswer, Fate::FailsAfterwards, Fate::Hangs, Fate::Fails] {
        let bed = Bed::new(Policy::high_assurance());
        bed.weather().set("create", fate);
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        let (outcome, headers) = request.finish().await;
        assert!(matches!(outcome, Err(Error::Store(_))), "{fate:?}");
        assert_eq!(headers.set_cookie, None);
        bed.weather().clear();
        let cookie = bed.logged_in().await;
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert!(bed.is_logged_in(&cookie).await);
        assert_eq!(bed.count().await, 1, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_known_to_have_happened() {
    let bed = Bed::new(Policy::high_assurance());
    let lose = |operation| {
        bed.weather().set(operation, Fate::FailsAfterwardsOnce);
        bed.log.take();
    };
    let events = || {
        let mut events = bed.log.take();
        events.retain(|event| !matches!(event, EventKind::StoreFailed { .. }));
        events
    };
    lose("create");
    let cookie = bed.logged_in().await;
    assert_eq!(events(), [EventKind::LoggedIn]);
    lose("update");
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 1).unwrap()).await;
    assert_eq!(bed.number(&cookie).await, Some(1));
    lose("delete");
    bed.request(Some(&cookie), |session| session.logout().unwrap()).await;
    assert_eq!(events(), [EventKind::Terminated(Termination::Logout)]);

    bed.logged_in().await;
    let id = bed.manager.list(&alice()).await.unwrap()[0].id;
    lose("delete");
    assert_eq!(bed.manager.revoke(&alice(), &id).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(events(), [EventKind::Terminated(Termination::Revoked)]);
    bed.logged_in().await;
    lose("delete_by_user");
    assert_eq!(bed.manager.revoke_all(&alice()).await.unwrap(), 0, "the answer that named it was lost");
    assert_eq!(events(), [EventKind::Terminated(Termination::Revoked)]);

    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    lose("update");
    assert!(bed.manager.rotate(verified).await.unwrap().is_some());
    assert_eq!(events(), [EventKind::Renewed]);
    // Nothing was sent: nothing is repeated.
    let calls = bed.weather().count("delete");
    bed.weather().set("delete", Fate::IsNotSent);
    assert!(bed.manager.revoke(&alice(), &issued.session.id).await.is_err());
    assert_eq!(bed.weather().count("delete"), calls + 1);
}

/// The token that the client has is none any more.
#[tokio::test(start_paused = true)]
async fn a_new_token_that_no_client_received_ends_its_session() {
    let acts: [fn(&Session); 2] =
        [|session| session.step_up(StepUp::new(alice())).unwrap(), |session| session.regenerate().unwrap()];
    for act in acts {
        let bed = Bed::new(Policy::high_assurance());
        let cookie = bed.logged_in().await;
        bed.log.take();
        bed.weather().set("update", Fate::Late(50));
        let request = bed.begin(Some(&cookie));
        act(request.session().await.unwrap());
        assert!(timeout(10 * MS, request.finish()).await.is_err());
        drop(request);
        assert_eq!(bed.manager.drain(Duration::MAX).await, 0);
        assert_eq!(bed.log.take().last(), Some(&EventKind::Terminated(Termination::Unreceived)));
        bed.logged_in().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_still_has_the_session_does_not_keep_it_for_a_client_that_has_gone() {
    for is_committed in [true, false] {
        let bed = Bed::new(Policy::high_assurance());
        let request = bed.begin(None);
        let session = request.session().await.unwrap().clone();
        session.login(Login::new(alice())).unwrap();
        if is_committed {
            bed.manager.commit(&session).await.unwrap();
        } else {
            bed.weather().set("create", Fate::Late(50));
            assert!(timeout(10 * MS, request.finish()).await.is_err());
        }
        drop(request);
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 0, "committed: {is_committed}");
        drop(session);
    }
}

/// The last bytes of a draw are the nonce of the version: everything else is the same each time.
#[derive(Debug, Default)]
struct SameId(AtomicU64);

impl Entropy for SameId {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(7);
        if let Some(nonce) = dest.last_chunk_mut() {
            *nonce = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_repeats_itself_is_not_asked_forever() {
    let store = Arc::new(Intercepted::new(ReferenceStore::new(), Weather::default()));
    let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
    let manager = builder.entropy(SameId::default()).build();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let request = RequestSession::new(manager.clone(), manager.read_cookie(None));
        request.session().await.unwrap().insert(N, &1).unwrap();
        outcomes.push(request.finish().await.0);
    }
    assert!(matches!(outcomes[..], [Ok(()), Err(Error::Conflict)]), "{outcomes:?}");
    assert_eq!(store.hook().count("create"), 1 + 33);
}

#[tokio::test(start_paused = true)]
async fn a_commit_does_not_disturb_one_that_is_being_repeated() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let requests = [bed.begin(Some(&cookie)), bed.begin(Some(&cookie))];
    for request in &requests {
        request.session().await.unwrap().update(N, |n| *n += 1).unwrap();
    }
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 10).unwrap()).await;
    let updates = bed.weather().count("update");
    bed.weather().set("load", Fate::Slow(500));
    let finishes = requests.map(|request| tokio::spawn(async move { request.finish().await.0 }));
    sleep(100 * MS).await;
    assert_eq!(bed.weather().count("update"), updates + 1, "the second waits for the first");
    bed.weather().clear();
    for finish in finishes {
        finish.await.unwrap().unwrap();
    }
    assert_eq!(bed.number(&cookie).await, Some(12));
}

/// Before each update, another request writes the session.
#[derive(Debug)]
struct Rival {
    store: Arc<ReferenceStore>,
    conflicts: AtomicU64,
}

impl Intercept for Rival {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fewer = |left: u64| left.checked_sub(1);
        if let Some(written) = call.written.filter(|_| call.operation == "update")
            && self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
        {
            let stored = self.store.load(&written.id(), Freshness::Latest).await?.unwrap();
            let version = stored.version.next(&OsEntropy).unwrap();
            let _ = self.store.update(&Record { version, ..stored.clone() }, stored.version, Timestamp::EPOCH).await?;
        }
        execute.await
    }
}

/// The largest number, always.
#[derive(Debug)]
struct Largest;

impl Entropy for Largest {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(255);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_tries_grow_up_to_a_limit() {
    let store = Arc::new(ReferenceStore::new());
    let rival = Rival { store: Arc::clone(&store), conflicts: AtomicU64::new(0) };
    let intercepted = Arc::new(Intercepted::new(store, rival));
    let builder = SessionManager::builder(Arc::clone(&intercepted) as Arc<dyn SessionStore>);
    let manager = builder.entropy(Largest).clock(ManualClock::default()).build();
    let request = |cookie: Option<String>| {
        RequestSession::new(manager.clone(), manager.read_cookie(cookie.as_deref().map(str::as_bytes)))
    };
    let first = request(None);
    first.session().await.unwrap().insert(N, &0).unwrap();
    let cookie = pair(&first.finish().await.1);
    // After the first conflict there is a fresh record, but no pause.
    for (conflicts, pauses) in [(1, 0), (2, 2), (3, 2 + 4), (7, 2 + 4 + 8 + 16 + 32 + 32)] {
        let request = request(cookie.clone());
        request.session().await.unwrap().update(N, |n| *n += 1).unwrap();
        intercepted.hook().conflicts.store(conflicts, Ordering::Relaxed);
        let begin = Instant::now();
        request.finish().await.0.unwrap();
        assert_eq!(begin.elapsed(), pauses * MS, "{conflicts} conflicts");
    }
}

/// What is not finished because its runtime ended is an event.
#[test]
fn work_that_ends_with_its_runtime_is_reported() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, bed) = (runtime(), Bed::new(Policy::standard()));
    let cookie = first.block_on(bed.logged_in());
    bed.weather().set("delete", Fate::Hangs);
    bed.log.take();
    let mut commit = Box::pin(async {
        let request = bed.begin(Some(&cookie));
        request.session().await.unwrap().logout().unwrap();
        request.finish().await
    });
    assert!(first.block_on(async { timeout(10 * MS, &mut commit).await }).is_err());
    drop(first);
    // Outside of any runtime, and its own has ended.
    drop(commit);
    assert_eq!(bed.log.take(), [EventKind::Abandoned]);
}

#[tokio::test(start_paused = true)]
async fn logins_whose_answers_were_lost_evict_one_session_at_most() {
    let policy = Policy::standard().to_builder().session_limit(3, LimitPolicy::EvictOldest).build().unwrap();
    let bed = Bed::new(policy);
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(bed.logged_in().await);
        bed.clock.advance(Duration::from_secs(1));
    }
    bed.weather().set("create", Fate::LosesAnswer);
    for _ in 0..3 {
        let request = bed.begin(None);
        request.session().await.unwrap().login(Login::new(alice())).unwrap();
        assert!(request.finish().await.0.is_err());
        bed.clock.advance(Duration::from_secs(3));
    }
    bed.weather().clear();
    let mut live = 0;
    for device in &devices {
        live += usize::from(bed.is_logged_in(device).await);
    }
    assert!(live >= 2, "{live} of three devices are still logged in");
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.count().await, live, "the list shows a session that no client has");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_client_has_is_ended_once_the_store_is_back() {
    let bed = Bed::new(Policy::standard());
    bed.weather().set("create", Fate::LosesAnswer);
    bed.weather().set("delete", Fate::Fails);
    let request = bed.begin(None);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    assert!(request.finish().await.0.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(30)).await, 1, "unfinished");
    assert_eq!(bed.count().await, 1);
    bed.weather().clear();
    assert_eq!(bed.manager.drain(Duration::from_secs(30)).await, 0);
    assert_eq!(bed.count().await, 0);
    // A store that is away for longer than that: given up, and said so.
    bed.weather().set("delete", Fate::Fails);
    bed.weather().set("create", Fate::FailsAfterwards);
    let request = bed.begin(None);
    request.session().await.unwrap().login(Login::new(alice())).unwrap();
    assert!(request.finish().await.0.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60 * 60)).await, 0);
    assert!(bed.log.take().contains(&EventKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_no_client_received_takes_no_place() {
    let bed = Bed::new(Policy::high_assurance());
    for fate in [Fate::Slow(50), Fate::Late(50), Fate::LosesAnswer] {
        bed.weather().set("create", fate);
        let login = bed.manager.issue_refresh_token(Login::new(alice()), None);
        if matches!(fate, Fate::LosesAnswer) {
            assert!(login.await.is_err());
        } else {
            assert!(timeout(10 * MS, login).await.is_err());
        }
        bed.weather().clear();
        assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
        assert_eq!(bed.count().await, 0, "{fate:?}");
    }
    let _ = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    assert_eq!(bed.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_cancelled_is_finished_and_gives_its_successor_again() {
    let bed = Bed::new(Policy::standard());
    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    bed.log.take();
    bed.weather().set("update", Fate::Late(100));
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert!(timeout(10 * MS, bed.manager.rotate(verified)).await.is_err());
    assert_eq!(bed.manager.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(bed.log.take(), [EventKind::Renewed]);
    let verified = bed.manager.verify_refresh_token(&token).await.unwrap().unwrap();
    assert!(bed.manager.rotate(verified).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_during_the_last_commit_or_after_it_is_an_error() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap().clone();
    session.insert(N, &1).unwrap();
    bed.weather().set("update", Fate::Slow(100));
    let late = tokio::spawn(async move {
        sleep(50 * MS).await;
        [
            session.insert(Key::<u64>::new("m"), &7),
            session.update(N, |n| *n += 1),
            session.remove(N),
            session.clear(),
            session.logout(),
            session.regenerate(),
            session.login(Login::new(alice())),
        ]
    });
    request.finish().await.0.unwrap();
    for outcome in late.await.unwrap() {
        assert!(matches!(outcome, Err(Error::ResponseSent)), "{outcome:?}");
    }
    // First asked for after the request was finished.
    let request = bed.begin(Some(&cookie));
    let _ = request.finish().await;
    let session = request.session().await.unwrap();
    assert_eq!(session.get(N).unwrap(), Some(1));
    assert!(matches!(session.insert(N, &2), Err(Error::ResponseSent)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_only_read_succeeds_although_its_activity_cannot_be_recorded() {
    for fate in [Fate::Fails, Fate::Hangs, Fate::FailsAfterwards] {
        let bed = Bed::new(Policy::high_assurance());
        let cookie = bed.logged_in().await;
        // A touch, then the renewal of the token.
        for operation in ["touch", "update"] {
            bed.clock.advance(Duration::from_secs(8 * 60));
            bed.weather().set(operation, fate);
            let before = bed.weather().count(operation);
            assert!(bed.is_logged_in(&cookie).await, "{fate:?}");
            assert!(bed.weather().count(operation) > before, "{operation} was not due");
            bed.weather().clear();
            bed.clock.advance(Duration::from_secs(1));
            assert!(bed.is_logged_in(&cookie).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_meet_touch_once_and_one_that_fails_does_not_count() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    let meet = async || {
        bed.clock.advance(Duration::from_secs(61));
        let mut open = Vec::new();
        for _ in 0..50 {
            let request = bed.begin(Some(&cookie));
            request.session().await.unwrap();
            open.push(request);
        }
        let before = bed.weather().count("touch");
        for request in open {
            request.finish().await.0.unwrap();
        }
        bed.weather().count("touch") - before
    };
    assert_eq!(meet().await, 1);
    bed.weather().set("touch", Fate::Fails);
    assert_eq!(meet().await, 50);
    bed.weather().clear();
    assert_eq!(meet().await, 1);
}

#[tokio::test(start_paused = true)]
async fn contended_commits_end_within_the_store_timeout() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.request(None, |session| session.insert(N, &0).unwrap()).await.unwrap();
    let mut requests = Vec::new();
    for _ in 0..20 {
        let request = bed.begin(Some(&cookie));
        request.session().await.unwrap().update(N, |n| *n += 1).unwrap();
        requests.push(request);
    }
    // All are outdated now.
    bed.request(Some(&cookie), |session| session.update(N, |n| *n += 1).unwrap()).await;
    bed.weather().set("load", Fate::Hangs);
    let begin = Instant::now();
    let tasks: Vec<_> =
        requests.into_iter().map(|request| tokio::spawn(async move { request.finish().await.0 })).collect();
    let mut failed = 0;
    for task in tasks {
        match task.await.unwrap() {
            // It waited for the store, or only for others.
            Err(Error::Store(_)) => failed += 1,
            Err(Error::Conflict) => {}
            outcome => panic!("{outcome:?}"),
        }
    }
    assert!(failed > 0);
    assert!(begin.elapsed() <= 2 * Policy::standard().store_timeout() + MS, "{:?}", begin.elapsed());
}

#[test]
fn an_update_may_use_its_session() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            const M: Key<u64> = Key::new("m");
            let bed = Bed::new(Policy::standard());
            let cookie = bed.request(None, |session| session.insert(M, &5).unwrap()).await.unwrap();
            let request = bed.begin(Some(&cookie));
            let session = request.session().await.unwrap();
            // Reads another value, asks who is logged in, writes.
            let same = session.clone();
            session
                .update(N, move |n| {
                    *n += same.get(M).unwrap().unwrap_or(0);
                    assert!(same.user().is_none() && same.keys().contains(&"m".to_owned()));
                    let _ = same.insert(Key::<u64>::new("seen"), n);
                })
                .unwrap();
            // Run again, because another request was faster.
            bed.request(Some(&cookie), |session| session.insert(M, &6).unwrap()).await;
            request.finish().await.0.unwrap();
            assert_eq!(bed.number(&cookie).await, Some(5));
            // Changes what it changes: an error, not an endless loop.
            let session = bed.manager.open(&session_core::adapter::PresentedCookie::Nothing).await.unwrap();
            let same = session.clone();
            let outcome = session.update(N, move |n| {
                same.update(N, |n| *n += 1).unwrap();
                *n += 1;
            });
            assert!(matches!(outcome, Err(Error::Conflict)));
        });
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(20)).expect("a deadlock");
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_record_is_unreadable_can_log_in_and_out() {
    let bed = Bed::new(Policy::standard());
    let cookie = bed.logged_in().await;
    bed.weather().set("load", Fate::Unreadable);
    bed.log.take();
    assert!(!bed.is_logged_in(&cookie).await);
    let failed = EventKind::StoreFailed { operation: "load", kind: StoreErrorKind::Corrupt };
    assert_eq!(bed.log.take(), [failed], "it is reported");
    let removed = bed.request(Some(&cookie), |session| session.logout().unwrap()).await;
    assert_eq!(removed.as_deref(), Some("__Host-id="));
    let request = bed.begin(Some(&cookie));
    let session = request.session().await.unwrap();
    assert!(matches!(session.insert(N, &1), Err(Error::Store(_))));
    session.login(Login::new(alice())).unwrap();
    bed.manager.commit(session).await.unwrap();
    session.insert(N, &2).expect("a new session is not concerned by the one before");
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let other = pair(&headers).unwrap();
    let issued = bed.manager.issue_refresh_token(Login::new(alice()), None).await.unwrap();
    let token = PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap();
    let _ = bed.manager.issue_refresh_token(Login::new(alice()), Some(&token)).await.unwrap();
    bed.weather().set("load", Fate::Fails);
    let failed = bed.manager.issue_refresh_token(Login::new(alice()), Some(&token)).await;
    assert!(matches!(failed, Err(Error::Store(_))), "a store that fails is no session that cannot be read");
    bed.weather().clear();
    assert!(bed.is_logged_in(&other).await);
    assert!(bed.is_logged_in(&cookie).await, "the record was left as it is");
}

#[tokio::test]
async fn a_record_that_is_unreadable_is_reported_and_hides_no_other() {
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt, "a newer format");
    let bed = Bed::new(Policy::standard());
    bed.logged_in().await;
    let readable = bed.manager.list(&alice()).await.unwrap().remove(0);
    let mut listing = session_core::store::Listing::default();
    listing.add(readable.id, Err(corrupt())).unwrap();
    listing.add(readable.id, Ok(readable.clone())).unwrap();
    assert_eq!((listing.sessions.len(), listing.unreadable.as_slice()), (1, &[readable.id][..]));
    let down = StoreError::new(StoreErrorKind::Unavailable, "bad weather");
    assert!(listing.add(readable.id, Err(down)).is_err());
}
