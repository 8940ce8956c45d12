//! How many sessions there are, over time and by kind: for the page of administrators.
//!
//! It must be cheap with a million sessions, and cost nothing while nobody looks. So sessions are counted by the store, and never
//! listed for it; the kinds are those of one page of at most [`PAGE`] sessions for each count. With more sessions than that, the
//! pages are walked through one after the other, and the kinds are those of the last walk that came to its end.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{Count, Cursor};
use session_core::{Error, Kind, SessionManager, SessionSummary, Timestamp};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// How often sessions are counted while the page is looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// How long that goes on after somebody has looked.
pub(crate) const WATCHED: Duration = Duration::from_secs(3600);
/// How many sessions are looked at for each count.
pub(crate) const PAGE: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// How many counts are kept: two hours of them.
const MAX_SAMPLES: usize = 720;
/// A count that is no older is shown as it is, however many administrators look.
const FRESH: Duration = Duration::from_secs(2);

/// How many sessions there were at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    pub(crate) total: Count,
    /// `None` before the first walk through all pages came to its end.
    pub(crate) kinds: Option<Kinds>,
}

/// How many sessions of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// Anonymous ones.
    pub(crate) visitors: u64,
    /// Those of users, with a cookie.
    pub(crate) cookies: u64,
    /// Those of users, with a refresh token.
    pub(crate) refresh: u64,
}

impl Kinds {
    fn add(&mut self, session: &SessionSummary) {
        match (session.user(), session.kind) {
            (None, _) => self.visitors += 1,
            (Some(_), Kind::Cookie) => self.cookies += 1,
            (Some(_), Kind::Refresh) => self.refresh += 1,
        }
    }

    pub(crate) const fn total(&self) -> u64 {
        self.visitors + self.cookies + self.refresh
    }
}

/// What was counted so far.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The oldest first; at least one.
    pub(crate) samples: Vec<Sample>,
    /// When the kinds were known.
    pub(crate) kinds_at: Option<Timestamp>,
    /// How many sessions the walk that is under way has looked at.
    pub(crate) looked_at: u64,
}

/// The counts of this process, in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    manager: SessionManager,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    samples: VecDeque<Sample>,
    walk: Kinds,
    /// Where the walk goes on.
    cursor: Option<Cursor>,
    kinds: Option<(Timestamp, Kinds)>,
    /// When somebody looked, if it is counted since.
    looked: Option<Timestamp>,
}

impl Counts {
    pub(crate) fn new(manager: SessionManager) -> Self {
        Self { manager, state: Arc::default() }
    }

    /// Counts, unless that was done just now, and goes on counting for a while. Costs the store a count and a page.
    ///
    /// # Errors
    /// If the store failed.
    pub(crate) async fn look(&self) -> Result<Report, Error> {
        let mut state = self.state.lock().await;
        let now = self.manager.now();
        if state.samples.back().is_none_or(|sample| now.since(sample.at) >= FRESH) {
            self.sample(&mut state).await?;
        }
        if state.looked.replace(now).is_none() {
            tokio::spawn(self.clone().go_on());
        }
        Ok(Report {
            samples: state.samples.iter().copied().collect(),
            kinds_at: state.kinds.map(|(at, _)| at),
            looked_at: state.walk.total(),
        })
    }

    /// Until nobody has looked for a while.
    async fn go_on(self) {
        loop {
            sleep(INTERVAL).await;
            let mut state = self.state.lock().await;
            if state.looked.is_none_or(|looked| self.manager.now().since(looked) >= WATCHED) {
                state.looked = None;
                return;
            }
            // A store that failed leaves a gap. The manager has reported it.
            let _ = self.sample(&mut state).await;
        }
    }

