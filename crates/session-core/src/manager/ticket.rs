//! Tickets: tokens that are good once, and hold a value in the store until then.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SessionManager;
use crate::decide::plan::{Draft, new_record};
use crate::decide::verdict::{Verdict, verdict};
use crate::error::Error;
use crate::event::EventKind;
use crate::model::credential::TokenCheck;
use crate::model::data;
use crate::model::summary::Timeouts;
use crate::model::token::{EncodedToken, Kind, PresentedToken};
use crate::store::contract::{CreateOutcome, CreateRequest, DeleteOutcome, Freshness};

/// What lies between two steps of something that a client does: a login whose second factor is still to come. A ticket is of
/// no user and no session: it is neither listed nor limited, and is never accepted as the token of a session.
impl SessionManager {
    /// Stores `value`, for `purpose` alone, for at most `lifetime` (and no longer than the policy lets a visitor's session live), and returns the
    /// token that gets it back, once. One round trip.
    ///
    /// A ticket is bounded like an anonymous session ([`max_visitors`](crate::PolicyBuilder::max_visitors)), and ends before its
    /// time if there are too many.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Entropy`], [`Error::Value`]; [`Error::Conflict`] if the generator drew an id that is taken.
    pub async fn issue_ticket<T: Serialize + DeserializeOwned>(
        &self,
        purpose: &str,
        value: &T,
        lifetime: Duration,
    ) -> Result<EncodedToken, Error> {
        let store = self.store("create")?;
        let mut draft = Draft::of(None);
        draft.data.insert(name(purpose), data::encode(value)?);
        draft.timeouts = Timeouts { idle: lifetime, absolute: lifetime };
        let now = self.now();
        let (record, token) = new_record(Kind::Refresh, &draft, self.policy(), now, &*self.inner.entropy)?;
        match self
            .store_write("create", || {
                store.create(CreateRequest::new(&record).among(self.policy().visitor_limit()), now)
            })
            .await?
            .0
        {
            CreateOutcome::Created { .. } => Ok(token.encode()),
            CreateOutcome::IdTaken
            | CreateOutcome::LimitReached
            | CreateOutcome::ReplacedChanged
            | CreateOutcome::ReplacedAbsent => Err(Error::Conflict),
        }
    }

    /// The value of a ticket, which is used up by that: of any number of simultaneous calls one gets it. `None` if it was used
    /// before, has expired, or is no ticket for `purpose`. Two round trips.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: the ticket may be used up then. [`Error::Value`] if the value is none of this type.
    pub async fn redeem_ticket<T: DeserializeOwned>(&self, purpose: &str, ticket: &str) -> Result<Option<T>, Error> {
        let Ok(token) = PresentedToken::parse(ticket.as_bytes()) else {
            self.report(EventKind::MalformedToken, None, None);
            return Ok(None);
        };
        let Some(record) = self.load(token.id(), Freshness::Latest).await? else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        let now = self.now();
        let is_ticket = record.summary.kind == Kind::Refresh && record.user().is_none();
        let value =
            record.data.get(&name(purpose)).filter(|_| is_ticket && record.check(&token) == TokenCheck::Current);
        let Some(value) = value else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        if let Verdict::Expired(expiry) = verdict(&record.summary, self.policy(), now) {
            self.report(EventKind::Expired(expiry), Some(token.id()), None);
            return Ok(None);
        }
        let value = data::decode(value)?;
        let (id, store) = (record.id(), self.store("delete")?);
        // Absent when it was asked again: perhaps it was this call that deleted it, perhaps another. Nobody gets it twice.
        match self.store_write("delete", || store.delete(&id, None)).await?.0 {
            DeleteOutcome::Deleted => Ok(Some(value)),
            DeleteOutcome::Absent => Ok(None),
        }
    }
}

/// What the value is called in its record.
fn name(purpose: &str) -> Bytes {
    format!("ticket: {purpose}").into()
}
