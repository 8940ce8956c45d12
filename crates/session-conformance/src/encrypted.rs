//! [`EncryptedHarness`]: a backend that sees no values.

use std::sync::Arc;

use async_trait::async_trait;
use session_core::Namespace;
use session_core::store::{EncryptedStore, EncryptionKeys, SessionStore};

use crate::adapter::AdapterHarness;
use crate::harness::{Capabilities, Harness, Waiver};
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
pub struct EncryptedHarness<H> {
    name: &'static str,
    harness: H,
    keys: Arc<EncryptionKeys>,
}

impl<H: Harness> EncryptedHarness<H> {
    /// The stores of `harness` with `keys`, called `name` in reports.
    #[must_use]
    pub fn new(name: &'static str, harness: H, keys: EncryptionKeys) -> Self {
        Self { name, harness, keys: Arc::new(keys) }
    }
}

#[async_trait]
impl<H: Harness> Harness for EncryptedHarness<H> {
    fn backend(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.harness.capabilities()
    }

    fn waivers(&self) -> &'static [Waiver] {
        self.harness.waivers()
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(Arc::new(EncryptedStore::new(self.harness.open(namespace).await?, &self.keys)))
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        let service = self.harness.launch(disruption).await?;
        Ok(Box::new(EncryptedService { service, keys: Arc::clone(&self.keys) }))
    }

    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        self.harness.adapter()
    }
}

#[derive(Debug)]
struct EncryptedService {
    service: Box<dyn Service>,
    keys: Arc<EncryptionKeys>,
}

#[async_trait]
impl Service for EncryptedService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(Arc::new(EncryptedStore::new(self.service.open(namespace).await?, &self.keys)))
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.service.begin().await
    }

    async fn end(&self) -> Result<(), Failure> {
        self.service.end().await
    }
}
