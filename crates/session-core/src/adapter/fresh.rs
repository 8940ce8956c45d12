//! The check before a sensitive action.

use std::time::Duration;

use super::rejection::RejectionKind;
use crate::manager::SessionManager;
use crate::model::summary::Assurance;
use crate::session::handle::Session;

/// Checks that the user authenticated less than `max_age` ago, at least at `level`.
///
/// Reloads the session first, so that neither an earlier load nor a cached copy lets a revoked session pass. One round
/// trip.
///
/// # Errors
/// [`RejectionKind::ReauthenticationRequired`] if it was too long ago or at a lower level,
/// [`RejectionKind::Unauthenticated`] if no user is logged in, [`RejectionKind::Gone`] if the session ended meanwhile,
/// [`RejectionKind::StoreUnavailable`] if the store failed.
pub async fn require_fresh(
    manager: &SessionManager,
    session: &Session,
    max_age: Duration,
    level: Assurance,
) -> Result<(), RejectionKind> {
    manager.reload(session).await?;
    let authentication = session.authentication().ok_or(RejectionKind::Unauthenticated)?;
    if authentication.level >= level && session.is_fresh(max_age) {
        Ok(())
    } else {
        Err(RejectionKind::ReauthenticationRequired)
    }
}
