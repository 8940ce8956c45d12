//! The operations of [`SessionStore`], in terms of scripts.

use std::num::NonZeroU32;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome, Version,
    layout,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, Timestamp, UserId};

use crate::error::{self, Result};
use crate::script::{self, Answer, MAX_ATTEMPTS, Script, back_off, decode, text};
use crate::{RedisStore, key};

#[async_trait]
impl SessionStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>> {
        decode(id, self.link.in_time(self.link.load(self.keys.session(id))).await?)
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let CreateRequest { record, replaces, limit } = request;
        check_shard(record)?;
        let crosses_slots = |old: &Replacement<'_>| self.link.is_cluster() && old.id.shard() != record.id().shard();
        let Some(Replacement { id, user, version }) = replaces.filter(crosses_slots) else {
            return self.link.in_time(self.create_in_slot(request, now)).await;
        };
        // In a task of its own: a caller that is cancelled must not leave both sessions.
        let (store, record, user) = (self.clone(), record.clone(), user.cloned());
        let task = tokio::spawn(async move {
            let replaces = Some(Replacement { id, user: user.as_ref(), version });
            let request = CreateRequest { record: &record, replaces, limit };
            store.link.in_time(store.exchange(request, now)).await
        });
        task.await.unwrap_or_else(|_| Err(error::runtime_is_gone()))
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome> {
        check_shard(record)?;
        let (id, encoded) = (record.id(), record.encode()?);
        let of_index = record.user().map(|_| [text(id), key::index_entry(&encoded, record)]);
        let mut args = vec![encoded.into(), text(now.as_millis()), expected.to_bytes().into()];
        args.extend([text(record.summary.last_seen.as_millis()), key::ttl(record, now)]);
        args.extend(of_index.into_iter().flatten());
        let keys = self.keys.session_and_index(&id, record.user());
        let disconnects = self.link.disconnects();
        match self.link.in_time(self.link.write(&script::UPDATE, keys, args)).await?.word() {
            "applied" => Ok(UpdateOutcome::Applied),
            "absent" => Ok(UpdateOutcome::Absent),
            // Executed, the reply lost, executed again after another update? Core would apply the change twice.
            "conflict" if self.link.disconnects() != disconnects => Err(error::ambiguous()),
            "conflict" => Ok(UpdateOutcome::Conflict),
            _ => Err(error::unexpected_reply()),
        }
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome> {
        if is_foreign(id, user) {
            return Ok(TouchOutcome::Absent);
        }
        let keys = self.keys.session_and_index(id, user);
        let args = vec![layout::time(now)?.to_vec(), text(now.as_millis()), text(id)];
        match self.link.in_time(self.link.run(&script::TOUCH, keys, args)).await?.word() {
            "applied" => Ok(TouchOutcome::Applied),
            "absent" => Ok(TouchOutcome::Absent),
            _ => Err(error::unexpected_reply()),
        }
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome> {
        if is_foreign(id, user) {
            return Ok(DeleteOutcome::Absent);
        }
        let (keys, args) = (self.keys.session_and_index(id, user), vec![layout::owner(user), text(id)]);
        match self.link.in_time(self.link.write(&script::DELETE, keys, args)).await?.word() {
            "deleted" => Ok(DeleteOutcome::Deleted),
            "absent" => Ok(DeleteOutcome::Absent),
            _ => Err(error::unexpected_reply()),
        }
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>> {
        let records = self.link.in_time(self.over_members(user, &script::LIST, None)).await?.into_records()?;
        Ok(records.into_iter().filter(|record| !record.is_expired(now)).map(|record| record.summary).collect())
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>> {
        let keep = Some(keep.map(text).unwrap_or_default());
        self.link.in_time(self.over_members(user, &script::DELETE_BY_USER, keep)).await?.ids()
    }

    /// A no-op: Redis expires keys.
    async fn delete_expired(&self, _now: Timestamp, _limit: NonZeroU32) -> Result<u64> {
        Ok(0)
    }
}

impl RedisStore {
    /// Runs a script over all sessions of a user. A script must be given the keys it uses, so a first call asks for the
    /// members of the index, and the script acts only while they are the same. Two round trips; one if there are none.
    ///
    /// If they never are, because the user logs in faster than that, the last attempt acts on those that were there
    /// during this call.
    async fn over_members(&self, user: &UserId, script: &'static Script, keep: Option<Vec<u8>>) -> Result<Answer> {
        // The first call only asks. But that there is nothing left to delete has to be confirmed, too.
        let (link, mut members) = (&self.link, Vec::new());
        let confirm = keep.is_some() && link.waits_for_replicas();
        for attempt in 0..MAX_ATTEMPTS {
            let only_if_all = if attempt + 1 < MAX_ATTEMPTS { "1" } else { "0" };
            let keys = [self.keys.index(user)].into_iter().chain(members.iter().map(|id| self.keys.session(id)));
            let args = [only_if_all.into()].into_iter().chain(keep.clone()).chain(members.iter().map(text));
            let (keys, args, confirms) = (keys.collect(), args.collect(), confirm && attempt > 0);
            let answer =
                if confirms { link.write(script, keys, args).await? } else { link.run(script, keys, args).await? };
            match answer.word() {
                "done" if confirms == confirm => return Ok(answer),
                "done" => {}
                "changed" => members = answer.ids()?,
                _ => return Err(error::unexpected_reply()),
            }
            back_off(attempt).await;
        }
        Err(error::contended())
    }
}

/// Whether the id cannot be one of the user's: all of those are in the user's shard.
fn is_foreign(id: &SessionId, user: Option<&UserId>) -> bool {
    user.is_some_and(|user| user.shard() != id.shard())
}

/// Session keys are named after the shard of the id, and the index after that of the user: they must be the same.
fn check_shard(record: &Record) -> Result<()> {
    if is_foreign(&record.id(), record.user()) { Err(error::foreign_id()) } else { Ok(()) }
}
