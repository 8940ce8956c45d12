//! [`MovingStore::move_all`]: the sessions that nobody uses move, too.

use std::num::NonZeroU32;
use std::ops::ControlFlow;

use tokio::task::JoinSet;

use super::store::MovingStore;
use crate::clock::{Clock, Timestamp};
use crate::error::{StoreError, StoreErrorKind};
use crate::model::id::SessionId;
use crate::store::contract::SessionStore;
use crate::store::page::{Cursor, Page};

/// How many sessions of a page move at once: round trips are what it takes.
const AT_ONCE: usize = 16;

/// What [`MovingStore::move_page`] did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MovedPage {
    /// How many sessions it moved. What a node moved meanwhile does not count.
    pub moved: u64,
    /// Sessions that were left where they are, because this version cannot read them.
    pub unreadable: Vec<SessionId>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// How far [`MovingStore::move_all`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MovingProgress {
    /// How many sessions it has moved. What nodes moved meanwhile does not count.
    pub moved: u64,
    /// How many sessions the present pass has met that it cannot move, because this version cannot read them. After the last one:
    /// how many are left in the old store.
    pub unreadable: u64,
    /// How many times it has been through the old store.
    pub passes: u64,
}

impl<F: SessionStore, T: SessionStore> MovingStore<F, T> {
    /// Moves a page of the sessions that are live in the old store: about `limit` of them, from `after` on, 16 at once. What it holds
    /// in memory is one page, without values, and 16 records. For each session six round trips, and those of
    /// [`list_all`](SessionStore::list_all) for the page.
    ///
    /// It may be dropped, and done again, at any time, by any number of processes at once.
    ///
    /// # Errors
    /// The first of either store; [`InvalidCursor`](StoreErrorKind::InvalidCursor) for a cursor of another.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn move_page(
        &self,
        after: Option<&Cursor>,
        limit: NonZeroU32,
        now: Timestamp,
    ) -> Result<MovedPage, StoreError> {
        let Page { listing, next } = self.from.list_all(after, limit, now).await?;
        let mut page = MovedPage { moved: 0, unreadable: listing.unreadable, next };
        // Ends its tasks when it is dropped.
        let mut moving = JoinSet::new();
        for session in listing.sessions {
            if moving.len() >= AT_ONCE {
                page.add(moving.join_next().await)?;
            }
            let store = self.clone();
            moving.spawn(async move { (session.id, store.move_session(&session.id).await) });
        }
        while let Some(settled) = moving.join_next().await {
            page.add(Some(settled))?;
        }
        Ok(page)
    }

    /// Moves all sessions that are live in the old store, in [pages](Self::move_page) of about `page`, until a pass through it meets
    /// none that could be moved. Tells `progress` after each page, and ends early if that says so.
    ///
    /// The nodes of the application must have moving stores already. To move without haste, `progress` may sleep; to give up is
    /// always safe, and to begin again finishes the work.
    ///
    /// # Errors
    /// The first of either store; nothing is lost, begin again.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use std::ops::ControlFlow;
    ///
    /// use session_core::store::{MovingStore, SessionStore};
    /// use session_core::{StoreError, SystemClock};
    ///
    /// async fn copy(from: impl SessionStore, to: impl SessionStore) -> Result<(), StoreError> {
    ///     let page = NonZeroU32::new(500).expect("more than 0");
    ///     let moving = MovingStore::new(from, to);
    ///     let done = moving.move_all(page, &SystemClock, |progress| {
    ///         println!("{} moved", progress.moved);
    ///         ControlFlow::Continue(())
    ///     });
    ///     println!("{} cannot be read, and stay", done.await?.unreadable);
    ///     Ok(())
    /// }
    /// ```
    pub async fn move_all(
        &self,
        page: NonZeroU32,
        clock: &dyn Clock,
        mut progress: impl FnMut(&MovingProgress) -> ControlFlow<()> + Send,
    ) -> Result<MovingProgress, StoreError> {
        let mut all = MovingProgress::default();
        loop {
            let (before, mut after) = (all.moved, None);
            all.unreadable = 0;
            loop {
                let done = self.move_page(after.as_ref(), page, clock.now()).await?;
                all.moved += done.moved;
                all.unreadable += done.unreadable.len() as u64;
                all.passes += u64::from(done.next.is_none());
                if progress(&all).is_break() {
                    return Ok(all);
                }
                match done.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            if all.moved == before {
                return Ok(all);
            }
        }
    }
}

type Settled = Result<(SessionId, Result<bool, StoreError>), tokio::task::JoinError>;

impl MovedPage {
    fn add(&mut self, settled: Option<Settled>) -> Result<(), StoreError> {
        match settled {
            Some(Ok((_, Ok(moved)))) => self.moved += u64::from(moved),
            Some(Ok((id, Err(error)))) if error.kind() == StoreErrorKind::Corrupt => self.unreadable.push(id),
            Some(Ok((_, Err(error)))) => return Err(error),
            // The runtime is ending.
            Some(Err(error)) => {
                let detail = "sessions were left in the old store: the task that moves them was ended";
                return Err(StoreError::new(StoreErrorKind::Other, detail).with_source(error));
            }
            None => {}
        }
        Ok(())
    }
}
