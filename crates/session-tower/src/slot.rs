//! Where the layer and the extractors meet: one value in the extensions of a request.

use session_core::adapter::RequestSession;

/// The session of a request. A type of its own, so that only this crate finds it.
#[derive(Clone)]
pub(crate) struct Slot(pub(crate) RequestSession);
