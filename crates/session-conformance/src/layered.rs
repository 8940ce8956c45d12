//! [`LayeredHarness`]: a backend with a store around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::Namespace;
use session_core::store::SessionStore;

use crate::adapter::AdapterHarness;
use crate::harness::{Capabilities, Harness, Waiver};
use crate::outcome::Failure;
use crate::service::{Disruption, Service};

/// Puts a store around a store.
type Layer = Arc<dyn Fn(Arc<dyn SessionStore>) -> Arc<dyn SessionStore> + Send + Sync>;

/// A backend whose stores have another store around them, one that encrypts or caches: what it promises, it promises there too.
pub struct LayeredHarness<H> {
    name: &'static str,
    harness: H,
    layer: Layer,
    staleness: Duration,
}

impl<H: Harness> LayeredHarness<H> {
    /// The stores of `harness` with `layer` around each, called `name` in reports.
    #[must_use]
    pub fn new<L: SessionStore>(
        name: &'static str,
        harness: H,
        layer: impl Fn(Arc<dyn SessionStore>) -> L + Send + Sync + 'static,
    ) -> Self {
        let layer: Layer = Arc::new(move |store| Arc::new(layer(store)));
        Self { name, harness, layer, staleness: Duration::ZERO }
    }

    /// For a layer that keeps copies: [`Harness::staleness`].
    #[must_use]
    pub fn stale_for(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }
}

impl<H: fmt::Debug> fmt::Debug for LayeredHarness<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredHarness")
            .field("name", &self.name)
            .field("harness", &self.harness)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<H: Harness> Harness for LayeredHarness<H> {
    fn backend(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.harness.capabilities()
    }

    fn waivers(&self) -> &'static [Waiver] {
        self.harness.waivers()
    }

    fn staleness(&self) -> Duration {
        self.staleness.max(self.harness.staleness())
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok((self.layer)(self.harness.open(namespace).await?))
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        let service = self.harness.launch(disruption).await?;
        Ok(Box::new(LayeredService { service, layer: Arc::clone(&self.layer) }))
    }

    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        self.harness.adapter()
    }
}

struct LayeredService {
    service: Box<dyn Service>,
    layer: Layer,
}

impl fmt::Debug for LayeredService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredService").field("service", &self.service).finish_non_exhaustive()
    }
}

#[async_trait]
impl Service for LayeredService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok((self.layer)(self.service.open(namespace).await?))
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.service.begin().await
    }

    async fn end(&self) -> Result<(), Failure> {
        self.service.end().await
    }
}
