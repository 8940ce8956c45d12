//! Every operation of a store, each on sessions of its own: for tests that inject faults.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;

use session_core::store::{Freshness, Record, SessionStore};
use session_core::{LimitPolicy, StoreError, UserId};

use crate::records::{MINUTE, NOW, insert, limit, load, next, record, replacing, user};
use crate::servers::namespace;

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the operations")]
pub enum Call {
    Load,
    Create,
    Update,
    Touch,
    Delete,
    ListByUser,
    DeleteByUser,
    ListAll,
    Count,
    DeleteExpired,
}

impl Call {
    /// Every operation; `DeleteExpired`, which may need no server, is the last one.
    pub const ALL: [Self; 10] = [
        Self::Load,
        Self::Create,
        Self::Update,
        Self::Touch,
        Self::Delete,
        Self::ListByUser,
        Self::DeleteByUser,
        Self::ListAll,
        Self::Count,
        Self::DeleteExpired,
    ];

    /// What it answers, and what it may answer instead after the same call has failed.
    #[must_use]
    pub fn answers(self) -> [&'static str; 2] {
        match self {
            Self::Load | Self::ListAll | Self::Count => ["found"; 2],
            Self::Create => ["Created { evicted: [] }"; 2],
            Self::Update | Self::Touch => ["Applied"; 2],
            Self::Delete => ["Deleted", "Absent"],
            Self::ListByUser => ["2"; 2],
            Self::DeleteByUser | Self::DeleteExpired => ["1", "0"],
        }
    }
}

/// What is stored for one call.
#[derive(Debug)]
pub struct Sessions {
    user: UserId,
    /// No call deletes it.
    keep: Record,
    /// May be deleted.
    other: Record,
    /// Is replaced by `new`.
    anonymous: Record,
    new: Record,
    changed: Record,
}

impl Sessions {
    /// Two sessions of a new user, an anonymous one, and the only one that is expired.
    pub async fn store(store: &dyn SessionStore) -> Self {
        let user = user(namespace().as_str());
        let [keep, other, new] = [(); 3].map(|()| record(Some(&user), NOW));
        let _ = store.delete_expired(NOW, NonZeroU32::MAX).await.unwrap();
        let (anonymous, expired) = (record(None, NOW), record(None, NOW - 60 * MINUTE));
        for record in [&keep, &other, &anonymous, &expired] {
            insert(store, record).await;
        }
        Self { changed: next(&keep), user, keep, other, anonymous, new }
    }

    /// Calls it, with the same arguments each time.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn call(&self, store: &dyn SessionStore, call: Call) -> Result<String, StoreError> {
        let (keep, user) = (&self.keep, &self.user);
        Ok(match call {
            Call::Load => match store.load(&keep.id(), Freshness::Latest).await? {
                Some(record) if record.id() == keep.id() => "found".to_owned(),
                answer => format!("{answer:?}"),
            },
            Call::Create => {
                let login = replacing(&self.new, &self.anonymous).within(limit(3, LimitPolicy::Reject));
                format!("{:?}", store.create(login, NOW).await?)
            }
            Call::Update => format!("{:?}", store.update(&self.changed, keep.version, NOW).await?),
            Call::Touch => format!("{:?}", store.touch(&keep.id(), Some(user), NOW + MINUTE).await?),
            Call::Delete => format!("{:?}", store.delete(&self.other.id(), Some(user)).await?),
            Call::ListByUser => store.list_by_user(user, NOW).await?.sessions.len().to_string(),
            Call::DeleteByUser => store.delete_by_user(user, Some(&keep.id()), NOW).await?.ids().len().to_string(),
            Call::ListAll => {
                let page = store.list_all(None, NonZeroU32::MAX, NOW).await?;
                let found = page.listing.sessions.iter().any(|session| session.id == keep.id());
                if found { "found".to_owned() } else { format!("{page:?}") }
            }
            Call::Count => {
                // Those of other tests count, too.
                let count = store.count(NOW).await?;
                if count.sessions >= 3 { "found".to_owned() } else { format!("{count:?}") }
            }
            Call::DeleteExpired => store.delete_expired(NOW, NonZeroU32::MAX).await?.to_string(),
        })
    }

    /// Stores sessions for each operation, and asserts that it answers and does what it should.
    pub async fn assert_all_work(store: &dyn SessionStore, calls: &[Call]) {
        for call in calls {
            let sessions = Self::store(store).await;
            assert_eq!(sessions.call(store, *call).await.unwrap(), call.answers()[0], "{call:?}");
            sessions.assert_done(store, *call).await;
        }
    }

    /// Panics unless exactly the outcome of the call is stored.
    pub async fn assert_done(&self, store: &dyn SessionStore, call: Call) {
        let mut expected = vec![self.keep.id()];
        if !matches!(call, Call::Delete | Call::DeleteByUser) {
            expected.push(self.other.id());
        }
        if call == Call::Create {
            expected.push(self.new.id());
        }
        let listed = store.list_by_user(&self.user, NOW).await.unwrap();
        let mut stored: Vec<_> = listed.sessions.into_iter().map(|summary| summary.id).collect();
        expected.sort();
        stored.sort();
        assert!(stored == expected, "after {call:?}: {} sessions instead of {}", stored.len(), expected.len());
        assert_eq!(load(store, &self.anonymous.id()).await.is_some(), call != Call::Create, "after {call:?}");
        let kept = load(store, &self.keep.id()).await.unwrap();
        let version = if call == Call::Update { self.changed.version } else { self.keep.version };
        let last_seen = if call == Call::Touch { NOW + MINUTE } else { NOW };
        assert!(kept.version == version && kept.summary.last_seen == last_seen, "after {call:?}: {kept:?}");
    }
}
