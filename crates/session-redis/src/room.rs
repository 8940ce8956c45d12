//! Room for users on a server that has reached its `maxmemory`.

use session_core::store::{CreateOutcome, CreateRequest};
use session_core::{SessionId, StoreErrorKind, Timestamp};
use tokio::task::JoinSet;

use crate::RedisStore;
use crate::error::{self, Result};
use crate::script::{self, text};

/// How often visitors end for one operation: others may take what memory there is.
const MAX_ATTEMPTS: u32 = 8;
/// How many keys of the server are looked at, to find some that are of visitors. Twice as many with each attempt: a server
/// may be beyond its limit by what a larger table of keys has taken.
const SAMPLE: u32 = 16;

impl RedisStore {
    /// [`create_in_slot`](Self::create_in_slot), for which visitors end on a full server unless it is for one of them.
    pub(crate) async fn create_with_room(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome> {
        let (id, replaces_user) = (request.record.id(), request.replaces.is_some_and(|old| old.user.is_some()));
        let create = || self.create_in_slot(request, now);
        if request.visitor().is_some() && !replaces_user {
            return create().await;
        }
        Ok(match self.with_room(&id, now, create).await? {
            (CreateOutcome::Created { evicted }, ended) => {
                CreateOutcome::Created { evicted: [evicted, ended].concat() }
            }
            (outcome, _) => outcome,
        })
    }

    /// Does what `operation` does for session `id`, which is no visitor's. If the server has no memory for it, visitors end until
    /// it has, all of some shards: up to four more round trips for each attempt. Returns who ended, too.
    pub(crate) async fn with_room<T, F>(
        &self,
        id: &SessionId,
        now: Timestamp,
        operation: impl Fn() -> F,
    ) -> Result<(T, Vec<SessionId>)>
    where
        F: Future<Output = Result<T>>,
    {
        let mut ended = Vec::new();
        for attempt in 0..MAX_ATTEMPTS {
            match operation().await {
                Err(error) if error.kind() == StoreErrorKind::Full => {
                    ended.extend(self.end_visitors(id, SAMPLE << attempt, now).await?);
                }
                answer => return answer.map(|answer| (answer, ended)),
            }
        }
        operation().await.map(|answer| (answer, ended))
    }

    /// Ends some visitors on the server of `id`, in other shards if there are any.
    async fn end_visitors(&self, id: &SessionId, sample: u32, now: Timestamp) -> Result<Vec<SessionId>> {
        let args = vec![self.keys.prefix(), text(sample)];
        let found = self.link.run(&script::VISITORS, vec![self.keys.session(id)], args).await?.members();
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
