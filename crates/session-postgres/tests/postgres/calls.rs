//! Every operation of the store, each on sessions of its own.

use std::num::NonZeroU32;

use session_core::store::{CreateRequest, Freshness, Record, SessionStore};
use session_core::{LimitPolicy, SessionLimit, StoreError, UserId};
use session_postgres::PostgresStore;

use crate::common::{LONG_AGO, MINUTE, NOW, changed, insert, record, user};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Load,
    Create,
    Update,
    Touch,
    Delete,
    ListByUser,
    DeleteByUser,
    DeleteExpired,
}

impl Call {
    pub(crate) const ALL: [Self; 8] = [
        Self::Load,
        Self::Create,
        Self::Update,
        Self::Touch,
        Self::Delete,
        Self::ListByUser,
        Self::DeleteByUser,
        Self::DeleteExpired,
    ];

    /// What it answers, and what it may answer after the same call has failed.
    pub(crate) fn answers(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Load => ("found", &["found"]),
            Self::Create => ("Created { evicted: [] }", &["Created { evicted: [] }"]),
            Self::Update => ("Applied", &["Applied"]),
            Self::Touch => ("Applied", &["Applied"]),
            Self::Delete => ("Deleted", &["Deleted", "Absent"]),
            Self::ListByUser => ("2", &["2"]),
            Self::DeleteByUser => ("1", &["1", "0"]),
            Self::DeleteExpired => ("1", &["1", "0"]),
        }
    }
}

/// What is stored for one call.
pub(crate) struct Sessions {
    user: UserId,
    /// No call deletes it.
    keep: Record,
    /// May be deleted.
    other: Record,
    new: Record,
    changed: Record,
}

impl Sessions {
    /// Two sessions of a new user, and the only one that is expired.
    pub(crate) async fn store(store: &PostgresStore) -> Self {
        let user = user(&session_testbed::servers::namespace());
        let (keep, other) = (record(Some(&user), NOW), record(Some(&user), NOW));
        insert(store, &keep).await;
        insert(store, &other).await;
        let _ = store.delete_expired(NOW, NonZeroU32::MAX).await.unwrap();
        insert(store, &record(None, LONG_AGO)).await;
        Self { new: record(Some(&user), NOW), changed: changed(&keep, "x"), user, keep, other }
    }

    /// Calls it, with the same arguments each time.
    pub(crate) async fn call(&self, store: &PostgresStore, call: Call) -> Result<String, StoreError> {
        let limit = SessionLimit { max: NonZeroU32::new(3).unwrap(), at_limit: LimitPolicy::Reject };
        Ok(match call {
            Call::Load => match store.load(&self.keep.id(), Freshness::Latest).await? {
                Some(record) if record.id() == self.keep.id() => "found".to_owned(),
                answer => format!("{answer:?}"),
            },
            Call::Create => {
                format!("{:?}", store.create(CreateRequest::new(&self.new).within(limit), NOW).await?)
            }
            Call::Update => format!("{:?}", store.update(&self.changed, self.keep.version, NOW).await?),
            Call::Touch => format!("{:?}", store.touch(&self.keep.id(), Some(&self.user), NOW + MINUTE).await?),
            Call::Delete => format!("{:?}", store.delete(&self.other.id(), Some(&self.user)).await?),
            Call::ListByUser => store.list_by_user(&self.user, NOW).await?.len().to_string(),
            Call::DeleteByUser => store.delete_by_user(&self.user, Some(&self.keep.id())).await?.len().to_string(),
            Call::DeleteExpired => store.delete_expired(NOW, NonZeroU32::MAX).await?.to_string(),
        })
    }

    /// Panics unless exactly the outcome of the call is stored.
    pub(crate) async fn assert_done(&self, store: &PostgresStore, call: Call) {
        let mut expected = vec![self.keep.id()];
        if !matches!(call, Call::Delete | Call::DeleteByUser) {
            expected.push(self.other.id());
        }
        if call == Call::Create {
            expected.push(self.new.id());
        }
        let mut stored: Vec<_> =
            store.list_by_user(&self.user, NOW).await.unwrap().into_iter().map(|summary| summary.id).collect();
        expected.sort();
        stored.sort();
        assert!(stored == expected, "after {call:?}: {} sessions instead of {}", stored.len(), expected.len());
        let kept = store.load(&self.keep.id(), Freshness::Latest).await.unwrap().unwrap();
        let version = if call == Call::Update { self.changed.version } else { self.keep.version };
        let last_seen = if call == Call::Touch { NOW + MINUTE } else { NOW };
        assert!(kept.version == version && kept.summary.last_seen == last_seen, "after {call:?}: {kept:?}");
    }
}
