//! A manager that is measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::CompositeKey;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use session_conformance::ReferenceStore;
use session_core::{LimitPolicy, Login, ManualClock, Policy, Renewal, SessionManager, SessionManagerBuilder, UserId};
use session_testbed::{Client, Recorder, RecordingStore};

pub(crate) const RENEWAL: Renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };

/// Longer than a session lives.
pub(crate) const FOREVER: Duration = Duration::from_secs(400 * 24 * 60 * 60);

pub(crate) struct Bed {
    pub(crate) store: Arc<RecordingStore>,
    pub(crate) clock: ManualClock,
    pub(crate) manager: SessionManager,
    metrics: Metrics,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Users have two sessions at most, and a third login is refused.
    pub(crate) fn with(change: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        let store = Arc::new(RecordingStore::new(ReferenceStore::new(), Recorder::default()));
        let clock = ManualClock::default();
        let policy = Policy::standard()
            .to_builder()
            .renewal(Some(RENEWAL))
            .session_limit(2, LimitPolicy::Reject)
            .build()
            .unwrap();
        let builder = SessionManager::builder(store.clone()).policy(policy).clock(clock.clone());
        let (metrics, manager) = Metrics::of(|| change(builder).metrics().build());
        Self { store, clock, manager, metrics }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.manager)
    }

    /// A client that is logged in.
    pub(crate) async fn logged_in(&self) -> Client {
        let mut client = self.client();
        client.request(async |session| session.login(login())).await.unwrap();
        client
    }

    /// What was counted since the last call: see [`Metrics::take`]. Without what each request does: opening its session, and
    /// operations of the store.
    pub(crate) fn take(&self) -> BTreeMap<String, f64> {
        let mut taken = self.take_all();
        taken.retain(|name, _| !name.starts_with("session_opened") && !name.starts_with("session_store_operation"));
        taken
    }

    pub(crate) fn take_all(&self) -> BTreeMap<String, f64> {
        let mut taken = self.metrics.take();
        taken.retain(|name, value| name != "session_live" || !value.is_nan());
        taken
    }

    /// That this is all that was counted, and once.
    #[track_caller]
    pub(crate) fn assert_once(&self, names: &[&str]) {
        let expected: BTreeMap<String, f64> = names.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
        assert_eq!(self.take(), expected);
    }
}

pub(crate) fn login() -> Login {
    Login::new(UserId::new("alice").unwrap())
}

/// A recorder of its own.
pub(crate) struct Metrics(Snapshotter, DebuggingRecorder);

impl Metrics {
    /// What `make` registers, is registered there.
    pub(crate) fn of<T>(make: impl FnOnce() -> T) -> (Self, T) {
        let recorder = DebuggingRecorder::new();
        let made = metrics::with_local_recorder(&recorder, make);
        (Self(recorder.snapshotter(), recorder), made)
    }

    pub(crate) fn recorder(&self) -> &DebuggingRecorder {
        &self.1
    }

    /// Everything that is registered: the key, the description, and the value since the last call.
    pub(crate) fn snapshot(&self) -> Vec<(CompositeKey, String, DebugValue)> {
        let described = self.0.snapshot().into_vec().into_iter();
        described.map(|(key, _, help, value)| (key, help.expect("a description").to_string(), value)).collect()
    }

    /// What has changed since the last call, as `name{label=value}`: how much was added to a counter, how often a histogram was
    /// told, the value of a gauge.
    pub(crate) fn take(&self) -> BTreeMap<String, f64> {
        let values = self.snapshot().into_iter().map(|(key, _, value)| {
            let labels: Vec<String> =
                key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            (format!("{}{labels}", key.key().name()), value)
        });
        values.filter(|(_, value)| *value != 0.0).collect()
    }
}
