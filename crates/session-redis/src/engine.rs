//! What the operations are made of: [`Engine`].

use std::hash::BuildHasher as _;
use std::num::NonZeroU32;
use std::time::Duration;

use redis::Value;
use session_core::store::{Record, Version, layout};
use session_core::{SessionId, StoreError, StoreErrorKind, Timestamp, UserId};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::answer::{Answer, not_understood};
use crate::connection::Link;
use crate::key::{self, Keys};
use crate::loads::Loads;
use crate::script::{Request, Script, Wait};

/// How often an operation starts again because others changed the sessions of the same user meanwhile.
pub(crate) const ATTEMPTS: u32 = 32;

/// The connections of a store, and how requests are sent over them.
pub(crate) struct Engine {
    pub(crate) keys: Keys,
    pub(crate) timeout: Duration,
    /// A Cluster: one script cannot use keys of two shards.
    pub(crate) cluster: bool,
    pub(crate) link: Link,
    /// For writes that wait for replicas. `WAIT` blocks the connection it is sent on, so these have one of their own.
    pub(crate) waiting: Option<(Link, NonZeroU32)>,
    /// Logins at the limit take turns inside this process, by shard, so that nodes contend, not requests.
    pub(crate) turns: [Mutex<()>; 64],
    pub(crate) loads: Loads,
}

impl Engine {
    /// Waits for the first connection.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "connect";
        let ready = timeout(self.timeout, async {
            if let Some((link, _)) = &self.waiting {
                link.ready(OPERATION).await?;
            }
            self.link.ready(OPERATION).await
        });
        in_time(OPERATION, ready.await)
    }

    /// Reads the record of `id`. One round trip.
    pub(crate) async fn get(&self, operation: &'static str, id: &SessionId) -> Result<Option<Record>, StoreError> {
        record(operation, id, self.link.run(operation, &Request::Get(self.keys.session(id)), None).await?.value)
    }

    /// Runs a script whose effect may be lost with the primary. One round trip.
    pub(crate) async fn run(
        &self,
        operation: &'static str,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    ) -> Result<Answer, StoreError> {
        let request = Request::Call { script, keys, args };
        Ok(Answer::of(self.link.run(operation, &request, None).await?.value))
    }

    /// Runs a script whose effect must not be lost with the primary, if that was asked for. One round trip.
    pub(crate) async fn write(
        &self,
        operation: &'static str,
        shard: u16,
        script: &'static Script,
        keys: Vec<Vec<u8>>,
        args: Vec<Vec<u8>>,
    ) -> Result<Answer, StoreError> {
        let Some((link, replicas)) = &self.waiting else { return self.run(operation, script, keys, args).await };
        // Ends before the operation does, so that the connection is free again when the caller is told.
        let millis = u64::try_from(self.timeout.as_millis() * 3 / 4).unwrap_or(u64::MAX).max(1);
        let wait = Wait { replicas: replicas.get(), millis, fence: self.keys.fence(shard) };
        let request = Request::Call { script, keys, args };
        let reply = link.run(operation, &request, Some(&wait)).await?;
        let answer = Answer::of(reply.value);
        // A script that only told what it has to know has done nothing yet.
        if reply.confirmed || matches!(answer.word(), "changed" | "full") {
            return Ok(answer);
        }
        let detail = "it was executed, but too few replicas confirmed it in time";
        Err(StoreError::new(StoreErrorKind::Timeout, detail))
    }

    /// Runs a script over all sessions of a user. It names their keys, so a first call learns them, and the script acts
    /// only if they are still all of them. Two round trips; one if there are none.
    ///
    /// If they never are, because the user logs in faster than that, the last attempt acts on those that were there
    /// during this call.
    pub(crate) async fn over_members(
        &self,
        operation: &'static str,
        user: &UserId,
        script: &'static Script,
        keep: Option<Vec<u8>>,
    ) -> Result<Answer, StoreError> {
        let mut members = Vec::new();
        for attempt in 0..ATTEMPTS {
            let only_if_all = if attempt + 1 < ATTEMPTS { "1" } else { "0" };
            let mut keys = vec![self.keys.index(user)];
            keys.extend(members.iter().map(|id| self.keys.session(id)));
            let mut args = vec![only_if_all.as_bytes().to_vec()];
            args.extend(keep.clone());
            args.extend(members.iter().map(text));
            // The first call only asks. But that there is nothing left to delete has to be confirmed, too.
            let writes = keep.is_some() && self.waiting.is_some();
            let answer = if writes && attempt > 0 {
                self.write(operation, user.shard(), script, keys, args).await?
            } else {
                self.run(operation, script, keys, args).await?
            };
            match answer.word() {
                "done" if writes && attempt == 0 => {}
                "done" => return Ok(answer),
                "changed" => members = answer.ids(operation)?,
                _ => return Err(not_understood(operation)),
            }
            pause(attempt).await;
        }
        Err(contended(operation))
    }

    /// How often a connection was lost that [`write`](Self::write) uses.
    pub(crate) fn losses(&self) -> u64 {
        self.waiting.as_ref().map_or(&self.link, |(link, _)| link).losses()
    }

    /// The turn of a login of a user in this shard.
    pub(crate) async fn turn(&self, shard: u16) -> MutexGuard<'_, ()> {
        self.turns[usize::from(shard) % self.turns.len()].lock().await
    }

    /// The key of a session and, if it has a user, that of the index.
    pub(crate) fn pair(&self, id: &SessionId, user: Option<&UserId>) -> Vec<Vec<u8>> {
        [self.keys.session(id)].into_iter().chain(user.map(|user| self.keys.index(user))).collect()
    }
}

