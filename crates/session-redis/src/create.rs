//! `create`: a new session, in exchange for another, under a limit.

use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement, Version};
use session_core::{SessionId, StoreError, Timestamp, UserId};

use crate::answer::{Answer, Seen, not_understood};
use crate::engine::{self, ATTEMPTS, Engine, ambiguous, contended, millis, pause, text, version};
use crate::{key, script};

const OPERATION: &str = "create";

impl Engine {
    /// `create` where one script can do it all: one round trip; two at the limit, because the victims' keys have to be
    /// named, and more only if others log the same user in meanwhile.
    pub(crate) async fn admit(
        &self,
        admission: CreateRequest<'_>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let CreateRequest { record, replaces, limit } = admission;
        let encoded = record.encode()?;
        let life = key::life(record, now).to_string().into_bytes();
        let entry = engine::entry(&encoded, record);
        let mut args = vec![encoded.into(), millis(now), text(&record.summary.id), life, entry];
        // What does not apply is named by the key of the new session: every name has to be in the same slot.
        let absent = || self.keys.session(&record.summary.id);
        let mut keys = vec![absent(), record.user().map_or_else(absent, |user| self.keys.index(user))];
        match replaces {
            Some(old) => {
                keys.extend([self.keys.session(&old.id), old.user.map_or_else(absent, |user| self.keys.index(user))]);
                args.extend([text(&old.id), version(old.version)]);
            }
            None => {
                keys.extend([absent(), absent()]);
                args.extend([Vec::new(), Vec::new()]);
            }
        }
        args.push(limit.map_or(0, |limit| limit.max.get()).to_string().into_bytes());

        let (mut seen, mut victims) = (Seen::default(), Vec::new());
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            seen.put_first(&victims);
            let (mut keys, mut args) = (keys.clone(), args.clone());
            args.push(victims.len().to_string().into_bytes());
            for (id, entry) in &seen.0 {
                keys.push(self.keys.session(id));
                args.extend([text(id), entry.to_vec()]);
            }
            let answer = self.write(OPERATION, record.summary.id.shard(), &script::CREATE, keys, args).await?;
            match answer.word() {
                // There was room by then, whoever was chosen to go.
                "created" => return Ok(CreateOutcome::Created { evicted: Vec::new() }),
                "evicted" => return Ok(CreateOutcome::Created { evicted: victims }),
                "occupied" => return Ok(CreateOutcome::IdTaken),
                "replaced absent" => return Ok(CreateOutcome::ReplacedAbsent),
                "replaced changed" => return Ok(CreateOutcome::ReplacedChanged),
                "full" => {}
                _ => return Err(not_understood(OPERATION)),
            }
            let (Some(limit), Some(now_seen)) = (limit, Seen::parse(answer.rest())) else {
                return Err(not_understood(OPERATION));
            };
            match limit.select_evictions(now_seen.occupants()) {
                Some(chosen) => victims = chosen,
                // The second answer is certain: the script has looked whether the sessions are there.
                None if now_seen == seen => return Ok(CreateOutcome::LimitReached),
                None => victims.clear(),
            }
            seen = now_seen;
            if attempt > 0 && turn.is_none() {
                turn = Some(self.turn(record.summary.id.shard()).await);
            }
            pause(attempt).await;
        }
        Err(contended(OPERATION))
    }

    /// `create` in a Cluster, in exchange for a session in another slot: looks, creates, then deletes the other one if
    /// it has not changed, else takes the new one back. Three round trips.
    ///
    /// A process that dies in between leaves both sessions: the old one as it was, and a new one whose token nobody
    /// has.
    pub(crate) async fn exchange(
        &self,
        admission: CreateRequest<'_>,
        replaces: Replacement<'_>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let record = admission.record;
        let live = |stored: Option<Record>| stored.filter(|stored| !stored.is_expired(now));
        let refusal = match live(self.get(OPERATION, &replaces.id).await?) {
            Some(old) if old.version == replaces.version => None,
            Some(_) => Some(CreateOutcome::ReplacedChanged),
            None => Some(CreateOutcome::ReplacedAbsent),
        };
        if let Some(refusal) = refusal {
            // Unless this call is a repetition.
            return Ok(match live(self.get(OPERATION, &record.summary.id).await?) {
                Some(stored) if stored.version == record.version => CreateOutcome::Created { evicted: Vec::new() },
                Some(_) => CreateOutcome::IdTaken,
                None => refusal,
            });
        }
        let created = self.admit(CreateRequest { replaces: None, ..admission }, now).await?;
        if !matches!(created, CreateOutcome::Created { .. }) {
            return Ok(created);
        }
        let losses = self.losses();
        let refusal = match self.retire(&replaces.id, replaces.user, replaces.version, now).await?.word() {
            "deleted" => return Ok(created),
            // Deleted by the first of two executions, or by somebody else.
            "absent" if self.losses() != losses => return Err(ambiguous(OPERATION)),
            "absent" => CreateOutcome::ReplacedAbsent,
            "changed" => CreateOutcome::ReplacedChanged,
            _ => return Err(not_understood(OPERATION)),
        };
        self.retire(&record.summary.id, record.user(), record.version, now).await?;
        Ok(refusal)
    }

    /// Deletes a session if it has this version.
    async fn retire(
        &self,
        id: &SessionId,
        user: Option<&UserId>,
        of: Version,
        now: Timestamp,
    ) -> Result<Answer, StoreError> {
        let args = vec![version(of), millis(now), text(id)];
        self.write(OPERATION, id.shard(), &script::RETIRE, self.pair(id, user), args).await
    }
}
