//! [`CachedStore`]: the operations.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Feed, FollowError, Freshness, Listing, Page, Record, SessionStore,
    TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::cache::{Cache, UnderWay};
use crate::follow::Follower;
use crate::stats::CacheStats;

/// A store with copies of its sessions in this process in front of it. Cheap to clone: clones share the copies.
///
/// What it promises, and how to choose the numbers, is said in [the manual](session_core::manual::cache).
#[derive(Debug)]
pub struct CachedStore<S> {
    inner: Arc<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S> {
    store: S,
    cache: Arc<Cache>,
    follower: Follower,
    has_feed: bool,
}

impl<S> Clone for CachedStore<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: SessionStore> CachedStore<S> {
    pub(crate) fn with(store: S, cache: Arc<Cache>, follower: Follower, has_feed: bool) -> Self {
        Self { inner: Arc::new(Inner { store, cache, follower, has_feed }) }
    }

    /// What the cache did, and what it has. No round trip.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats::of(&self.inner.cache, self.inner.has_feed)
    }

    /// The store behind the cache. What is written there is not known here before the feed tells, or `max_stale` is over.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// The copy that a request would be given.
    #[cfg(test)]
    pub(crate) fn copy(&self, id: &SessionId) -> Option<Record> {
        self.inner.cache.get(id)
    }

    /// How many operations are under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.inner.cache.under_way()
    }

    fn cache(&self) -> &Cache {
        self.inner.follower.ensure();
        &self.inner.cache
    }
}

/// What is written here is known here at once, whatever the feed says. A write that got no answer may have been done.
#[async_trait]
impl<S: SessionStore> SessionStore for CachedStore<S> {
    fn name(&self) -> &'static str {
        self.inner.store.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let cache = self.cache();
        if freshness == Freshness::Cached
            && let Some(copy) = cache.look_up(id)
        {
            return Ok(Some(copy));
        }
        let load = cache.begin_load(*id);
        // A copy of a copy would be older than it seems.
        let loaded = self.inner.store.load(id, Freshness::Latest).await;
        match &loaded {
            Ok(Some(record)) if record.id() == *id => load.found(record.clone()),
            Ok(Some(_)) => load.unchanged(),
            Ok(None) => load.missing(),
            // It was changed by who knows another format.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => load.in_doubt(),
            Err(_) => load.unchanged(),
        }
        loaded
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (cache, record) = (self.cache(), request.record);
        let write = cache.begin_write(record.id());
        let replaced = request.replaces.map(|replaces| cache.begin_write(replaces.id));
        // A limit ends sessions that are known by the answer alone.
        let evicts = Unless { cache, shard: request.limit_of_owner().map(|_| record.id().shard()) };
        let created = self.inner.store.create(request, now).await;
        match &created {
            Ok(CreateOutcome::Created { evicted }) => {
                write.found(written(record));
                replaced.into_iter().for_each(UnderWay::absent);
                evicted.iter().for_each(|id| cache.ended(*id));
                evicts.known();
            }
            Ok(CreateOutcome::ReplacedAbsent) => {
                write.unchanged();
                replaced.into_iter().for_each(UnderWay::absent);
                evicts.known();
            }
            Ok(CreateOutcome::ReplacedChanged) => {
                write.unchanged();
                replaced.into_iter().for_each(UnderWay::in_doubt);
                evicts.known();
            }
            Ok(CreateOutcome::IdTaken | CreateOutcome::LimitReached) => {
                write.unchanged();
                replaced.into_iter().for_each(UnderWay::unchanged);
                evicts.known();
            }
            Err(_) => {}
        }
        created
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let write = self.cache().begin_write(record.id());
        let updated = self.inner.store.update(record, expected, now).await?;
        match updated {
            UpdateOutcome::Applied => write.found(written(record)),
            UpdateOutcome::Conflict => write.in_doubt(),
            UpdateOutcome::Absent => write.absent(),
        }
        Ok(updated)
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let cache = self.cache();
        let touched = self.inner.store.touch(id, user, now).await?;
        match touched {
            TouchOutcome::Applied => cache.touched(*id, now),
            // Or it is another user's.
            TouchOutcome::Absent => cache.changed(*id, None),
        }
        Ok(touched)
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let write = self.cache().begin_write(*id);
        let deleted = self.inner.store.delete(id, user).await?;
        match deleted {
            DeleteOutcome::Deleted => write.absent(),
            // Or it is another user's.
            DeleteOutcome::Absent => write.in_doubt(),
        }
        Ok(deleted)
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        self.inner.store.list_by_user(user, now).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let cache = self.cache();
        // Whatever the answer: if a driver asked twice, it names none of those that ended.
        let _flush = Unless { cache, shard: Some(user.shard()) };
        let deleted = self.inner.store.delete_by_user(user, keep, now).await?;
        deleted.ids().into_iter().for_each(|id| cache.ended(id));
        Ok(deleted)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        self.inner.store.list_all(after, limit, now).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.inner.store.count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.inner.store.delete_expired(now, limit).await
    }

    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        self.inner.store.follow()
    }
}

/// What the store has after it was told to write `record`. What it had before is not what it has now.
fn written(record: &Record) -> Record {
    Record { replaces: None, is_copy: false, ..record.clone() }
}

/// Drops all copies of a shard, unless it is known which sessions ended.
struct Unless<'c> {
    cache: &'c Cache,
    shard: Option<u16>,
}

impl Unless<'_> {
    fn known(mut self) {
        self.shard = None;
    }
}

impl Drop for Unless<'_> {
    fn drop(&mut self) {
        if let Some(shard) = self.shard {
            self.cache.flush(shard);
        }
    }
}
