//! All sessions of the servers: a page at a time, and how many there are.
//!
//! There is no index of all sessions, which every login would have to write. `SCAN` finds their keys, one primary after the
//! other.

use std::num::NonZeroU32;

use redis::{FromRedisValue as _, Value};
use session_core::Timestamp;
use session_core::store::{Count, Cursor, Listing, Page};

use crate::RedisStore;
use crate::error::{self, Result};
use crate::script::{self, add_live, bytes, text};

/// How many keys one `SCAN` looks at: it holds up the others for about as many microseconds.
const AT_ONCE: u32 = 1000;
/// How often a page tries to find more, where most keys are not those of sessions.
const SCANS: usize = 16;

/// As many keys of a server are counted one by one, which takes it a few milliseconds.
const FEW: u32 = 10_000;
/// Of more, as many are looked at. The estimate of `n` sessions among `k` keys is off by about √(k / n) · 3 %.
const SAMPLE: u32 = 1000;

/// Where the next page begins, as text `slot.server.cursor`.
struct Place {
    /// The lowest slot of the server.
    slot: u16,
    /// What the server calls itself. Empty at its beginning.
    server: String,
    cursor: u64,
}

impl Place {
    const fn beginning_of(slot: u16) -> Self {
        Self { slot, server: String::new(), cursor: 0 }
    }

    fn read(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.as_str().split('.');
        let (slot, server, cursor) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.parse().ok()?);
        let is_whole =
            parts.next().is_none() && server.len() <= 64 && server.bytes().all(|b| b.is_ascii_alphanumeric());
        is_whole.then(|| Self { slot, server: server.to_owned(), cursor })
    }

    fn write(&self) -> Cursor {
        Cursor::new(format!("{}.{}.{}", self.slot, self.server, self.cursor))
    }
}

impl RedisStore {
    /// `list_all`. One round trip, and one more in a Cluster; up to 16 where most keys are not those of sessions.
    pub(crate) async fn page(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page> {
        let mut place = match after {
            Some(cursor) => Place::read(cursor).ok_or_else(Cursor::invalid)?,
            None => Place::beginning_of(0),
        };
        let (servers, pattern) = (self.link.servers().await?, self.keys.sessions());
        let mut listing = Listing::default();
        for _ in 0..SCANS {
            let Some(slot) = servers.range(place.slot..).next() else { return Ok(Page::new(listing, None)) };
            if *slot != place.slot {
                place = Place::beginning_of(*slot);
            }
            let missing = limit.get().saturating_sub(listing.sessions.len() as u32);
            if missing == 0 {
                break;
            }
            let args = vec![text(&place.server), text(place.cursor), text(&pattern), text(missing.min(AT_ONCE))];
            let answer = self.link.run_on(*slot, &script::PAGE, args).await?;
            let [_, cursor, found @ ..] = answer.parts() else { return Err(error::unexpected_reply()) };
            for pair in found.chunks(2) {
                let [key, record] = pair else { return Err(error::unexpected_reply()) };
                self.add_found(&mut listing, key, record, now).await?;
            }
            place.cursor = u64::from_redis_value_ref(cursor).map_err(|_| error::unexpected_reply())?;
            place.server = answer.word().to_owned();
            if place.cursor == 0 {
                let Some(next) = slot.checked_add(1) else { return Ok(Page::new(listing, None)) };
                place = Place::beginning_of(next);
            }
        }
        let follows = servers.range(place.slot..).next().is_some();
        Ok(Page::new(listing, follows.then(|| place.write())))
    }

    /// Adds what `SCAN` found, unless it is no live session.
    async fn add_found(&self, listing: &mut Listing, key: &Value, record: &Value, now: Timestamp) -> Result<()> {
        let key = bytes(key).ok_or_else(error::unexpected_reply)?;
        let Some(id) = self.keys.id_in(key) else { return Ok(()) };
        match bytes(record) {
            Some(record) => add_live(listing, id, record, now),
            // It is moving to another server: asked for by name, it is found.
            None => add_live(listing, id, &self.link.load(key.to_vec()).await?, now),
        }
    }

    /// `count`. One round trip for each server, and one more in a Cluster.
    pub(crate) async fn count_live(&self, now: Timestamp) -> Result<Count> {
        let mut sum = Count::exact(0);
        for slot in self.link.servers().await? {
            let patterns = [self.keys.sessions(), self.keys.sessions_in_lua()].map(text);
            let args = [text(now.as_millis())].into_iter().chain(patterns).chain([text(FEW), text(SAMPLE)]).collect();
            let answer = self.link.run_on(slot, &script::COUNT, args).await?;
            let [Value::Int(sessions), Value::Int(is_exact)] = answer.parts() else {
                return Err(error::unexpected_reply());
            };
            sum.sessions += u64::try_from(*sessions).map_err(|_| error::unexpected_reply())?;
            sum.is_exact &= *is_exact == 1;
        }
        Ok(sum)
    }
}