    async fn sample(&self, state: &mut State) -> Result<(), Error> {
        let total = self.manager.count().await?;
        let page = match self.manager.list_all(state.cursor.as_ref(), PAGE).await {
            // The store has changed, or a server of it: from the beginning.
            Err(Error::InvalidCursor) => {
                (state.cursor, state.walk) = (None, Kinds::default());
                self.manager.list_all(None, PAGE).await?
            }
            page => page?,
        };
        let now = self.manager.now();
        page.listing.sessions.iter().for_each(|session| state.walk.add(session));
        state.cursor = page.next;
        if state.cursor.is_none() {
            state.kinds = Some((now, std::mem::take(&mut state.walk)));
        }
        if state.samples.len() == MAX_SAMPLES {
            state.samples.pop_front();
        }
        state.samples.push_back(Sample { at: now, total, kinds: state.kinds.map(|(_, kinds)| kinds) });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use session_core::adapter::PresentedCookie;
    use session_core::store::Count;
    use session_core::{Key, Login, ManualClock, Policy, SessionManager, Timestamp, UserId};
    use session_moka::MokaStore;

    use super::{Counts, FRESH, INTERVAL, Kinds, MAX_SAMPLES, WATCHED};

    struct Bed {
        manager: SessionManager,
        clock: ManualClock,
    }

    impl Bed {
        fn new() -> Self {
            let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
            let store: Arc<dyn session_core::store::SessionStore> = Arc::new(MokaStore::new());
            let manager = SessionManager::builder(store).policy(Policy::standard()).clock(clock.clone()).build();
            Self { manager, clock }
        }

        async fn begin(&self, user: Option<&str>) {
            let session = self.manager.open(&PresentedCookie::Nothing).await.unwrap();
            match user {
                Some(user) => session.login(Login::new(UserId::new(user).unwrap())).unwrap(),
                None => session.insert(Key::<u8>::new("cart"), &1).unwrap(),
            }
            self.manager.commit(&session).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_counted_by_kind_while_somebody_looks() {
        let bed = Bed::new();
        let counts = Counts::new(bed.manager.clone());
        bed.begin(Some("alice")).await;
        bed.begin(None).await;
        bed.begin(None).await;
        let report = counts.look().await.unwrap();
        let kinds = Kinds { visitors: 2, cookies: 1, refresh: 0 };
        assert_eq!((report.samples[0].total, report.samples[0].kinds), (Count::exact(3), Some(kinds)));

        bed.begin(None).await;
        assert_eq!(counts.look().await.unwrap().samples.len(), 1, "just counted");
        bed.clock.advance(FRESH);
        assert_eq!(counts.look().await.unwrap().samples[1].total, Count::exact(4));

        // Both clocks go on, the one of timers by itself.
        for _ in 0..3 {
            bed.clock.advance(INTERVAL);
            tokio::time::sleep(INTERVAL).await;
        }
        let length = async || counts.state.lock().await.samples.len();
        let counted = length().await;
        assert!((4..=5).contains(&counted), "{counted}");
        bed.clock.advance(WATCHED);
        tokio::time::sleep(3 * INTERVAL).await;
        assert_eq!(length().await, counted, "nobody looks");
        bed.begin(Some("bob")).await;
        let latest = *counts.look().await.unwrap().samples.last().unwrap();
        assert_eq!(latest.kinds, Some(Kinds { visitors: 0, cookies: 1, refresh: 0 }), "those before are over");
    }

    #[tokio::test]
    async fn a_count_looks_at_one_page_of_many_sessions() {
        let bed = Bed::new();
        for number in 0..2_500 {
            bed.begin((number % 5 == 0).then(|| format!("user-{number}")).as_deref()).await;
        }
        let counts = Counts::new(bed.manager.clone());
        let mut walked = Vec::new();
        for _ in 0..3 {
            let report = counts.look().await.unwrap();
            let latest = *report.samples.last().unwrap();
            assert_eq!(latest.total, Count::exact(2_500));
            walked.push((report.looked_at, latest.kinds));
            bed.clock.advance(FRESH);
        }
        let all = Kinds { visitors: 2_000, cookies: 500, refresh: 0 };
        assert_eq!(walked, [(1_000, None), (2_000, None), (0, Some(all))]);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let bed = Bed::new();
        let counts = Counts::new(bed.manager.clone());
        let begin = bed.manager.now();
        for _ in 0..MAX_SAMPLES + 10 {
            counts.sample(&mut *counts.state.lock().await).await.unwrap();
            bed.clock.advance(Duration::from_secs(1));
        }
        let samples = counts.look().await.unwrap().samples;
        assert_eq!(samples.len(), MAX_SAMPLES);
        assert_eq!(samples[0].at.since(begin), Duration::from_secs(10), "the oldest are gone");
    }
}
