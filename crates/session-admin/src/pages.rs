//! Reading all sessions without keeping them: [`Pages`]; and asking once more: [`again`].

use std::time::Duration;

use session_core::store::{Count, Cursor, Listing, SessionStore};
use session_core::{StoreError, UserId};

use crate::error::Error;
use crate::pace::{Pace, Work};
use crate::target::now;

/// How often something is tried that may succeed the next time, and the first pause.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);

/// All live sessions, or those of a user, a page at a time.
pub(crate) struct Pages<'a> {
    store: &'a dyn SessionStore,
    user: Option<&'a UserId>,
    pace: Pace,
    /// The last page, and what is done with it.
    work: Option<Work>,
    next: Next,
}

enum Next {
    Begin,
    Behind(Cursor),
    Over,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(store: &'a dyn SessionStore, user: Option<&'a UserId>, pace: Pace) -> Self {
        Self { store, user, pace, work: None, next: Next::Begin }
    }

    /// The next page, which may be empty although others follow; `None` after the last. Rests before it, for what it took to read
    /// the last one and to do what was done with it.
    pub(crate) async fn next(&mut self) -> Result<Option<Listing>, Error> {
        let after = match &self.next {
            Next::Over => return Ok(None),
            Next::Begin => None,
            Next::Behind(cursor) => Some(cursor),
        };
        if let Some(user) = self.user {
            let listing = again(|| self.store.list_by_user(user, now())).await;
            self.next = Next::Over;
            return listing.map(Some).map_err(Error::at("list the sessions of the user"));
        }
        if let Some(work) = self.work {
            self.pace.rest(work).await;
        }
        self.work = Some(Work::begin());
        let page = again(|| self.store.list_all(after, self.pace.read, now())).await;
        let page = page.map_err(Error::at("list the sessions"))?;
        self.next = page.next.map_or(Next::Over, Next::Behind);
        Ok(Some(page.listing))
    }
}

/// Whether there is no session at all: for what is said where something was not found. An estimate of none is no such thing.
pub(crate) async fn is_empty(store: &dyn SessionStore) -> Result<bool, Error> {
    let count = again(|| store.count(now())).await.map_err(Error::at("count the sessions"))?;
    Ok(count == Count::exact(0))
}

/// What `operation` answers, which is repeated a few times if it may succeed then: in the middle of a million sessions, a server
/// that fails over is no reason to begin anew. Operations of a store are idempotent.
pub(crate) async fn again<T, F>(operation: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match operation().await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(pause).await;
                pause *= 3;
            }
            answer => return answer,
        }
    }
    operation().await
}
