//! [`ProvenKey`].

use session_core::KeyThumbprint;

/// A key that a client has proved to have, with this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenKey(KeyThumbprint);

impl ProvenKey {
    pub(super) const fn new(thumbprint: KeyThumbprint) -> Self {
        Self(thumbprint)
    }

    /// Its thumbprint: for [`Login::bound_to`](session_core::Login::bound_to).
    #[must_use]
    pub const fn thumbprint(&self) -> KeyThumbprint {
        self.0
    }
}
