//! What happened to each session, for the picture of its life.
//!
//! A session itself says when it began and was last seen, and no more: what happened in between, are events. This process
//! remembers those that it reported, of the sessions that were in use most recently. A real site that shows more writes events
//! into its audit log, and reads that.

use session_core::{Event, EventKind, SessionId, SessionObserver, Timestamp};

/// Of how many sessions.
const MAX_SESSIONS: u64 = 10_000;
/// Of how many changes of each: the latest.
const MAX_CHANGES: usize = 32;

/// Something that gave a session a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It began, and this process was there.
    Began,
    /// The user proved who they are once more.
    SteppedUp,
    /// The token was renewed, because of its age or because it is a refresh token that was used.
    Renewed,
    /// The site asked for a new token.
    Regenerated,
}

/// The changes of sessions, in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct History(moka::sync::Cache<SessionId, Vec<(Timestamp, Change)>>);

impl History {
    /// Nothing has happened yet. What is to be remembered, [`SessionManager`](session_core::SessionManager) tells it as an observer.
    #[must_use]
    pub fn new() -> Self {
        Self(moka::sync::Cache::new(MAX_SESSIONS))
    }

    /// Those of a session, in their order. None if they are not known.
    pub(crate) fn of(&self, id: &SessionId) -> Vec<(Timestamp, Change)> {
        self.0.get(id).unwrap_or_default()
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionObserver for History {
    fn on_event(&self, event: &Event) {
        let Some(id) = event.session else { return };
        let change = match event.kind {
            EventKind::Created | EventKind::LoggedIn => Change::Began,
            EventKind::SteppedUp => Change::SteppedUp,
            EventKind::Renewed => Change::Renewed,
            EventKind::Regenerated => Change::Regenerated,
            EventKind::Terminated(_) | EventKind::CookieRemoved => return self.0.invalidate(&id),
            // Nothing that the picture shows.
            EventKind::NewDevice
            | EventKind::Replayed
            | EventKind::ReplayRefused
            | EventKind::Expired(_)
            | EventKind::LimitReached
            | EventKind::TokenReuse
            | EventKind::RenewalRaced
            | EventKind::UnknownToken
            | EventKind::MalformedToken
            | EventKind::InvalidAccessToken
            | EventKind::InvalidProof
            | EventKind::DeviceNotProved
            | EventKind::InvalidLogoutToken
            | EventKind::LoginRefused
            | EventKind::AmbiguousCookie
            | EventKind::NotStored
            | EventKind::VisitorRefused
            | EventKind::CrossOrigin(_)
            | EventKind::Abandoned
            | EventKind::StoreFailed { .. }
            | _ => return,
        };
        self.0.entry(id).and_upsert_with(|known| {
            let mut changes = known.map(moka::Entry::into_value).unwrap_or_default();
            changes.push((event.at, change));
            if changes.len() > MAX_CHANGES {
                changes.remove(0);
            }
            changes
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use session_core::{Event, EventKind, OsEntropy, SessionId, SessionObserver as _, Termination, Timestamp};

    use super::{Change, History, MAX_CHANGES};

    fn tell(history: &History, session: SessionId, second: i64, kind: EventKind) {
        let at = Timestamp::from_millis(second * 1000);
        history.on_event(&Event { at, session: Some(session), user: None, kind, request: None });
    }

    #[test]
    fn changes_are_kept_in_order_until_the_session_ends() {
        let history = History::new();
        let [one, other] = [0, 1].map(|_| SessionId::generate(None, &OsEntropy).unwrap());
        tell(&history, one, 1, EventKind::LoggedIn);
        tell(&history, other, 2, EventKind::Created);
        tell(&history, one, 3, EventKind::Replayed);
        tell(&history, one, 4, EventKind::SteppedUp);
        let seconds = |changes: Vec<(Timestamp, Change)>| {
            changes.into_iter().map(|(at, change)| (at.as_millis() / 1000, change)).collect::<Vec<_>>()
        };
        assert_eq!(seconds(history.of(&one)), [(1, Change::Began), (4, Change::SteppedUp)]);
        for second in 0..100 {
            tell(&history, other, 10 + second, EventKind::Renewed);
        }
        let kept = seconds(history.of(&other));
        assert_eq!((kept.len(), kept.last()), (MAX_CHANGES, Some(&(109, Change::Renewed))), "the latest");

        tell(&history, one, 5, EventKind::Terminated(Termination::Logout));
        assert_eq!(history.of(&one), []);
        assert_eq!(history.of(&other).len(), MAX_CHANGES);
    }
}
