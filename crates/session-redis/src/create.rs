//! `create`: a new session, in exchange for another, under a limit.

use session_core::store::{CreateOutcome, CreateRequest, Replacement, Version};
use session_core::{SessionId, Timestamp, UserId};

use crate::error::{self, Result};
use crate::script::{self, Answer, IndexSnapshot, MAX_ATTEMPTS, back_off, decode, text};
use crate::{RedisStore, key};

impl RedisStore {
    /// `create` where all keys are in one slot. One round trip; two at the limit, because the keys of evicted sessions
    /// have to be named; more only if other logins of the user get in between.
    pub(crate) async fn create_in_slot(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let CreateRequest { record, replaces, limit } = request;
        let id = record.id();
        let encoded = record.encode()?;
        let entry = key::index_entry(&encoded, record);
        // What does not apply is named by the key of the new session: all names have to be in one slot.
        let session = self.keys.session(&id);
        let index = |user: Option<&UserId>| user.map_or_else(|| session.clone(), |user| self.keys.index(user));
        let (old, old_index, old_id, old_version) = match replaces {
            Some(old) => (self.keys.session(&old.id), index(old.user), text(old.id), old.version.to_bytes().into()),
            None => (session.clone(), session.clone(), Vec::new(), Vec::new()),
        };
        let keys = [session.clone(), index(record.user()), old, old_index];
        let mut args = vec![encoded.into(), text(now.as_millis()), text(id), key::ttl(record, now), entry];
        args.extend([old_id, old_version, text(limit.map_or(0, |limit| limit.max.get()))]);

        let (mut snapshot, mut evicted, mut lock) = (IndexSnapshot::default(), Vec::new(), None);
        for attempt in 0..MAX_ATTEMPTS {
            snapshot.put_first(&evicted);
            let (mut keys, mut args) = (keys.to_vec(), args.clone());
            args.push(text(evicted.len()));
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
    pub(crate) async fn exchange(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let Some(old) = request.replaces else { return self.create_in_slot(request, now).await };
        let new = request.record;
        let found = self.live_version(&old.id, now).await?;
        if found != Some(old.version) {
            // Unless this call is a repetition.
            return Ok(match self.live_version(&new.id(), now).await? {
                Some(version) if version == new.version => CreateOutcome::Created { evicted: Vec::new() },
                Some(_) => CreateOutcome::IdTaken,
                None if found.is_some() => CreateOutcome::ReplacedChanged,
                None => CreateOutcome::ReplacedAbsent,
            });
        }
        let created = self.create_in_slot(CreateRequest { replaces: None, ..request }, now).await?;
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
        let keys = self.keys.session_and_index(&session.id, session.user);
        let args = vec![session.version.to_bytes().into(), text(now.as_millis()), text(session.id)];
        self.link.write(&script::COMPARE_AND_DELETE, keys, args).await
    }
}
