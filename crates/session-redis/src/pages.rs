//! All sessions of the servers: a page at a time, and how many there are.
//!
//! There is no index of all sessions, which every login would have to write. `SCAN` finds their keys, one primary after
//! the other.

use std::num::NonZeroU32;

use redis::{FromRedisValue as _, Value};
use session_core::store::{Count, Cursor, Listing, Page};
use session_core::{Namespace, SessionId, Timestamp};

use crate::RedisStore;
use crate::error::{self, Result};
use crate::link::SLOTS;
use crate::script::{self, Keys, add_live, bytes, text};

/// How many keys one `SCAN` looks at: it holds up the others for about as many microseconds. And how many sessions a page is
/// to have, if more are asked for: it ends in time.
const AT_ONCE: u32 = 1000;
/// How often a page scans at most.
const SCANS: usize = 16;
/// A page that has this part of its sessions scans no further. Half of the keys are those of sessions if each user has
/// one, the others are indexes: to fill a page would take ten scans, each for half of what is missing.
const ENOUGH: u32 = 4;

/// As many keys of a server are counted one by one, which takes it a few milliseconds.
const FEW: u32 = 10_000;
/// Of more, as many are looked at. The estimate of `n` sessions among `k` keys is off by about √(k / n) · 3 %.
const SAMPLE: u32 = 1000;

/// Where a page begins, as text `namespace.slot.server.cursor`.
#[derive(Default)]
struct Place {
    /// The lowest slot of the server.
    slot: u16,
    /// What the server calls itself. Empty at its beginning.
    server: String,
    cursor: u64,
}

impl Place {
    /// Nothing if the cursor is one of another application: it would skip some of our sessions.
    fn read(cursor: &Cursor, of: &Namespace) -> Option<Self> {
        let [namespace, slot, server, cursor] = cursor.as_str().split('.').collect::<Vec<_>>()[..] else { return None };
        if namespace != of.as_str() {
            return None;
        }
        let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
        let is_id = server.len() <= 64 && server.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then_some(Self { slot, server: server.to_owned(), cursor: cursor.parse().ok()? })
    }

    fn write(&self, of: &Namespace) -> Cursor {
        Cursor::new(format!("{of}.{}.{}.{}", self.slot, self.server, self.cursor))
    }
}

/// What a search needs to know of keys.
impl Keys {
    /// What all keys begin with, up to the shard.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        format!("{{{}:", self.0).into()
    }

    /// The session that this is the key of.
    pub(crate) fn id_in(&self, key: &[u8]) -> Option<SessionId> {
        let name = key.rsplit(|byte| *byte == b':').next()?;
        let id = std::str::from_utf8(name).ok()?.parse().ok()?;
        (self.session(&id) == key).then_some(id)
    }
}

impl RedisStore {
    /// `list_all`. One round trip, and one more in a Cluster; up to 16 where few keys are those of sessions.
    pub(crate) async fn page(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page> {
        let place = after.map_or_else(|| Some(Place::default()), |after| Place::read(after, &self.keys.0));
        let mut place = place.ok_or_else(Cursor::invalid)?;
        let servers = self.link.servers().await?;
        let (limit, mut listing) = (limit.get().min(AT_ONCE), Listing::default());
        for _ in 0..SCANS {
            let Some(&slot) = servers.range(place.slot..).next() else { break };
            if slot != place.slot {
                place = Place { slot, ..Place::default() };
            }
            let (server, count) = (place.server.into(), text(limit));
            let args = vec![server, text(place.cursor), self.keys.prefix(), count];
            let answer = self.link.run_on(slot, &script::PAGE, args).await?;
            let [_, cursor, found @ ..] = &answer.0[..] else { return Err(error::unexpected_reply()) };
            for [key, record] in found.as_chunks().0 {
                let Some(id) = bytes(key).and_then(|key| self.keys.id_in(key)) else { continue };
                match bytes(record) {
                    Some(record) => add_live(&mut listing, id, record, now)?,
                    // It is moving to another server: asked for by name, it is found.
                    None => add_live(&mut listing, id, &self.link.load(self.keys.session(&id)).await?, now)?,
                }
            }
            place = match u64::from_redis_value_ref(cursor).map_err(|_| error::unexpected_reply())? {
                0 => Place { slot: slot + 1, ..Place::default() },
                cursor => Place { slot, server: answer.word().to_owned(), cursor },
            };
            if listing.sessions.len() >= limit.div_ceil(ENOUGH) as usize {
                break;
            }
        }
        let follows = servers.range(place.slot..).next().is_some();
        Ok(Page::new(listing, follows.then(|| place.write(&self.keys.0))))
    }

    /// `count`. One round trip for each server, and one more in a Cluster.
    pub(crate) async fn count_live(&self, now: Timestamp) -> Result<Count> {
        let mut sum = Count::exact(0);
        for slot in self.link.servers().await? {
            let args = vec![text(now.as_millis()), self.keys.prefix(), text(FEW), text(SAMPLE)];
            let answer = self.link.run_on(slot, &script::COUNT, args).await?;
            let [Value::Int(sessions), Value::Int(is_exact)] = &answer.0[..] else {
                return Err(error::unexpected_reply());
            };
            sum.sessions += u64::try_from(*sessions).map_err(|_| error::unexpected_reply())?;
            sum.is_exact &= *is_exact == 1;
        }
        Ok(sum)
    }
}
