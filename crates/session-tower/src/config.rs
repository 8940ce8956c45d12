//! What a layer shares with its services and their responses.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Response};
use session_core::SessionManager;
use session_core::adapter::OriginGuard;

use crate::rejection::Rejection;
use crate::request_line::RequestLine;

/// How an application words a rejection.
type Render = dyn Fn(Rejection, &RequestLine) -> Response<Bytes> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) manager: SessionManager,
    pub(crate) guard: OriginGuard,
    pub(crate) render: Option<Arc<Render>>,
    /// What a request without extensions begins with.
    pub(crate) extensions: Extensions,
}

impl Config {
    pub(crate) fn new(manager: SessionManager) -> Self {
        Self { manager, guard: OriginGuard::new(), render: None, extensions: preallocated_extensions() }
    }
}

/// Empty extensions with room for four values: the session, and the three that axum adds. A new table has room for three;
/// each request would have to move them to a larger one. A clone is as large as its original.
fn preallocated_extensions() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    extensions
}
