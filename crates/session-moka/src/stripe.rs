//! [`Stripe`]: the sessions under one lock.

use std::collections::BTreeMap;
use std::ops::Bound;

use session_core::store::layout;
use session_core::{SessionId, Timestamp, UserId};

use crate::entry::Entry;

/// The sessions of some shards. All sessions of a user are in one stripe.
///
/// Ordered by id, which begins with the shard: the sessions of one user are adjacent, so the map is its own index by
/// user. A shard holds about 15 sessions per million of the store.
pub(crate) struct Stripe {
    sessions: BTreeMap<SessionId, Entry>,
    /// A lower bound of all deadlines.
    earliest: Timestamp,
}

impl Stripe {
    pub(crate) fn new() -> Self {
        Self { sessions: BTreeMap::new(), earliest: Timestamp::MAX }
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<&Entry> {
        self.sessions.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Entry> {
        self.sessions.get_mut(id)
    }

    /// The session, unless it is expired: to every operation that takes the time, an expired session is absent.
    pub(crate) fn live(&self, id: &SessionId, now: Timestamp) -> Option<&Entry> {
        self.get(id).filter(|entry| !entry.is_expired(now))
    }

    pub(crate) fn contains(&self, id: &SessionId) -> bool {
        self.sessions.contains_key(id)
    }

    pub(crate) fn insert(&mut self, id: SessionId, entry: Entry) {
        self.earliest = self.earliest.min(entry.deadline());
        self.sessions.insert(id, entry);
    }

    pub(crate) fn remove(&mut self, id: &SessionId) -> Option<Entry> {
        self.sessions.remove(id)
    }

    /// The sessions of `user`, live or expired. `shard` and `tag` are the user's.
    pub(crate) fn of_user(&self, user: &UserId, shard: u16, tag: u16) -> impl Iterator<Item = (&SessionId, &Entry)> {
        let owner = layout::owner(Some(user));
        let of_shard = self.sessions.range(bound(shard, 0)..=bound(shard, u8::MAX));
        of_shard.filter(move |(_, entry)| entry.has_tag(tag) && entry.is_of(&owner))
    }

    /// The sessions whose ids follow `id`, live or expired; without it, all. In ascending order.
    pub(crate) fn behind(&self, id: Option<&SessionId>) -> impl Iterator<Item = (&SessionId, &Entry)> {
        self.sessions.range((id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// Removes up to `limit` expired sessions.
    pub(crate) fn remove_expired(&mut self, now: Timestamp, limit: usize) -> Vec<(SessionId, Entry)> {
        if now < self.earliest {
            return Vec::new();
        }
        let mut earliest = Timestamp::MAX;
        let expired = self.sessions.extract_if(.., |_, entry| {
            let expired = entry.is_expired(now);
            if !expired {
                earliest = earliest.min(entry.deadline());
            }
            expired
        });
        let removed: Vec<_> = expired.take(limit).collect();
        // With fewer than the limit, all sessions were visited.
        if removed.len() < limit {
            self.earliest = earliest;
        }
        removed
    }

    /// Removes the sessions whose memory may be freed.
    pub(crate) fn sweep(&mut self, second: u32) -> Vec<(SessionId, Entry)> {
        self.sessions.extract_if(.., |_, entry| entry.may_be_freed(second)).collect()
    }
}

/// The id of a shard whose other bytes are all `fill`.
fn bound(shard: u16, fill: u8) -> SessionId {
    let mut bytes = [fill; 16];
    bytes[..2].copy_from_slice(&shard.to_be_bytes());
    SessionId::from_bytes(bytes)
}
