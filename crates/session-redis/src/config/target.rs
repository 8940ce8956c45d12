//! Where connections lead to: [`Target`].

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    /// How often a connection of the store has come to another primary than the one before.
    pub(crate) moves: Arc<AtomicU64>,
}
