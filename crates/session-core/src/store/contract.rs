//! The contract between `session-core` and a storage backend.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;

use super::feed::{Feed, FollowError};
use super::page::{Count, Cursor, Listing, Page};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::policy::limit::SessionLimit;
use crate::policy::visitors::VisitorLimit;

/// Where sessions are kept. Applications use [`SessionManager`](crate::SessionManager); this trait is for backends.
///
/// # Contract
/// A backend has no opinions: it makes a decision atomic and durable. `cargo xtask conformance` proves that it does.
///
/// 1. Every method is **atomic** and linearizable per session, and one round trip in the common case.
/// 2. **Time is an argument.** A backend reads no clock to decide anything; a physical time to live is garbage
///    collection only, and never earlier than [`Record::deadline`].
/// 3. A record is **expired** when `now >= record.deadline()`. To every method that takes `now`, an expired record is
///    absent. `load` does not judge, and the deletions delete what is there.
/// 4. Expected outcomes are `Ok` values. [`StoreError`] means that the store failed, and says nothing about the session.
/// 5. A write may have been applied although its caller got an error, and clients of databases repeat commands:
///    **every method is idempotent**: repeated with the same arguments, it has no further effect. A repeated `create` or
///    `update` answers as the first time (evictions need not be reported again), a repeated deletion that there is
///    nothing to delete. **What was ended stays ended**: a `create` that is repeated or arrives late does not bring back
///    a session that was deleted, evicted or replaced meanwhile. A store whose driver repeats commands by itself, or whose
///    server may execute a command after its caller gave up, remembers the id for as long as that can happen, also that of
///    a `delete` which found nothing, and answers [`CreateOutcome::IdTaken`].
/// 6. Dropping the future at any await leaves the state before the call or the state after it. It costs no connection:
///    a server never has more connections of a store than the store was given.
/// 7. `last_seen` never moves backwards, whatever overtakes what.
/// 8. The user of an id never changes: login creates a new id. It lies in the user's [shard](UserId::shard).
/// 9. A record of a **format** that this version does not know is left exactly as it is, with its time to live, and hides no
///    other: in lists it is [`unreadable`](Listing::unreadable), it counts towards the session limit, and only a deletion
///    or an eviction ends it.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// A short name, for errors and reports: `moka`, `redis`, `postgres`.
    fn name(&self) -> &'static str;

    /// Reads the record of `id` as it is stored. One round trip.
    ///
    /// An expired record may be returned or not: whether a session is alive is decided by
    /// [`verdict`](crate::verdict), from the record and the policy, not by a store. A store without copies ignores
    /// `freshness`: what it returns is always the latest.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`](crate::StoreErrorKind::Corrupt) if what is stored cannot be decoded. It is left as it is.
    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError>;

    /// Inserts `request.record`, optionally in exchange for another session, optionally under a limit. One atomic
    /// step, one round trip.
    ///
    /// In this order:
    /// 1. A record with the same id that has the same version is this call, repeated: [`CreateOutcome::Created`].
    ///    With another version and not expired, or ended a moment ago: [`CreateOutcome::IdTaken`].
    /// 2. `replaces` names a session and a version. Absent (or expired): [`CreateOutcome::ReplacedAbsent`]. Another version:
    ///    [`CreateOutcome::ReplacedChanged`].
    /// 3. `limit`: the user's live sessions are counted, without the replaced one. If there is no room,
    ///    [`CreateOutcome::LimitReached`] or eviction, as the limit says.
    /// 4. `visitors`: if the record is anonymous and there are as many of those as the limit allows, the least recently used
    ///    of them are evicted. A store in one process counts them all; a shared one counts those of the record's shard
    ///    against [`VisitorLimit::of_shard`], and may be wrong by as many as are created at once. What was created without
    ///    such a limit is no visitor: it neither counts nor ends.
    /// 5. The record is inserted, the replaced and evicted ones are deleted.
    ///
    /// A store that is full ends a visitor, in another shard than that of the record if it can, before it refuses the record
    /// of a user: visitors keep nobody out.
    ///
    /// Except for `Created`, nothing is changed. A store that keeps the two sessions in different places (a Redis
    /// Cluster) inserts first and deletes second, so that a crash in between loses nothing.
    ///
    /// # Errors
    /// [`StoreErrorKind::Full`](crate::StoreErrorKind::Full) if the store has a quota, it is used up, and no visitor is left to
    /// end.
    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError>;

    /// Replaces the record of `record.id` by `record`, if the stored version is `expected`. Never inserts. One round trip.
    ///
    /// A stored version equal to `record.version` is this call, repeated: [`UpdateOutcome::Applied`]. The stored `last_seen`
    /// becomes the later of the stored and the given one. A server that compares whole values may be asked to compare with
    /// [`record.replaces`](Record::replaces) first; a record that was only touched since then is no conflict.
    ///
    /// # Errors
    /// If the store failed.
    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError>;

    /// Moves `last_seen` forward to `now`, and with it the idle deadline. Never inserts, never changes the version or
    /// anything else. One round trip.
    ///
    /// `user` is the owner of the session, so that an index by user can follow.
    ///
    /// # Errors
    /// If the store failed.
    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError>;

    /// Deletes the record of `id` if it belongs to `user` (`None`: if it is anonymous). The session of another user is
    /// left alone and answered as [`DeleteOutcome::Absent`]. One round trip.
    ///
    /// # Errors
    /// If the store failed. The record may be gone all the same.
    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError>;

    /// All live sessions of `user`, in no particular order, without their values: those do not leave the server. One round
    /// trip.
    ///
    /// A record that cannot be decoded hides no other: its id is in [`Listing::unreadable`].
    ///
    /// # Errors
    /// If the store failed.
    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError>;

    /// Deletes all sessions of `user` but `keep`, live or expired, including any whose login was acknowledged before this
    /// call. Returns those of them that were live at `now`, as [`list_by_user`](Self::list_by_user) would have: whether one
    /// was alive under the policy, too, is decided by [`verdict`](crate::verdict), not by a store. One round trip.
    ///
    /// A record that cannot be decoded ends, too: its id is in [`Listing::unreadable`].
    ///
    /// # Errors
    /// If the store failed. Some or all may be gone.
    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError>;

    /// A page of all live sessions, of every user and of none, in no particular order, without their values: for
    /// administration. `after` is [`Page::next`] of the page before; `None` begins. One round trip, or a few where the servers
    /// have no index of all sessions.
    ///
    /// A session that lives from the first page to the last is on at least one of them. One that begins or ends meanwhile may
    /// be on none, so may one that moves to another server of a Cluster, and a store may show a session twice. A page takes time in proportion to `limit`, which is about how many
    /// sessions it has, and not to how many there are.
    ///
    /// # Errors
    /// [`StoreErrorKind::InvalidCursor`](crate::StoreErrorKind::InvalidCursor): [`Cursor::invalid`]. Or the store failed.
    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError>;

    /// How many sessions are live: exact, or an estimate where counting would take long. A bounded number of round trips.
    ///
    /// # Errors
    /// If the store failed.
    async fn count(&self, now: Timestamp) -> Result<Count, StoreError>;

    /// Deletes at most `limit` expired records and returns how many. Storage hygiene: correctness never depends on it.
    /// Returns 0 where the store expires records itself.
    ///
    /// # Errors
    /// If the store failed.
    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError>;

    /// Begins to follow what happens to the sessions of this store, whoever does it: for a cache in front of it. `None` if the
    /// store cannot tell. No round trip; a feed connects in the background.
    ///
    /// A store in front of another one passes this on, if what it is told of are the same sessions.
    ///
    /// # Errors
    /// If it could tell, but was not opened for that; the text says how.
    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        Ok(None)
    }
}

