//! [`RedisStore`]: the contract of `SessionStore`, in terms of scripts.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome, Version,
    layout,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};
use tokio::time::timeout;

use crate::answer::not_understood;
use crate::engine::{self, Engine, ambiguous, in_backend, in_time, millis, text, unavailable, version};
use crate::{key, script};

/// Sessions in Redis or Valkey. See the [crate](crate) for what it guarantees, what it costs and how to operate it.
///
/// ```no_run
/// # async fn open() -> Result<(), session_redis::ConnectError> {
/// use session_redis::RedisStore;
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    pub(crate) engine: Arc<Engine>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Engine { keys, timeout, cluster, waiting, link: _, turns: _, loads: _ } = &*self.engine;
        f.debug_struct("RedisStore")
            .field("key_prefix", &keys.prefix())
            .field("operation_timeout", timeout)
            .field("cluster", cluster)
            .field("wait_for_replicas", &waiting.as_ref().map_or(0, |(_, replicas)| replicas.get()))
            .finish()
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        in_time("load", timeout(self.engine.timeout, self.engine.load(id)).await)
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        const OPERATION: &str = "create";
        let CreateRequest { record, replaces, limit } = admission;
        check_shard(OPERATION, record)?;
        let apart = |old: &Replacement<'_>| self.engine.cluster && old.id.shard() != record.summary.id.shard();
        let Some(Replacement { id, user, version }) = replaces.filter(apart) else {
            return in_time(OPERATION, timeout(self.engine.timeout, self.engine.admit(admission, now)).await);
        };
        // In a task of its own: a caller that gives up must not leave both sessions.
        let (engine, record, user) = (Arc::clone(&self.engine), record.clone(), user.cloned());
        let exchange = tokio::spawn(async move {
            let replaces = Replacement { id, user: user.as_ref(), version };
            let admission = CreateRequest { record: &record, replaces: Some(replaces), limit };
            in_time(OPERATION, timeout(engine.timeout, engine.exchange(admission, replaces, now)).await)
        });
        exchange.await.unwrap_or_else(|_| Err(unavailable(OPERATION)))
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        const OPERATION: &str = "update";
        check_shard(OPERATION, record)?;
        let keys = self.engine.pair(&record.summary.id, record.user());
        let encoded = record.encode()?;
        let of_index = record.user().map(|_| [text(&record.summary.id), engine::entry(&encoded, record)]);
        let life = key::life(record, now).to_string().into_bytes();
        let mut args = vec![encoded.into(), millis(now), version(expected), millis(record.summary.last_seen), life];
        args.extend(of_index.into_iter().flatten());
        let answer = timeout(self.engine.timeout, async {
            let losses = self.engine.losses();
            let answer = self.engine.write(OPERATION, record.summary.id.shard(), &script::UPDATE, keys, args).await?;
            match answer.word() {
                "applied" => Ok(UpdateOutcome::Applied),
                "absent" => Ok(UpdateOutcome::Absent),
                // Executed, the reply lost, executed again after somebody else's update? Core would apply it twice.
                "conflict" if self.engine.losses() != losses => Err(ambiguous(OPERATION)),
                "conflict" => Ok(UpdateOutcome::Conflict),
                _ => Err(not_understood(OPERATION)),
            }
        });
        in_time(OPERATION, answer.await)
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        const OPERATION: &str = "touch";
        if is_of_another(id, user) {
            return Ok(TouchOutcome::Absent);
        }
        let keys = self.engine.pair(id, user);
        let args = vec![layout::time(now)?.to_vec(), millis(now), text(id)];
        let touch = timeout(self.engine.timeout, self.engine.run(OPERATION, &script::TOUCH, keys, args));
        match in_time(OPERATION, touch.await)?.word() {
            "applied" => Ok(TouchOutcome::Applied),
            "absent" => Ok(TouchOutcome::Absent),
            _ => Err(not_understood(OPERATION)),
        }
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        const OPERATION: &str = "delete";
        if is_of_another(id, user) {
            return Ok(DeleteOutcome::Absent);
        }
        let (keys, args) = (self.engine.pair(id, user), vec![layout::owner(user), text(id)]);
        let write = self.engine.write(OPERATION, id.shard(), &script::DELETE, keys, args);
        match in_time(OPERATION, timeout(self.engine.timeout, write).await)?.word() {
            "deleted" => Ok(DeleteOutcome::Deleted),
            "absent" => Ok(DeleteOutcome::Absent),
            _ => Err(not_understood(OPERATION)),
        }
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        const OPERATION: &str = "list_by_user";
        let members = self.engine.over_members(OPERATION, user, &script::LIST, None);
        let mut sessions = Vec::new();
        let members = in_time(OPERATION, timeout(self.engine.timeout, members).await)?;
        for (id, value) in members.into_pairs(OPERATION)? {
            if let Some(record) = engine::record(OPERATION, &id, value)?
                && !record.is_expired(now)
            {
                sessions.push(record.summary);
            }
        }
        Ok(sessions)
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        const OPERATION: &str = "delete_by_user";
        let keep = Some(keep.map(text).unwrap_or_default());
        let members = self.engine.over_members(OPERATION, user, &script::DELETE_BY_USER, keep);
        in_time(OPERATION, timeout(self.engine.timeout, members).await)?.ids(OPERATION)
    }

    /// Nothing to do: Redis expires keys.
    async fn delete_expired(&self, _now: Timestamp, _limit: NonZeroU32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Whether the id cannot be one of the user's: all of those are in the user's shard.
fn is_of_another(id: &SessionId, user: Option<&UserId>) -> bool {
    user.is_some_and(|user| user.shard() != id.shard())
}

/// Keys are named after the shard of the id, and the index after that of the user: they must be the same.
fn check_shard(operation: &'static str, record: &Record) -> Result<(), StoreError> {
    if is_of_another(&record.summary.id, record.user()) {
        let detail = "the id is not one that was generated for this user";
        return Err(in_backend(StoreError::new(StoreErrorKind::Other, detail)));
    }
    Ok(())
}
