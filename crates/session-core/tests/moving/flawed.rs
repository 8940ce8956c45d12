//! [`Flawed`]: a store that breaks one promise which a move rests on, and lets others go on after each call.

use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use session_conformance::ReferenceStore;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// `create` does not look for what it replaces: nobody needs a ticket.
    TicketUnasked,
    /// `create` in exchange for another session leaves that one: a ticket can be redeemed again.
    TicketKept,
    /// What is created in exchange for nothing is lost: tickets are.
    TicketLost,
    /// `update` replaces whatever version there is: a session can be claimed again.
    ClaimedBlindly,
    /// `update` is answered and not done: a session is moved that was not claimed.
    ClaimLost,
    /// `delete` does not find the session.
    DeletionLost,
    /// None: sessions of a device called "newer" are in a format that this version cannot read.
    Newer,
}

/// What a node has been answered, in short: what its next calls are decided by.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<u64>);

impl Answers {
    pub(crate) fn all(&self) -> u64 {
        *self.0.lock().unwrap()
    }

    fn add(&self, answer: impl Hash) {
        let (mut all, mut hasher) = (self.0.lock().unwrap(), DefaultHasher::new());
        (*all, answer).hash(&mut hasher);
        *all = hasher.finish();
    }
}

#[derive(Debug)]
pub(crate) struct Flawed {
    pub(crate) store: Arc<ReferenceStore>,
    pub(crate) flaw: Flaw,
    /// Of a node that others overtake.
    pub(crate) answers: Option<Arc<Answers>>,
}

impl Flawed {
    /// The call is executed; before its answer arrives, others go on.
    async fn answer<T>(&self, answer: Result<T, StoreError>, seen: impl FnOnce(&T) -> u64) -> Result<T, StoreError> {
        if let Some(answers) = &self.answers {
            answers.add(answer.as_ref().map(seen).ok());
            let mut is_here = false;
            poll_fn(|_| if mem::replace(&mut is_here, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
        answer
    }
}

fn hash(answer: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

fn listed(listing: &Listing) -> u64 {
    let mut ids: Vec<_> = listing.sessions.iter().map(|session| session.id).collect();
    ids.sort_unstable();
    hash(ids)
}

#[async_trait]
impl SessionStore for Flawed {
    fn name(&self) -> &'static str {
        "flawed"
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let mut answer = self.store.load(id, freshness).await;
        if let Ok(Some(record)) = &answer
            && self.is_newer(&record.summary)
        {
            answer = Err(StoreError::new(StoreErrorKind::Corrupt, "a newer format"));
        }
        let seen = |record: &Option<Record>| {
            hash(record.as_ref().map(|record| (record.version, record.summary.last_seen, record.data.len())))
        };
        self.answer(answer, seen).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let answer = self.create_flawed(request, now).await;
        self.answer(answer, |outcome| hash(format!("{outcome:?}"))).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let answer = self.update_flawed(record, expected, now).await;
        self.answer(answer, |outcome| hash(format!("{outcome:?}"))).await
    }
    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let answer = self.store.touch(id, user, now).await;
        self.answer(answer, |outcome| hash(format!("{outcome:?}"))).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let is_lost = self.flaw == Flaw::DeletionLost && user.is_some();
        let answer = if is_lost { Ok(DeleteOutcome::Absent) } else { self.store.delete(id, user).await };
        self.answer(answer, |outcome| hash(format!("{outcome:?}"))).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let answer = self.store.list_by_user(user, now).await.map(|listing| self.read(listing));
        self.answer(answer, listed).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let answer = self.store.delete_by_user(user, keep, now).await.map(|listing| self.read(listing));
        self.answer(answer, listed).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let mut page = self.store.list_all(after, limit, now).await?;
        page.listing = self.read(page.listing);
        Ok(page)
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.store.count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.store.delete_expired(now, limit).await
    }
}

impl Flawed {
    fn is_newer(&self, session: &SessionSummary) -> bool {
        self.flaw == Flaw::Newer && session.device.label() == Some("newer")
    }

    fn read(&self, mut listing: Listing) -> Listing {
        let newer = listing.sessions.extract_if(.., |session| self.is_newer(session));
        listing.unreadable.extend(newer.map(|session| session.id));
        listing
    }

    async fn create_flawed(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        match (self.flaw, request.replaces) {
            (Flaw::TicketUnasked, Some(ticket)) => {
                let outcome = self.store.create(CreateRequest { replaces: None, ..request }, now).await?;
                let _ = self.store.delete(&ticket.id, ticket.user).await?;
                Ok(outcome)
            }
            (Flaw::TicketKept, Some(ticket)) => {
                let kept = self.store.load(&ticket.id, Freshness::Latest).await?;
                let outcome = self.store.create(request, now).await?;
                if let Some(kept) = kept {
                    let _ = self.store.create(CreateRequest::new(&kept), now).await?;
                }
                Ok(outcome)
            }
            (Flaw::TicketLost, None) if request.record.user().is_none() => {
                Ok(CreateOutcome::Created { evicted: Vec::new() })
            }
            _ => self.store.create(request, now).await,
        }
    }

    async fn update_flawed(
        &self,
        record: &Record,
        expected: Version,
        now: Timestamp,
    ) -> Result<UpdateOutcome, StoreError> {
        let stored = self.store.load(&record.id(), Freshness::Latest).await?;
        match (self.flaw, stored) {
            (Flaw::ClaimedBlindly, Some(stored)) => self.store.update(record, stored.version, now).await,
            (Flaw::ClaimLost, Some(_)) => Ok(UpdateOutcome::Applied),
            _ => self.store.update(record, expected, now).await,
        }
    }
}
