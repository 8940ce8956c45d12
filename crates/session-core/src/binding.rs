//! What binds a session to a key of the device: for protocols, which keep it in the record of the session.

use std::sync::Arc;

use bytes::Bytes;

use crate::adapter::remedy::Remedy;
use crate::decide::intent::Intent;
use crate::error::Error;
use crate::session::Session;

impl Session {
    /// Changes what binds the session to a key of the device, of a user who is logged in: `change` computes it from what it
    /// was, `None` if the session is not bound. For protocols; applications do not call it. **No change is lost**: it is run
    /// now, and again at the commit whenever another request was faster, and must have no other effect. A login begins unbound,
    /// and may be followed by this in the same request.
    ///
    /// The first byte names the protocol, the only one that knows the rest: 1 is DPoP, 2 is DBSC. With its highest bit set, a key
    /// was asked for and the session is not bound yet; without, [`SessionSummary::is_bound`](crate::SessionSummary::is_bound) is
    /// `true`.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] if no user is logged in, [`Error::ResponseSent`] if it is too late.
    pub fn rebind<F>(&self, change: F) -> Result<(), Error>
    where
        F: Fn(Option<&[u8]>) -> Option<Bytes> + Send + Sync + 'static,
    {
        self.intend(Intent::Rebind(Arc::new(change)))
    }

    /// Says that a guard refuses the request, for it does not come from the device. It is [passive](Self::set_passive), its
    /// response gives nobody the token of the device's client, and tells an honest browser what mends it.
    pub fn refuse(&self, remedy: Remedy) {
        self.set_passive();
        let mut state = self.state();
        (state.successor, state.remedy) = (None, remedy);
    }

    /// What binds the session to a key of the device, with the changes of this request: bytes that only the protocol of the
    /// binding knows.
    #[must_use]
    pub fn binding(&self) -> Option<Bytes> {
        self.state().draft.binding.clone()
    }
}
