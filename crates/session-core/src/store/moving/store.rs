//! [`MovingStore`]: what nodes have while sessions move.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;

use super::ticket::is_ticket;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{StoreError, StoreErrorKind};
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::reserved::Claim;
use crate::policy::limit::{LimitPolicy, SessionLimit};
use crate::store::contract::{
    CreateOutcome, CreateRequest, DeleteOutcome, Freshness, SessionStore, TouchOutcome, UpdateOutcome,
};
use crate::store::feed::{Feed, FollowError};
use crate::store::page::{Count, Cursor, Listing, Page};

/// Two stores, of which one is being left for the other: sessions go on while they move, and none is lost or comes back.
///
/// Each node of the application has a `MovingStore` of the same two stores, and **no node anything else**: one that knew the old
/// store alone would not find what has moved, and would take a session that is moving for one of its own. New sessions begin in
/// the new store. Those of the old one move when they are next written, listed or ended, and the others by
/// [`move_all`](Self::move_all). When that is through, the nodes can do without the old store. The manual has [the steps, and
/// what they cost](crate::manual::moving).
///
/// Records move as they are: version, times, timeouts, token, format, and values, which nobody decodes. With
/// [`EncryptedStore`](crate::store::EncryptedStore) and a cache, the `MovingStore` is inside: ciphertexts move without a key, and what
/// there is to tell of a session is told by the feed of the new store.
///
/// # How
/// A session is in the old store, then *claimed* there, then in the new one:
/// 1. A *ticket*, which is a record of no use to anyone, is created in the new store.
/// 2. The record in the old store is replaced by one that names the ticket, if it still has its version: the claim.
/// 3. The session is created in the new store, in exchange for that ticket, in one atomic step.
/// 4. The claimed record is deleted in the old store.
///
/// Everybody who finds a claimed record goes on with step 3. Who wants to change, list or end a session finishes its move first,
/// and works with the new store then.
///
/// # Why nothing is lost, and nothing comes back
/// - The old store gets no new session, and claims a session once: it compares versions. So there is one ticket that counts, and it
///   is there before it is named.
/// - A ticket is redeemed once. So a session is **inserted at most once, ever**, however late a mover that was stopped goes on:
///   what ended in the new store, by logout, eviction, revocation or time, stays ended.
/// - Step 4 is taken only when the ticket is gone. So what the old store does not have is not on its way either: the new store
///   alone knows it, and its order of calls is the order of all. Until step 2, nobody has changed the session, and the old store
///   is right.
/// - Each step leaves either a session in the old store, or a claimed one, from which any node can go on. The ticket lives as long
///   as the session can.
///
/// That also holds for limits: a login moves the user's other sessions first, and the new store counts all of them.
///
/// # What is different meanwhile
/// Visitors that have moved do not count for [the limit of visitors](crate::VisitorLimit), and do not end for others: the store
/// is not told which anonymous sessions are visitors. There may be twice as many as the limit, until those time out.
///
/// [`count`](SessionStore::count) and [`list_all`](SessionStore::list_all) may show a session twice while it moves, and one that has
/// ended, if it moved before and whoever moved it was stopped before step 4.
#[derive(Debug)]
pub struct MovingStore<F, T> {
    pub(super) from: Arc<F>,
    pub(super) to: Arc<T>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// The first moment that all stores know: nothing has expired then.
const LONG_AGO: Timestamp = Timestamp::from_millis(-(1 << 47));

impl<F: SessionStore, T: SessionStore> MovingStore<F, T> {
    /// The sessions of `from`, on their way to `to`. The stores must be two: of different servers, or namespaces.
    pub fn new(from: F, to: T) -> Self {
        Self { from: Arc::new(from), to: Arc::new(to), entropy: Arc::new(OsEntropy) }
    }

    /// Another source of the ids and versions of tickets than [`OsEntropy`].
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Moves the sessions of `user` that are live at `now`. Returns those that cannot be moved, because they cannot be read.
    async fn settle_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let Listing { sessions, mut unreadable } = self.from.list_by_user(user, now).await?;
        for session in sessions {
            match self.move_session(&session.id).await {
                Ok(_) => {}
                Err(error) if error.kind() == StoreErrorKind::Corrupt => unreadable.push(session.id),
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }
}

/// A handle to the same two stores.
impl<F, T> Clone for MovingStore<F, T> {
    fn clone(&self) -> Self {
        Self { from: Arc::clone(&self.from), to: Arc::clone(&self.to), entropy: Arc::clone(&self.entropy) }
    }
}

/// What finds the session in the new store costs one round trip, as ever. What does not, finishes the move, and asks once more.
#[async_trait]
impl<F: SessionStore, T: SessionStore> SessionStore for MovingStore<F, T> {
    /// That of the new store.
    fn name(&self) -> &'static str {
        self.to.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.to.load(id, freshness).await? {
            return Ok(Some(record));
        }
        let Some(stored) = self.from.load(id, Freshness::Latest).await? else {
            // It may have moved in between.
            return self.to.load(id, Freshness::Latest).await;
        };
        if !Claim::is_among(&stored.data) {
            // Nobody has changed it, and to read is not to write.
            return Ok(Some(Record { replaces: None, ..stored }));
        }
        self.move_session(id).await?;
        self.to.load(id, Freshness::Latest).await
    }

