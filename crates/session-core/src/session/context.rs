//! What a session needs to know of the manager it belongs to.

use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::policy::rules::Policy;
use crate::store::seal::Seal;

pub(crate) struct Context {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    /// What client-side sessions are sealed with; `None` if sessions are kept in a store.
    pub(crate) seal: Option<Arc<dyn Seal>>,
}

impl Context {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
