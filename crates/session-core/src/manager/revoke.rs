//! A user's sessions: listed, and ended.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use super::SessionManager;
use crate::clock::Timestamp;
use crate::decide::verdict::{Verdict, verdict};
use crate::error::{Error, StoreErrorKind};
use crate::event::{EventKind, Termination};
use crate::measurement::Measurement;
use crate::model::id::{SessionId, UserId};
use crate::model::record::Record;
use crate::model::summary::SessionSummary;
use crate::model::token::Kind;
use crate::store::contract::DeleteOutcome;
use crate::store::page::{Count, Cursor, Listing, Page};

impl SessionManager {
    /// The live sessions of `user`, most recently used first. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn list(&self, user: &UserId) -> Result<Vec<SessionSummary>, Error> {
        let mut sessions = self.list_stored(user).await?.sessions;
        self.show(&mut sessions);
        sessions.sort_by_key(|session| (Reverse(session.last_seen), session.id));
        Ok(sessions)
    }

    /// A page of all live sessions, of every user and of visitors, in no particular order: for an administrator. `after` is
    /// [`Page::next`] of the page before, or `None` for the first; about `limit` sessions. Round trips:
    /// [`SessionStore::list_all`](crate::store::SessionStore::list_all).
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed, [`Error::InvalidCursor`].
    pub async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32) -> Result<Page, Error> {
        let store = self.store("list_all")?;
        let page = async {
            match store.list_all(after, limit, self.now()).await {
                Err(error) if error.kind() == StoreErrorKind::InvalidCursor => Ok(None),
                page => page.map(Some),
            }
        };
        let mut page = self.store_call("list_all", page).await?.ok_or(Error::InvalidCursor)?;
        self.report_unreadable("list_all", &page.listing.unreadable, None);
        // Tickets, and what may happen once: they are no sessions.
        page.listing.sessions.retain(|session| session.kind != Kind::Refresh || session.user().is_some());
        self.show(&mut page.listing.sessions);
        Ok(page)
    }

    /// How many live sessions the store has: exact or an estimate, as [`Count::is_exact`] says. A few round trips at most.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn count(&self) -> Result<Count, Error> {
        let count = self.store_call("count", self.store("count")?.count(self.now())).await?;
        self.measure(Measurement::Counted { sessions: count.sessions });
        Ok(count)
    }

    /// Ends the session `id` if it belongs to `user`; that of another user is [`DeleteOutcome::Absent`]. One round trip.
    ///
    /// A store deletes what it has. A session that is past a deadline and still stored is [`DeleteOutcome::Deleted`], and
    /// reported as ended, although it was dead before; [`list`](Self::list) does not show it.
    ///
    /// For the session of the current request, use [`Session::logout`](crate::Session::logout) instead: it removes the
    /// cookie too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent.
    pub async fn revoke(&self, user: &UserId, id: &SessionId) -> Result<DeleteOutcome, Error> {
        self.end(id, Some(user), Termination::Revoked).await
    }

    /// Ends the session `id` of a visitor; that of a user is [`DeleteOutcome::Absent`]. One round trip. For an administrator: an
    /// anonymous session has no owner who could end it, so the caller decides who may.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke). Idempotent.
    pub async fn revoke_visitor(&self, id: &SessionId) -> Result<DeleteOutcome, Error> {
        self.end(id, None, Termination::Revoked).await
    }

    /// Ends all sessions of `user` but `keep`. Returns how many of them were alive; those that could not be read may have
    /// been. One round trip; two in Redis.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent.
    pub async fn revoke_others(&self, user: &UserId, keep: &SessionId) -> Result<usize, Error> {
        self.delete_by_user(user, Some(keep)).await
    }

    /// Ends all sessions of `user`: logout everywhere, after a change of password or the end of an account. Returns how
    /// many of them were alive; those that could not be read may have been. One round trip; two in Redis.
    ///
    /// For the user of the current request, log out and commit first: that removes the cookie too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent.
    pub async fn revoke_all(&self, user: &UserId) -> Result<usize, Error> {
        self.delete_by_user(user, None).await
    }

    /// Deletes up to `limit` expired records from the store and returns how many. Hygiene for stores that do not expire
    /// records themselves; sessions expire on time without it. [`sweep`](Self::sweep) calls it regularly.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn delete_expired(&self, limit: NonZeroU32) -> Result<u64, Error> {
        let delete = self.inner.backing.delete_expired(self.now(), limit);
        let records = self.store_call("delete_expired", delete).await?;
        self.measure(Measurement::Deleted { records });
        Ok(records)
    }

    /// Ends a session whose record was read.
    pub(super) async fn terminate(&self, record: &Record, why: Termination) -> Result<DeleteOutcome, Error> {
        self.end(&record.id(), record.user(), why).await
    }

    /// Deletes the sessions of a user that are dead by the policy alone, which a store does not know: the policy was
    /// tightened after they began. Returns whether there were any.
    pub(super) async fn delete_dead(&self, user: Option<&UserId>) -> Result<bool, Error> {
        let Some(user) = user else { return Ok(false) };
        let now = self.now();
        let mut sessions = self.list_stored(user).await?.sessions;
        sessions.retain(|session| verdict(session, self.policy(), now) != Verdict::Live);
        for dead in &sessions {
            let _ = self.store_call("delete", self.store("delete")?.delete(&dead.id, Some(user))).await?;
        }
        Ok(!sessions.is_empty())
    }

    async fn end(&self, id: &SessionId, user: Option<&UserId>, why: Termination) -> Result<DeleteOutcome, Error> {
        let (manager, id, user) = (self.clone(), *id, user.cloned());
        let work = async move {
            let _ = manager.store("delete")?;
            let now = manager.now();
            manager.delete(id, user, now + manager.policy().longest_timeout(), why, now).await
        };
        self.persist(work).await
    }

    /// Deletes a session of which no copy can be alive from `dead_from` on, and reports its end.
    pub(super) async fn delete(
        &self,
        id: SessionId,
        user: Option<UserId>,
        dead_from: Timestamp,
        why: Termination,
        now: Timestamp,
    ) -> Result<DeleteOutcome, Error> {
        let delete = || self.inner.backing.delete(&id, user.as_ref(), dead_from, now);
        Ok(match self.store_write("delete", delete).await? {
            // Absent when it was asked again: by then it was deleted.
            (DeleteOutcome::Deleted, _) | (DeleteOutcome::Absent, Some(_)) => {
                self.report(self.inner.backing.end(why), Some(id), user);
                DeleteOutcome::Deleted
            }
            (DeleteOutcome::Absent, None) => DeleteOutcome::Absent,
        })
    }

    /// Those that the store takes for alive. What is unreadable is reported.
    pub(super) async fn list_stored(&self, user: &UserId) -> Result<Listing, Error> {
        let listing = self.store("list_by_user")?.list_by_user(user, self.now());
        let listing = self.store_call("list_by_user", listing).await?;
        self.report_unreadable("list_by_user", &listing.unreadable, Some(user));
        Ok(listing)
    }

    fn report_unreadable(&self, operation: &'static str, unreadable: &[SessionId], user: Option<&UserId>) {
        for id in unreadable {
            let kind = EventKind::StoreFailed { operation, kind: StoreErrorKind::Corrupt };
            self.report(kind, Some(*id), user.cloned());
        }
    }

    /// Leaves those that are live by the policy too, with the timeouts that apply.
    fn show(&self, sessions: &mut Vec<SessionSummary>) {
        let now = self.now();
        sessions.retain(|session| verdict(session, self.policy(), now) == Verdict::Live);
        for session in sessions {
            session.timeouts = self.policy().effective_timeouts(session);
        }
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<usize, Error> {
        let (manager, user, keep) = (self.clone(), user.clone(), keep.copied());
        let work = async move {
            let store = manager.store("delete_by_user")?;
            let now = manager.now();
            let delete = || store.delete_by_user(&user, keep.as_ref(), now);
            let (mut deleted, doubt) = manager.store_write("delete_by_user", delete).await?;
            let revoked = |id| manager.report(EventKind::Terminated(Termination::Revoked), id, Some(user.clone()));
            if deleted.ids().is_empty() && doubt.is_some() {
                // The call before this one has ended them, and its answer, which named them, was lost.
                revoked(None);
            }
            // A store knows the deadlines that a session began with, not those of the policy.
            deleted.sessions.retain(|session| verdict(session, manager.policy(), now) == Verdict::Live);
            let ended = deleted.ids();
            ended.iter().for_each(|id| revoked(Some(*id)));
            Ok(ended.len())
        };
        self.persist(work).await
    }
}
