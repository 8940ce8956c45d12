//! `GET /metrics`: what the site counts, as text for Prometheus. A real site does not serve it to everybody: it says how many users
//! there are, and how the site is doing. Give it a port of its own, or let the proxy in front refuse the path.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use session_core::{SessionManager, Timestamp};
use tokio::sync::Mutex;

use crate::args::Mode;
use crate::sessions::Sessions;
use crate::store::Cache;

/// The content type of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Of the histogram, in seconds.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How often sessions are counted at most, whoever asks.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// How often what was timed is added up, if nobody asks.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Where metrics go. Of this process: there can be one.
#[derive(Clone, Debug)]
pub struct Recorder(PrometheusHandle);

/// What `GET /metrics` answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: Recorder,
    /// Whose sessions can be counted.
    manager: Option<SessionManager>,
    cache: Option<Cache>,
    /// When they were.
    counted: Arc<Mutex<Option<Timestamp>>>,
}

impl Recorder {
    /// Installs it. To be called before [`Sessions::open`], which registers metrics.
    ///
    /// # Errors
    /// If there is one already.
    pub fn install() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new();
        let buckets = Matcher::Suffix("_duration_seconds".to_owned());
        Ok(Self(builder.set_buckets_for_metric(buckets, &BUCKETS)?.install_recorder()?))
    }

    /// Adds up what was timed, for ever: else it is kept until somebody asks.
    pub async fn upkeep(self) -> ! {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            self.0.run_upkeep();
        }
    }
}

impl Metrics {
    /// Those of these sessions, and of the cache in front of their store.
    #[must_use]
    pub fn new(recorder: Recorder, sessions: &Sessions, cache: Option<Cache>) -> Self {
        // Nobody knows how many sessions there are that only their clients have.
        let manager = (sessions.mode() != Mode::Client).then(|| sessions.manager().clone());
        Self { recorder, manager, cache, counted: Arc::default() }
    }

    /// The text. Costs the store a count of its sessions, every ten seconds at most.
    pub async fn render(&self) -> String {
        if let Some(cache) = &self.cache {
            cache.publish();
        }
        if let Some(manager) = &self.manager
            && let Ok(mut counted) = self.counted.try_lock()
            && counted.is_none_or(|counted| manager.now().since(counted) >= COUNT_INTERVAL)
        {
            *counted = Some(manager.now());
            // The manager has told the recorder how many there are, or else that the store failed.
            let _ = manager.count().await;
        }
        self.recorder.0.render()
    }
}