/// How fresh the answer of [`SessionStore::load`] must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A copy will do, if its store guarantees a bound on its age: the session of a request.
    Cached,
    /// The store itself must be asked: a decision rests on it, or a copy was found to be outdated.
    Latest,
}

/// What [`SessionStore::create`] is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest<'a> {
    /// The record to insert.
    pub record: &'a Record,
    /// A session that ends in exchange, if it still has this version.
    pub replaces: Option<Replacement<'a>>,
    /// How many sessions the user of `record` may have. Ignored for an anonymous one.
    pub limit: Option<SessionLimit>,
    /// How many anonymous sessions there may be.
    pub visitors: Option<VisitorLimit>,
}

/// The session that a login replaces.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// Its id.
    pub id: SessionId,
    /// Its user.
    pub user: Option<&'a UserId>,
    /// The version it must still have.
    pub version: Version,
}

impl<'a> CreateRequest<'a> {
    /// Inserts `record`, whatever else there is.
    #[must_use]
    pub const fn new(record: &'a Record) -> Self {
        Self { record, replaces: None, limit: None, visitors: None }
    }

    /// Ends `session` in exchange.
    #[must_use]
    pub const fn replacing(self, session: Replacement<'a>) -> Self {
        Self { replaces: Some(session), ..self }
    }

