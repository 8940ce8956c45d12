//! Room for logins on a server that has reached its `maxmemory`.

use session_core::store::{CreateOutcome, CreateRequest};
use session_core::{SessionId, StoreErrorKind, Timestamp, VisitorLimit};
use tokio::task::JoinSet;

use crate::RedisStore;
use crate::error::{self, Result};
use crate::script::{self, text};

/// How often visitors end for one login: others may take what memory there is.
const MAX_ATTEMPTS: u32 = 8;
/// How many keys of the server are looked at, to find some that are of visitors. Twice as many with each attempt: a server
/// may be beyond its limit by what a larger table of keys has taken.
const SAMPLE: u32 = 16;

impl RedisStore {
    /// [`create_in_slot`](Self::create_in_slot). If the server has no memory for the session of a user, visitors end until it
    /// has, all of some shards. Four more round trips for each attempt.
    pub(crate) async fn create_with_room(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let mut ended = Vec::new();
        for attempt in 0.. {
            match (self.create_in_slot(request, now).await, request.visitors) {
                (Err(error), Some(visitors))
                    if error.kind() == StoreErrorKind::Full
                        && request.record.user().is_some()
                        && attempt < MAX_ATTEMPTS =>
                {
                    let sample = SAMPLE << attempt;
                    ended.extend(self.end_visitors(visitors, &request.record.id(), sample, now).await?);
                }
                (Ok(CreateOutcome::Created { evicted }), _) => {
                    return Ok(CreateOutcome::Created { evicted: [evicted, ended].concat() });
                }
                (outcome, _) => return outcome,
            }
        }
        Err(error::contended())
    }

    /// Ends some visitors on the server of `id`, in other shards if there are any.
    async fn end_visitors(
        &self,
        limit: VisitorLimit,
        id: &SessionId,
        sample: u32,
        now: Timestamp,
    ) -> Result<Vec<SessionId>> {
        let (key, prefix) = (self.keys.session(id), self.keys.prefix());
        let args = vec![prefix, text(limit.shards()), text(sample)];
        let found = self.link.run(&script::VISITORS, vec![key], args).await?.members();
        let shard = |digits: &Vec<u8>| u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let mut shards: Vec<u16> = found.iter().filter_map(shard).collect();
        if shards.iter().any(|shard| *shard != id.shard()) {
            shards.retain(|shard| *shard != id.shard());
        }
        let mut tasks = JoinSet::new();
        for shard in shards {
            let store = self.clone();
            let end = async move {
                let keep = [Vec::new()];
                store.over_members(store.keys.visitors(shard), shard, &script::DELETE_BY_USER, &keep).await
            };
            tasks.spawn_on(end, self.link.runtime());
        }
        let mut ended = Vec::new();
        while let Some(answer) = tasks.join_next().await {
            ended.extend(answer.map_err(|_| error::runtime_is_gone())??.listing(now)?.ids());
        }
        Ok(ended)
    }
}
