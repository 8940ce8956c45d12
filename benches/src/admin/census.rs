//! Who is there after a move, and who should be.

use std::collections::HashSet;
use std::num::NonZeroU32;

use session_core::store::SessionStore;
use session_core::{Clock as _, SessionId, SystemClock};

use crate::op::Failure;

const PAGE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Sessions that are to be there, and those that must not.
#[derive(Debug)]
pub(crate) struct Census {
    alive: HashSet<SessionId>,
    ended: HashSet<SessionId>,
}

/// What a [`Census`] found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// In the new store.
    pub(crate) alive: u64,
    pub(crate) lost: u64,
    pub(crate) revived: u64,
    /// Still in the old store, or of nobody.
    pub(crate) left: u64,
}

impl Census {
    /// Of sessions that nobody ends.
    pub(crate) fn of(alive: HashSet<SessionId>) -> Self {
        Self { alive, ended: HashSet::new() }
    }

    pub(crate) fn expect(&mut self, alive: Vec<SessionId>, ended: Vec<SessionId>) {
        self.alive.extend(alive);
        self.ended.extend(ended);
    }

    /// Compares that with all that two stores have, after everything has moved from `old` to `new`.
    pub(crate) async fn take(&self, old: &dyn SessionStore, new: &dyn SessionStore) -> Result<Found, Failure> {
        let (old, new) = (ids(old).await?, ids(new).await?);
        let is_known = |id: &&SessionId| self.alive.contains(*id) || self.ended.contains(*id);
        Ok(Found {
            alive: new.len() as u64,
            lost: self.alive.difference(&new).count() as u64,
            revived: self.ended.iter().filter(|id| new.contains(*id) || old.contains(*id)).count() as u64,
            left: (old.len() + new.iter().filter(|id| !is_known(id)).count()) as u64,
        })
    }
}

async fn ids(store: &dyn SessionStore) -> Result<HashSet<SessionId>, Failure> {
    let (mut ids, mut after) = (HashSet::new(), None);
    loop {
        let page = store.list_all(after.as_ref(), PAGE, SystemClock.now()).await?;
        ids.extend(page.listing.ids());
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(ids),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use session_core::OsEntropy;
    use session_moka::MokaStore;

    use super::*;
    use crate::payload::record;
    use crate::populate::create;

    #[tokio::test]
    async fn what_is_missing_too_many_or_left_behind_is_found() -> Result<(), Failure> {
        let now = SystemClock.now();
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(record(None, &session_core::store::Data::default(), now)?);
        }
        let [there, missing, revived, left, stranger] = sessions.as_slice() else { return Err("five".into()) };
        let stores = [Arc::new(MokaStore::new()), Arc::new(MokaStore::new())];
        create(&*stores[0], left).await?;
        for record in [there, revived, stranger] {
            create(&*stores[1], record).await?;
        }
        let mut census = Census::of([there, missing, left].map(|record| record.id()).into());
        census.expect(Vec::new(), vec![revived.id(), SessionId::generate(None, &OsEntropy)?]);
        let found = census.take(&*stores[0], &*stores[1]).await?;
        assert_eq!((found.alive, found.lost, found.revived, found.left), (3, 2, 1, 2));
        Ok(())
    }
}
