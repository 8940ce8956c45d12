//! What may happen once, on whichever server.

use sha2::{Digest as _, Sha256};

use super::SessionManager;
use crate::clock::Timestamp;
use crate::decide::plan::{Draft, new_record};
use crate::error::Error;
use crate::model::id::SessionId;
use crate::model::summary::Timeouts;
use crate::model::token::Kind;
use crate::store::contract::{CreateOutcome, CreateRequest};

impl SessionManager {
    /// Whether `what` is claimed for the first time, for `purpose`, before `until`: of any number of calls on any number of
    /// servers with the same store, one is told so. For tokens that are good once: the `jti` of a proof, a code in a mail.
    ///
    /// What is kept until then, and for the [clock skew](crate::PolicyBuilder::max_clock_skew) longer, is a digest of both, like a
    /// session of no user: neither listed nor limited, and nobody has its token. It counts where a store counts what it has
    /// ([`count`](Self::count)). If `until` is over, nothing is claimed. One round trip.
    ///
    /// ```
    /// # async fn demo(manager: session_core::SessionManager, code: &str) -> Result<(), session_core::Error> {
    /// use std::time::Duration;
    ///
    /// let until = manager.now() + Duration::from_secs(600);
    /// if !manager.claim_once("mail", code, until).await? {
    ///     // used before
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: it may be claimed then. [`Error::Entropy`].
    pub async fn claim_once(&self, purpose: &str, what: impl AsRef<[u8]>, until: Timestamp) -> Result<bool, Error> {
        let store = self.store("create")?;
        let now = self.now();
        if until <= now {
            return Ok(false);
        }
        // The clock of the server that sweeps may be ahead.
        let lifetime = until.since(now) + self.policy().max_clock_skew();
        let mut draft = Draft::of(None);
        draft.timeouts = Timeouts { idle: lifetime, absolute: lifetime };
        let (mut record, _nobodys) = new_record(Kind::Refresh, &draft, self.policy(), now, &*self.inner.entropy)?;
        record.summary.id = named(purpose, what.as_ref());
        // What the policy says of visitors must not make it forgettable sooner.
        record.summary.timeouts = draft.timeouts;
        let created = self.store_write("create", || store.create(CreateRequest::new(&record), now)).await?.0;
        Ok(matches!(created, CreateOutcome::Created { .. }))
    }
}

/// The same for the same, and no session's: those are drawn.
fn named(purpose: &str, what: &[u8]) -> SessionId {
    let digest = Sha256::new()
        .chain_update(b"once")
        .chain_update((purpose.len() as u64).to_be_bytes())
        .chain_update(purpose)
        .chain_update(what)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    SessionId::from_bytes(id)
}
