//! Where the layer and the extractors meet: one value in the extensions of a request.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use session_core::{Presented, RequestSession};

use crate::layer::Config;

/// The session of a request, which becomes a [`RequestSession`] when somebody asks for it: so the layer sees, without
/// awaiting anything, that nobody did.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    presented: Mutex<Presented>,
    request: OnceLock<RequestSession>,
}

impl Slot {
    pub(crate) fn new(config: Arc<Config>, presented: Presented) -> Self {
        Self(Arc::new(Inner { config, presented: Mutex::new(presented), request: OnceLock::new() }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The session, for an extractor. From now on, it is consulted.
    pub(crate) fn consult(&self) -> &RequestSession {
        self.0.request.get_or_init(|| {
            let mut presented = self.0.presented.lock().unwrap_or_else(PoisonError::into_inner);
            let presented = mem::replace(&mut *presented, Presented::Nothing);
            RequestSession::new(self.0.config.manager.clone(), presented)
        })
    }

    /// The session, for the layer; `None` if nobody asked for it.
    pub(crate) fn consulted(&self) -> Option<&RequestSession> {
        self.0.request.get()
    }
}
