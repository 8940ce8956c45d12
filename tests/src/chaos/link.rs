//! [`Link`]: what is between a node and its store, and [`DisturbedFeed`]: what is between a node and its feed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Intercept, Intercepted, StoreCall};
use session_core::store::{Feed, FeedEvent};
use session_core::{StoreError, StoreErrorKind};
use tokio::sync::watch;

use crate::proxy::{Mode, Proxy};

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// As it should.
    Fair,
    /// Requests take longer.
    Slow(Duration),
    /// Nothing passes in either direction; what was sent arrives when it is over.
    Silent,
    /// Connections are refused.
    Cut,
    /// Requests arrive, replies do not.
    LosesReplies,
    /// A part of each reply arrives, and then nothing.
    TearsReplies,
}

/// Between a node and its store.
#[derive(Debug)]
pub(super) enum Link {
    /// To a server.
    Network(Proxy),
    /// To a store whose calls are disturbed.
    Calls(Arc<Intercepted<Disturbance>>),
}

impl Link {
    pub(super) fn set(&self, weather: Weather) {
        match self {
            Self::Network(proxy) => proxy.set(match weather {
                Weather::Fair => Mode::Pass,
                Weather::Slow(time) => Mode::Delay(time),
                Weather::Silent => Mode::BlackHole,
                Weather::Cut => Mode::Cut,
                Weather::LosesReplies => Mode::CutReply(0),
                Weather::TearsReplies => Mode::Truncate(3),
            }),
            Self::Calls(store) => drop(store.hook().weather.send_replace(weather)),
        }
    }
}

/// Disturbs calls as a network disturbs requests.
#[derive(Debug)]
pub(super) struct Disturbance {
    weather: watch::Sender<Weather>,
}

impl Default for Disturbance {
    fn default() -> Self {
        Self { weather: watch::Sender::new(Weather::Fair) }
    }
}

impl Intercept for Disturbance {
    async fn intercept<T: Send>(
        &self,
        _: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // Callers that give up do so here, too.
        tokio::task::yield_now().await;
        let mut weather = self.weather.subscribe();
        let now =
            weather.wait_for(|weather| *weather != Weather::Silent).await.map_or(Weather::Fair, |weather| *weather);
        match now {
            Weather::Fair | Weather::Silent => {}
            Weather::Slow(time) => tokio::time::sleep(time).await,
            Weather::Cut => return Err(StoreError::new(StoreErrorKind::Unavailable, "cut off")),
            Weather::LosesReplies | Weather::TearsReplies => {
                let _lost = execute.await;
                return Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"));
            }
        }
        let answer = execute.await;
        tokio::task::yield_now().await;
        answer
    }
}

/// A feed that has the weather of a store. What is told in bad weather is lost, and the node hears that something was.
#[derive(Debug)]
pub(super) struct DisturbedFeed {
    feed: Box<dyn Feed>,
    store: Arc<Intercepted<Disturbance>>,
    is_lost: bool,
}

impl DisturbedFeed {
    pub(super) fn new(feed: Box<dyn Feed>, store: Arc<Intercepted<Disturbance>>) -> Self {
        Self { feed, store, is_lost: false }
    }
}

#[async_trait]
impl Feed for DisturbedFeed {
    async fn next(&mut self, beat: Duration) -> FeedEvent {
        loop {
            let event = self.feed.next(beat).await;
            let mut weather = self.store.hook().weather.subscribe();
            let now =
                weather.wait_for(|weather| *weather != Weather::Silent).await.map_or(Weather::Fair, |weather| *weather);
            let was_lost = self.is_lost;
            self.is_lost = match now {
                Weather::Fair | Weather::Slow(_) | Weather::Silent => false,
                Weather::Cut | Weather::LosesReplies | Weather::TearsReplies => true,
            };
            match (was_lost, self.is_lost) {
                (false, false) => return event,
                // When it begins, and when it is over.
                (false, true) | (true, false) => return FeedEvent::Lost,
                (true, true) => {}
            }
        }
    }
}