/// The entry of a session in the index of its user: created_at, last_seen, deadline.
pub(crate) fn entry(encoded: &[u8], record: &Record) -> Vec<u8> {
    // The last time that there is a form for, if it is later.
    let deadline = layout::time(key::deadline(record)).unwrap_or([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]);
    [&encoded[layout::CREATED_AT.start..layout::LAST_SEEN.end], &deadline].concat()
}

/// The answer of an operation within its time limit, which includes waiting for a connection.
pub(crate) fn in_time<T>(
    operation: &'static str,
    answer: Result<Result<T, StoreError>, Elapsed>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::new(StoreErrorKind::Timeout, "no answer in time; it may be executed yet");
    answer.map_err(late).flatten()
}

/// The record in the value of the key of session `id`, which may be absent.
pub(crate) fn record(operation: &'static str, id: &SessionId, value: Value) -> Result<Option<Record>, StoreError> {
    if let Value::BulkString(value) = value {
        Record::decode(*id, &value.into()).map(Some)
    } else if value == Value::Nil {
        Ok(None)
    } else {
        Err(not_understood(operation))
    }
}

pub(crate) fn text(id: &SessionId) -> Vec<u8> {
    id.to_string().into_bytes()
}

pub(crate) fn millis(time: Timestamp) -> Vec<u8> {
    time.as_millis().to_string().into_bytes()
}

pub(crate) fn version(version: Version) -> Vec<u8> {
    version.to_bytes().to_vec()
}

/// Lets others finish, if this operation met them more than once.
pub(crate) async fn pause(attempt: u32) {
    if attempt > 2 {
        let random = std::hash::RandomState::new().hash_one(attempt);
        tokio::time::sleep(Duration::from_micros(random % 4096)).await;
    }
}

pub(crate) fn in_backend(error: StoreError) -> StoreError {
    error
}

pub(crate) fn ambiguous(operation: &'static str) -> StoreError {
    let detail = "the connection was lost; it may have been executed, and somebody else has changed the session since";
    StoreError::new(StoreErrorKind::Unavailable, detail)
}

pub(crate) fn unavailable(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the runtime is shut down")
}

pub(crate) fn contended(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the sessions of the user kept changing")
}
