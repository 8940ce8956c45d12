//! What tells a ticket from a session.

use crate::model::summary::SessionSummary;

/// The device of tickets.
pub(super) const LABEL: &str = "session-core: a session is being moved";

/// Whether it is not a session, but what one is exchanged for: lists do not show it.
pub(super) fn is_ticket(session: &SessionSummary) -> bool {
    session.user().is_none() && session.device.label() == Some(LABEL)
}
