//! The operations of [`SessionStore`], in terms of scripts.

use std::num::NonZeroU32;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Feed, FollowError, Freshness, Listing, Page, Record, Replacement,
    SessionStore, TouchOutcome, UpdateOutcome, Version, layout,
};
use session_core::{DeleteOutcome, SessionId, Timestamp, UserId};

use crate::RedisStore;
use crate::error::{self, Result};
use crate::script::{self, Answer, IndexSnapshot, MAX_ATTEMPTS, Script, back_off, decode, index_entry, text, ttl};

#[async_trait]
impl SessionStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>> {
        decode(id, self.link.in_time(self.link.load(self.keys.session(id))).await?)
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let CreateRequest { record, replaces, limit, visitors } = request;
        check_shard(record)?;
        let crosses_slots = |old: &Replacement<'_>| self.link.is_cluster() && old.id.shard() != record.id().shard();
        let Some(Replacement { id, user, version }) = replaces.filter(crosses_slots) else {
            return self.link.in_time(self.create_with_room(request, now)).await;
        };
        // In a task of its own: a caller that is cancelled, or whose runtime ends, must not leave both sessions.
        let (store, record, user) = (self.clone(), record.clone(), user.cloned());
        let task = self.link.runtime().spawn(async move {
            let replaces = Some(Replacement { id, user: user.as_ref(), version });
            let request = CreateRequest { record: &record, replaces, limit, visitors };
            store.link.in_time(store.exchange(request, now)).await
        });
        task.await.unwrap_or_else(|_| Err(error::runtime_is_gone()))
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome> {
        check_shard(record)?;
        let (disconnects, update) = (self.link.disconnects(), || self.write_update(record, expected, now));
        let outcome = match record.user() {
            Some(_) => self.link.in_time(self.with_room(&record.id(), now, update)).await?.0,
            None => self.link.in_time(update()).await?,
        };
        // Executed, the reply lost, executed again after another update? Core would apply the change twice.
        let may_be_ours = outcome == UpdateOutcome::Conflict && self.link.disconnects() != disconnects;
        if may_be_ours { Err(error::ambiguous()) } else { Ok(outcome) }
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome> {
        if is_foreign(id, user) {
            return Ok(TouchOutcome::Absent);
        }
        let (keys, args) = (self.keys.session_and_index(id, user).into(), vec![layout::time(now)?.to_vec()]);
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
        let keys = self.keys.session_and_index(id, user).into();
        let args = [layout::owner(user)].into_iter().chain(self.channel()).collect();
        match self.link.in_time(self.link.write(&script::DELETE, keys, args)).await?.word() {
            "deleted" => Ok(DeleteOutcome::Deleted),
            "absent" => Ok(DeleteOutcome::Absent),
            _ => Err(error::unexpected_reply()),
        }
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing> {
        let list = self.over_members(self.keys.index(user), user.shard(), &script::LIST, &[]);
        self.link.in_time(list).await?.listing(now)
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>, now: Timestamp) -> Result<Listing> {
        let keep = [keep.map(text).unwrap_or_default()];
        let delete = self.over_members(self.keys.index(user), user.shard(), &script::DELETE_BY_USER, &keep);
        self.link.in_time(delete).await?.listing(now)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page> {
        self.link.in_time(self.page(after, limit, now)).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count> {
        self.link.in_time(self.count_live(now)).await
    }

    /// A no-op: Redis expires keys.
    async fn delete_expired(&self, _now: Timestamp, _limit: NonZeroU32) -> Result<u64> {
        Ok(0)
    }

    fn follow(&self) -> std::result::Result<Option<Box<dyn Feed>>, FollowError> {
        Ok(Some(Box::new(self.feed()?)))
    }
}

impl RedisStore {
    /// One round trip; two if what it replaces was touched since it was read.
    async fn write_update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome> {
        let (id, encoded) = (record.id(), record.encode()?);
        if let Some(outcome) = self.replace_unmoved(record, &encoded, expected, now).await? {
            return Ok(outcome);
        }
        let (keys, entry) = (self.keys.session_and_index(&id, record.user()).into(), index_entry(&encoded, record));
        let mut args = vec![encoded.into(), text(now.as_millis()), expected.to_bytes().into(), ttl(record, now), entry];
        args.extend(self.channel());
        match self.link.write(&script::UPDATE, keys, args).await?.word() {
            "applied" => Ok(UpdateOutcome::Applied),
            "conflict" => Ok(UpdateOutcome::Conflict),
            "absent" => Ok(UpdateOutcome::Absent),
            _ => Err(error::unexpected_reply()),
        }
    }

    /// `create` where all keys are in one slot. One round trip; two at the limit, because the keys of evicted sessions
    /// have to be named; more only if other logins of the user get in between.
    pub(crate) async fn create_in_slot(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let (CreateRequest { record, replaces, .. }, limit) = (request, request.limit_of_owner());
        let (id, encoded) = (record.id(), record.encode()?);
        let entry = index_entry(&encoded, record);
        // What does not apply is named by the key of the new session: all names have to be in one slot.
        let [session, mut index] = self.keys.session_and_index(&id, record.user());
        if record.user().is_none() && limit.is_none() {
            index.clone_from(&session);
        }
        let ([old, old_index], old_version) = match replaces {
            Some(old) => (self.keys.session_and_index(&old.id, old.user), old.version.to_bytes().into()),
            None => ([session.clone(), session.clone()], Vec::<u8>::new()),
        };
        let keys = [session, index, old, old_index];
        let (at, max) = (layout::time(now)?, limit.map_or(0, |limit| limit.max.get()).to_be_bytes());
        let channel = self.channel().unwrap_or_default();

        let (mut snapshot, mut evicted, mut lock) = (IndexSnapshot::default(), Vec::new(), None);
        for attempt in 0..MAX_ATTEMPTS {
            snapshot.put_first(&evicted);
            let (mut keys, evictions) = (keys.to_vec(), u32::try_from(evicted.len()).unwrap_or(u32::MAX).to_be_bytes());
            let numbers = [&at[..], &max, &evictions, &channel].concat();
            let mut args = vec![encoded.to_vec(), numbers, ttl(record, now), entry.clone(), old_version.clone()];
            for (id, entry) in &snapshot.0 {
                keys.push(self.keys.session(id));
                args.extend([text(id), entry.to_vec()]);
            }
            let answer = self.link.write(&script::CREATE, keys, args).await?;
            match answer.word() {
                // There was room by then: nothing was evicted.
                "created" => return Ok(CreateOutcome::Created { evicted: Vec::new() }),
                "evicted" => return Ok(CreateOutcome::Created { evicted }),
                "id taken" => return Ok(CreateOutcome::IdTaken),
                "replaced absent" => return Ok(CreateOutcome::ReplacedAbsent),
                "replaced changed" => return Ok(CreateOutcome::ReplacedChanged),
                "full" => {}
                _ => return Err(error::unexpected_reply()),
            }
            let (limit, latest) = limit.zip(answer.snapshot()).ok_or_else(error::unexpected_reply)?;
            match limit.select_evictions(latest.candidates()) {
                Some(selected) => evicted = selected,
                // The second answer is certain: the script has checked that these sessions exist.
                None if latest == snapshot => return Ok(CreateOutcome::LimitReached),
                None => evicted.clear(),
            }
            snapshot = latest;
            if attempt > 0 && lock.is_none() {
                lock = Some(self.login_locks[usize::from(id.shard()) % self.login_locks.len()].lock().await);
            }
            back_off(attempt).await;
        }
        Err(error::contended())
    }

    /// `create` in a Cluster, in exchange for a session in another slot: checks, creates, then deletes the old
    /// session if it has not changed, or else rolls the new one back. Three round trips.
    ///
    /// A process that dies in between leaves both sessions: the old one as it was, and a new one whose token was never
    /// issued to a client.
    async fn exchange(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let Some(old) = request.replaces else { return self.create_in_slot(request, now).await };
        let (new, found) = (request.record, self.live_version(&old.id, now).await?);
        if found != Some(old.version) {
            // Unless this call is a repetition.
            return Ok(match self.live_version(&new.id(), now).await? {
                Some(version) if version == new.version => CreateOutcome::Created { evicted: Vec::new() },
                Some(_) => CreateOutcome::IdTaken,
                None if found.is_some() => CreateOutcome::ReplacedChanged,
                None => CreateOutcome::ReplacedAbsent,
            });
        }
        let created = self.create_with_room(CreateRequest { replaces: None, ..request }, now).await?;
        if !matches!(created, CreateOutcome::Created { .. }) {
            return Ok(created);
        }
        let disconnects = self.link.disconnects();
        let refusal = match self.compare_and_delete(old, now).await?.word() {
            "deleted" => return Ok(created),
            // Deleted by the first of two executions, or by another request.
            "absent" if self.link.disconnects() != disconnects => return Err(error::ambiguous()),
            "absent" => CreateOutcome::ReplacedAbsent,
            "changed" => CreateOutcome::ReplacedChanged,
            _ => return Err(error::unexpected_reply()),
        };
        self.compare_and_delete(Replacement::of(new), now).await?;
        Ok(refusal)
    }

    async fn live_version(&self, id: &SessionId, now: Timestamp) -> Result<Option<Version>> {
        let stored = decode(id, self.link.load(self.keys.session(id)).await?)?;
        Ok(stored.filter(|stored| !stored.is_expired(now)).map(|stored| stored.version))
    }

    async fn compare_and_delete(&self, session: Replacement<'_>, now: Timestamp) -> Result<Answer> {
        let keys = self.keys.session_and_index(&session.id, session.user).into();
        let args = vec![session.version.to_bytes().into(), text(now.as_millis())];
        self.link.write(&script::COMPARE_AND_DELETE, keys, args).await.map_err(|error| error::half_done(&error))
    }

    /// Runs a script over all sessions in an index. A script must be given the keys it uses, so a first call asks for the
    /// members of the index, and the script acts only while they are the same. Two round trips; one if there are none.
    ///
    /// If they never are, because sessions begin faster than that, the last attempt acts on those that were there
    /// during this call.
    pub(crate) async fn over_members(
        &self,
        index: Vec<u8>,
        shard: u16,
        script: &'static Script,
        args: &[Vec<u8>],
    ) -> Result<Answer> {
        // The first call only asks. But that there is nothing left to delete has to be confirmed, too.
        let (link, given, mut members) = (&self.link, args, Vec::new());
        let confirm = !script.is_read() && link.waits_for_replicas();
        let channel = self.channel().filter(|_| !script.is_read()).unwrap_or_default();
        for attempt in 0..MAX_ATTEMPTS {
            let only_if_all = [if attempt + 1 < MAX_ATTEMPTS { b"1" } else { b"0" }, &channel[..]].concat();
            let session = |name: &Vec<u8>| self.keys.member(shard, name);
            let keys = [index.clone()].into_iter().chain(members.iter().map(session));
            let args = [only_if_all].into_iter().chain(given.iter().cloned()).chain(members.iter().cloned());
            let (keys, args, confirms) = (keys.collect(), args.collect(), confirm && attempt > 0);
            let answer =
                if confirms { link.write(script, keys, args).await? } else { link.run(script, keys, args).await? };
            match answer.word() {
                "done" if confirms == confirm => return Ok(answer),
                "done" => {}
                "changed" => members = answer.members(),
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