    async fn create(&self, mut request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (user, mut has_no_place_for) = (request.record.user(), None);
        match user {
            Some(user) => {
                let unreadable = self.settle_user(user, now).await?;
                if let Some(limit) = request.limit.filter(|_| !unreadable.is_empty()) {
                    let taken = u32::try_from(unreadable.len()).unwrap_or(u32::MAX);
                    match (NonZeroU32::new(limit.max.get().saturating_sub(taken)), limit.at_limit) {
                        (Some(max), _) => request.limit = Some(SessionLimit { max, ..limit }),
                        (None, LimitPolicy::Reject) => return Ok(CreateOutcome::LimitReached),
                        (None, LimitPolicy::EvictOldest | LimitPolicy::EvictLeastRecent) => {
                            has_no_place_for = Some(user)
                        }
                    }
                }
            }
            None => {
                self.move_session(&request.record.id()).await?;
            }
        }
        if let Some(replaced) = request.replaces.filter(|replaced| replaced.user.is_none() || replaced.user != user) {
            self.move_session(&replaced.id).await?;
        }
        let mut outcome = self.to.create(request, now).await?;
        if let (CreateOutcome::Created { evicted }, Some(user)) = (&mut outcome, has_no_place_for) {
            // All that can be read has moved: these are the others.
            evicted.extend(self.from.delete_by_user(user, None, now).await?.ids());
        }
        Ok(outcome)
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        match self.to.update(record, expected, now).await? {
            UpdateOutcome::Absent => {
                self.move_session(&record.id()).await?;
                self.to.update(record, expected, now).await
            }
            outcome @ (UpdateOutcome::Applied | UpdateOutcome::Conflict) => Ok(outcome),
        }
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        match self.to.touch(id, user, now).await? {
            TouchOutcome::Absent => {
                self.move_session(id).await?;
                self.to.touch(id, user, now).await
            }
            TouchOutcome::Applied => Ok(TouchOutcome::Applied),
        }
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        // First, because a store may remember what was to be deleted, and not let it in.
        match self.move_session(id).await {
            Ok(_) => self.to.delete(id, user).await,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => self.from.delete(id, user).await,
            Err(error) => Err(error),
        }
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let unreadable = self.settle_user(user, now).await?;
        let mut listing = self.to.list_by_user(user, now).await?;
        listing.unreadable.extend(unreadable);
        Ok(listing)
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        // Also those that have expired, by the clock of this node.
        let unreadable = self.settle_user(user, LONG_AGO).await?;
        let mut listing = self.to.delete_by_user(user, keep, now).await?;
        if unreadable.iter().any(|id| Some(id) != keep) {
            // All that can be read has moved.
            listing.unreadable.extend(self.from.delete_by_user(user, keep, now).await?.ids());
        }
        Ok(listing)
    }

    /// The sessions of the old store, then those of the new one: what moves meanwhile comes later.
    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let place = after.map(|after| after.as_str().split_once('.').ok_or_else(Cursor::invalid)).transpose()?;
        let mut page = match place {
            None => self.from.list_all(None, limit, now).await?,
            Some((OLD, after)) => self.from.list_all(Some(&Cursor::new(after)), limit, now).await?,
            Some((NEW, "")) => return self.page_of_new(None, limit, now).await,
            Some((NEW, after)) => return self.page_of_new(Some(&Cursor::new(after)), limit, now).await,
            Some(_) => return Err(Cursor::invalid()),
        };
        if page.next.is_none() && page.listing.sessions.is_empty() && page.listing.unreadable.is_empty() {
            return self.page_of_new(None, limit, now).await;
        }
        page.next = Some(match page.next {
            Some(next) => Cursor::new(format!("{OLD}.{}", next.as_str())),
            None => Cursor::new(format!("{NEW}.")),
        });
        Ok(page)
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        let (old, new) = (self.from.count(now).await?, self.to.count(now).await?);
        let sessions = old.sessions.saturating_add(new.sessions);
        Ok(if old.sessions == 0 { Count { sessions, ..new } } else { Count::estimated(sessions) })
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let deleted = self.from.delete_expired(now, limit).await?;
        let left = u32::try_from(deleted).unwrap_or(u32::MAX);
        match NonZeroU32::new(limit.get().saturating_sub(left)) {
            Some(left) => Ok(deleted + self.to.delete_expired(now, left).await?),
            None => Ok(deleted),
        }
    }

    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        // What changes a session moves it first.
        self.to.follow()
    }
}

/// Which store a cursor is of.
const OLD: &str = "old";
const NEW: &str = "new";

impl<F: SessionStore, T: SessionStore> MovingStore<F, T> {
    async fn page_of_new(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let mut page = self.to.list_all(after, limit, now).await?;
        page.listing.sessions.retain(|session| !is_ticket(session));
        page.next = page.next.map(|next| Cursor::new(format!("{NEW}.{}", next.as_str())));
        Ok(page)
    }
}