    /// Keeps the user's sessions within `limit`.
    #[must_use]
    pub const fn within(self, limit: SessionLimit) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Keeps anonymous sessions within `visitors`.
    #[must_use]
    pub const fn among(self, visitors: VisitorLimit) -> Self {
        Self { visitors: Some(visitors), ..self }
    }

    /// The limit of visitors, if `record` is one: anonymous, and created under it.
    #[must_use]
    pub fn visitor(&self) -> Option<VisitorLimit> {
        self.visitors.filter(|_| self.record.user().is_none())
    }

    /// The limit of those that `record` counts among: its user's sessions, or the visitors of its shard.
    #[must_use]
    pub fn limit_of_owner(&self) -> Option<SessionLimit> {
        match self.record.user() {
            Some(_) => self.limit,
            None => self.visitor().map(|visitors| visitors.of_shard()),
        }
    }
}

impl<'a> Replacement<'a> {
    /// `record`, as it is.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        Self { id: record.id(), user: record.user(), version: record.version }
    }
}

/// Outcome of [`SessionStore::create`].
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The record is stored.
    Created {
        /// The sessions that had to go to make room. One in another shard than the record is a visitor.
        evicted: Vec<SessionId>,
    },
    /// The id is taken. Nothing was changed.
    IdTaken,
    /// The user has as many sessions as the limit allows, and the limit says to reject. Nothing was changed.
    LimitReached,
    /// The session to replace has another version. Nothing was changed.
    ReplacedChanged,
    /// There is no session to replace. Nothing was changed.
    ReplacedAbsent,
}

/// Outcome of [`SessionStore::update`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// The record is stored.
    Applied,
    /// The stored version is another one. Nothing was changed.
    Conflict,
    /// There is no such live session. Nothing was changed.
    Absent,
}

/// Outcome of [`SessionStore::touch`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchOutcome {
    /// `last_seen` is at least `now`.
    Applied,
    /// There is no such live session. Nothing was changed.
    Absent,
}

/// Outcome of [`SessionStore::delete`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The record was there and is gone.
    Deleted,
    /// There was no such record.
    Absent,
}

/// A shared store is a store. Costs one allocation per call.
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        (**self).load(id, freshness).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        (**self).create(request, now).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        (**self).update(record, expected, now).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        (**self).touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        (**self).delete(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        (**self).list_by_user(user, now).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        (**self).delete_by_user(user, keep, now).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        (**self).list_all(after, limit, now).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        (**self).count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        (**self).delete_expired(now, limit).await
    }

    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        (**self).follow()
    }
}
