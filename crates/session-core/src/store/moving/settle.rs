//! How one session moves: the steps, and what is stored on the way.

use super::store::MovingStore;
use super::ticket::LABEL;
use crate::clock::Timestamp;
use crate::entropy::{self, Entropy, EntropyError};
use crate::error::{StoreError, StoreErrorKind};
use crate::model::credential::{Credential, TokenDigest};
use crate::model::device::Device;
use crate::model::id::SessionId;
use crate::model::record::{Record, Version};
use crate::model::reserved::Claim;
use crate::model::summary::{SessionSummary, Timeouts};
use crate::store::contract::{
    CreateOutcome, CreateRequest, DeleteOutcome, Freshness, Replacement, SessionStore, UpdateOutcome,
};

/// A session is found in the old store as it was, then as claimed, then not. More often only if others write there.
const MAX_ATTEMPTS: usize = 8;

impl<F: SessionStore, T: SessionStore> MovingStore<F, T> {
    /// Moves the session `id`, or finishes moving it: afterwards the old store has none of that id, and never will; and nothing that
    /// was begun anywhere can still insert it into the new one. Whether there was anything to do.
    ///
    /// One round trip if not, else six. Whoever is stopped between two of them leaves what anyone can finish: call it again.
    ///
    /// # Errors
    /// That of either store. [`StoreErrorKind::Corrupt`] if this version cannot read the session: it is left as it is.
    pub async fn move_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(stored) = self.from.load(id, Freshness::Latest).await? else { return Ok(false) };
            match Claim::read(&stored.data)? {
                Some(claim) => {
                    self.insert(claim.restore(stored.clone()), &claim).await?;
                    let (DeleteOutcome::Deleted | DeleteOutcome::Absent) = self.from.delete(id, stored.user()).await?;
                    return Ok(true);
                }
                // Never alive, at no time: to a store there is no such session.
                None if stored.is_expired(moment(&stored)) => return Ok(false),
                None => self.claim(stored).await?,
            }
        }
        let detail = "the session was written to the old store while it was moved; do all nodes run the moving store?";
        Err(StoreError::new(StoreErrorKind::Other, detail))
    }

    /// Stores a ticket in the new store, then names it in the old one, in place of the session: from there on, nobody can change
    /// the session, and only who redeems that ticket can insert it. If another was faster, its ticket is the one.
    async fn claim(&self, stored: Record) -> Result<(), StoreError> {
        let entropy = &*self.entropy;
        let ticket = ticket(&stored, entropy).map_err(no_entropy)?;
        let claimed = Claim { ticket: ticket.id(), version: ticket.version, original: stored.version };
        let marked = claimed.mark(stored.clone(), entropy).map_err(no_entropy)?;
        match self.to.create(CreateRequest::new(&ticket), moment(&stored)).await? {
            CreateOutcome::Created { .. } => {}
            CreateOutcome::IdTaken
            | CreateOutcome::LimitReached
            | CreateOutcome::ReplacedChanged
            | CreateOutcome::ReplacedAbsent => return Err(refused()),
        }
        match self.from.update(&marked, stored.version, moment(&stored)).await? {
            UpdateOutcome::Applied => {}
            // Without it, the ticket is good for nothing.
            UpdateOutcome::Conflict | UpdateOutcome::Absent => {
                let (DeleteOutcome::Deleted | DeleteOutcome::Absent) = self.to.delete(&ticket.id(), None).await?;
            }
        }
        Ok(())
    }

    /// Inserts `record` into the new store in exchange for its ticket: once, whoever tries, however late.
    async fn insert(&self, record: Record, claim: &Claim) -> Result<(), StoreError> {
        let ticket = Replacement { id: claim.ticket, user: None, version: claim.version };
        match self.to.create(CreateRequest::new(&record).replacing(ticket), moment(&record)).await? {
            CreateOutcome::Created { .. } => Ok(()),
            // It was inserted before, and has changed or ended since.
            CreateOutcome::IdTaken | CreateOutcome::ReplacedAbsent => Ok(()),
            CreateOutcome::ReplacedChanged | CreateOutcome::LimitReached => Err(refused()),
        }
    }
}

/// A moment at which the session was alive. Whether it still is concerns whoever uses it; moved it is as it is.
fn moment(record: &Record) -> Timestamp {
    record.summary.last_seen
}

/// An anonymous session that nobody has a token of, which is no visitor, beside the session: a Cluster has both in one slot. It
/// lives as long as the session can at most: if it has expired, so has the session.
fn ticket(record: &Record, entropy: &dyn Entropy) -> Result<Record, EntropyError> {
    let summary = &record.summary;
    let mut id = *SessionId::generate(None, entropy)?.as_bytes();
    id[..2].copy_from_slice(&record.id().shard().to_be_bytes());
    let (id, longest) = (SessionId::from_bytes(id), summary.timeouts.absolute);
    let timeouts = Timeouts { idle: longest, absolute: longest };
    let mut about = SessionSummary::new(id, summary.kind, summary.created_at, timeouts);
    (about.last_seen, about.device) = (summary.last_seen, Device::new().with_label(LABEL));
    // The digest of no token.
    let current = TokenDigest::from_bytes(entropy::random(entropy)?);
    let credential = Credential { current, issued_at: summary.created_at.as_millis(), lineage: None };
    let ticket = Record::new(about, Version::first(entropy)?, credential);
    Ok(Record { format: record.format, ..ticket })
}

impl Claim {
    /// `record`, claimed.
    fn mark(&self, mut record: Record, entropy: &dyn Entropy) -> Result<Record, EntropyError> {
        record.version = self.original.next(entropy)?;
        self.write(&mut record.data);
        Ok(record)
    }

    /// The record that was claimed, last used when the old store says.
    fn restore(&self, mut record: Record) -> Record {
        record.version = self.original;
        record.replaces = None;
        Self::erase(&mut record.data);
        record
    }
}

fn no_entropy(error: EntropyError) -> StoreError {
    let detail = "the session was not moved: the random generator failed";
    StoreError::new(StoreErrorKind::Other, detail).with_source(error).unsent()
}

fn refused() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the new store refused to take a session over; it was left in the old one")
}
