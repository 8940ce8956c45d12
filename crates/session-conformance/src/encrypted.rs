//! [`EncryptedHarness`]: a backend that sees no values.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::Namespace;
use session_core::store::{EncryptedStore, EncryptionKeys, SessionStore};

use crate::adapter::AdapterHarness;
use crate::harness::{Capabilities, Harness, Waiver};
use crate::layered::LayeredHarness;
use crate::outcome::Failure;
use crate::service::{Disruption, Service};

/// A backend behind an [`EncryptedStore`]: what it promises, it promises there too.
///
/// ```
/// use session_conformance::{EncryptedHarness, ReferenceHarness};
/// use session_core::OsEntropy;
/// use session_core::store::{EncryptionKey, EncryptionKeys};
///
/// let keys = EncryptionKeys::new(EncryptionKey::generate(&OsEntropy)?);
/// let harness = EncryptedHarness::new("reference, encrypted", ReferenceHarness::default(), keys);
/// # Ok::<_, session_core::store::EncryptionKeyError>(())
/// ```
#[derive(Debug)]
pub struct EncryptedHarness<H>(LayeredHarness<H>);

impl<H: Harness> EncryptedHarness<H> {
    /// The stores of `harness` with `keys`, called `name` in reports.
    #[must_use]
    pub fn new(name: &'static str, harness: H, keys: EncryptionKeys) -> Self {
        Self(LayeredHarness::new(name, harness, move |store| EncryptedStore::new(store, &keys)))
    }
}

#[async_trait]
impl<H: Harness> Harness for EncryptedHarness<H> {
    fn backend(&self) -> &'static str {
        self.0.backend()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn waivers(&self) -> &'static [Waiver] {
        self.0.waivers()
    }

    fn staleness(&self) -> Duration {
        self.0.staleness()
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        self.0.open(namespace).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        self.0.launch(disruption).await
    }

    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        self.0.adapter()
    }
}
