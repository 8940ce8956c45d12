//! Where connections lead to: [`Target`].

use std::sync::Arc;

use super::credentials::CredentialsProvider;
use super::url::Topology;

/// Where the servers are, and who connects to them.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) topology: Topology,
    /// Instead of those of the URL.
    pub(crate) credentials: Option<Arc<dyn CredentialsProvider>>,
    /// Where changes are published, if they are.
    pub(crate) channel: Option<Vec<u8>>,
}
