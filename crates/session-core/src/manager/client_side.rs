//! What must be true of a client-side session before it is written.

use crate::decide::plan::Change;
use crate::decide::verdict::LoadedSession;
use crate::error::Error;
use crate::model::record::Record;
use crate::session::Context;

impl Context {
    /// Whether a new cookie may take the place of that of `loaded`: only where the one before can be ended. A login or a
    /// logout may in any case: nothing else would be better for their user.
    pub(crate) fn check_change(&self, loaded: Option<&LoadedSession>, change: Change) -> Result<(), Error> {
        match change {
            Change::Regenerate | Change::StepUp if loaded.is_some() && !self.ends_cookies => Err(Error::NoDenyList),
            Change::None | Change::Regenerate | Change::StepUp | Change::Login | Change::Logout => Ok(()),
        }
    }

    /// Whether `next`, as a cookie of `len` bytes, may follow `loaded`: within the limit, or, where the limit was lowered
    /// meanwhile, with no more values than before.
    pub(crate) fn check_len(&self, loaded: Option<&LoadedSession>, next: &Record, len: usize) -> Result<(), Error> {
        let cookie = self.policy.cookie();
        let goes_on =
            || loaded.is_some_and(|loaded| next.data.size() <= loaded.record.data.size() && cookie.is_kept(len));
        cookie.fits(len).or_else(|error| if goes_on() { Ok(()) } else { Err(error) })
    }
}
