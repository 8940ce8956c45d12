//! Requests that meet at one session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_core::adapter::RequestSession;
use session_core::store::{Freshness, Record, SessionStore};
use session_core::{
    Entropy, EntropyError, Error, Key, ManualClock, OsEntropy, Policy, Session, SessionManager, StepUp, StoreError,
    StoreErrorKind, Timestamp,
};
use tokio::time::{Instant, sleep};

use crate::bed::*;

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
    /// How long an update takes.
    update: Duration,
}

impl Intercept for Rival {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call.operation == "update" {
            tokio::time::sleep(self.update).await;
        }
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
    let pauses = |conflicts: &[u32]| conflicts.iter().sum::<u32>();
    for (conflicts, expected) in [(1, 0), (2, 2), (3, 2 + 4), (7, pauses(&[2, 4, 8, 16, 16, 16]))] {
        assert_eq!(time_of_a_commit(conflicts, Duration::ZERO).await, expected * MS, "{conflicts} conflicts");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_makes_the_pauses_longer_but_not_beyond_a_quarter_of_what_is_left() {
    // The first try, and one for each conflict behind it.
    assert_eq!(time_of_a_commit(3, 10 * MS).await, 4 * 10 * MS + (20 + 40) * MS);
    assert_eq!(time_of_a_commit(2, 400 * MS).await, 3 * 400 * MS + (2000 - 400) / 4 * MS);
}

/// How long it takes, with so many conflicts and a store that takes so long for an update. After the first conflict there is a
/// fresh record, but no pause.
async fn time_of_a_commit(conflicts: u64, update: Duration) -> Duration {
    let store = Arc::new(ReferenceStore::new());
    let rival = Rival { store: Arc::clone(&store), conflicts: AtomicU64::new(0), update };
    let intercepted = Arc::new(Intercepted::new(store, rival));
    let builder = SessionManager::builder(Arc::clone(&intercepted) as Arc<dyn SessionStore>);
    let manager = builder.entropy(Largest).clock(ManualClock::default()).build();
    let request = |cookie: Option<String>| {
        RequestSession::new(manager.clone(), manager.read_cookie(cookie.as_deref().map(str::as_bytes)))
    };
    let first = request(None);
    first.session().await.unwrap().insert(N, &0).unwrap();
    let request = request(pair(&first.finish().await.1));
    request.session().await.unwrap().update(N, |n| *n += 1).unwrap();
    intercepted.hook().conflicts.store(conflicts, Ordering::Relaxed);
    let begin = Instant::now();
    request.finish().await.0.unwrap();
    begin.elapsed()
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

/// It was applied, its answer was lost, and another request changed the session before it was asked again.
#[tokio::test]
async fn an_update_of_which_it_is_not_known_whether_it_was_applied_is_not_applied_again() {
    #[derive(Debug)]
    struct Loses(Arc<ReferenceStore>);
    impl Intercept for Loses {
        async fn intercept<T: Send>(
            &self,
            call: StoreCall<'_>,
            execute: impl Future<Output = Result<T, StoreError>> + Send,
        ) -> Result<T, StoreError> {
            let answer = execute.await;
            let Some(written) = call.written.filter(|_| call.operation == "update") else { return answer };
            let stored = self.0.load(&written.id(), Freshness::Latest).await?.unwrap();
            if stored.version != written.version {
                return answer;
            }
            let version = stored.version.next(&OsEntropy).unwrap();
            let _ = self.0.update(&Record { version, ..stored.clone() }, stored.version, Timestamp::EPOCH).await?;
            answer.and(Err(StoreError::new(StoreErrorKind::Unavailable, "the answer is lost")))
        }
    }
    let store = Arc::new(ReferenceStore::new());
    let intercepted: Arc<dyn SessionStore> =
        Arc::new(Intercepted::new(Arc::clone(&store) as Arc<dyn SessionStore>, Loses(store)));
    let manager = SessionManager::new(intercepted, Policy::standard());
    let request =
        |cookie: Option<&str>| RequestSession::new(manager.clone(), manager.read_cookie(cookie.map(str::as_bytes)));
    let first = request(None);
    first.session().await.unwrap().insert(N, &0).unwrap();
    let cookie = pair(&first.finish().await.1);
    let second = request(cookie.as_deref());
    second.session().await.unwrap().update(N, |n| *n += 1).unwrap();
    assert!(matches!(second.finish().await.0, Err(Error::Store(_))));
    assert_eq!(request(cookie.as_deref()).session().await.unwrap().get(N).unwrap(), Some(1));
}

/// What it read was true; other requests have kept the session alive since.
#[tokio::test(start_paused = true)]
async fn a_request_that_outlives_the_idle_timeout_may_write_to_a_session_that_lives() {
    let acts: [fn(&Session); 3] = [
        |session| session.insert(N, &1).unwrap(),
        |session| session.regenerate().unwrap(),
        |session| session.step_up(StepUp::new(alice())).unwrap(),
    ];
    for (act, is_alive) in acts.into_iter().flat_map(|act| [(act, true), (act, false)]) {
        let bed = Bed::new(Policy::standard());
        let cookie = bed.logged_in().await;
        let long = bed.begin(Some(&cookie));
        let session = long.session().await.unwrap();
        for _ in 0..2 {
            bed.clock.advance(Duration::from_secs(20 * 60));
            if is_alive {
                assert!(bed.is_logged_in(&cookie).await);
            }
        }
        act(session);
        let outcome = long.finish().await.0;
        assert_eq!(outcome.is_ok(), is_alive, "{outcome:?}");
        assert!(is_alive || matches!(outcome, Err(Error::Gone)), "{outcome:?}");
    }
}
