//! Loads that meet, sent as one `MGET`.
//!
//! A load that finds few others under way is sent at once. The others of the same moment, as many as the runtime has
//! ready to run, are collected and sent together: the more there is to do, the less each load costs the client and the
//! server. Nobody waits for the answer to somebody else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Value;
use session_core::store::Record;
use session_core::{SessionId, StoreError};
use tokio::sync::oneshot::{self, Sender};

use crate::answer::not_understood;
use crate::engine::{Engine, record, unavailable};
use crate::script::{Reply, Request};

/// How many are under way alone before others are collected.
const FEW: usize = 4;

/// So many callers have their answers before the runtime goes on with them: it sends their next requests, and the server
/// is at work while the others have theirs.
const ANSWERED_AT_ONCE: usize = 8;

const OPERATION: &str = "load";

#[derive(Default)]
pub(crate) struct Loads {
    alone: AtomicUsize,
    /// Whoever finds it empty has it collected.
    waiting: Mutex<Vec<Member>>,
}

/// The key, and who asks for it.
type Member = (Vec<u8>, Sender<Result<Value, StoreError>>);

/// One that is under way alone, until its caller has the answer or gives up.
struct Alone<'a>(&'a AtomicUsize);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Loads {
    fn waiting(&self) -> MutexGuard<'_, Vec<Member>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Reads the record of `id`, alone or with others. One round trip.
    pub(crate) async fn load(self: &Arc<Self>, id: &SessionId) -> Result<Option<Record>, StoreError> {
        let before = self.loads.alone.fetch_add(1, Ordering::Relaxed);
        let alone = Alone(&self.loads.alone);
        // One command cannot name keys of two slots of a Cluster.
        if before < FEW || self.cluster {
            return self.get(OPERATION, id).await;
        }
        drop(alone);
        let (reply, replied) = oneshot::channel();
        let is_first = {
            let mut waiting = self.loads.waiting();
            waiting.push((self.keys.session(id), reply));
            waiting.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).collect());
        }
        record(OPERATION, id, replied.await.unwrap_or_else(|_| Err(unavailable(OPERATION)))?)
    }

    async fn collect(self: Arc<Self>) {
        // Behind all that are ready to run.
        tokio::task::yield_now().await;
        let members = std::mem::take(&mut *self.loads.waiting());
        let (keys, callers): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let reply = self.link.run(OPERATION, &Request::GetMany(keys), None).await;
        let values = |reply: Reply| if let Value::Array(values) = reply.value { values } else { Vec::new() };
        let mut values = reply.map(|reply| values(reply).into_iter());
        for (answered, caller) in (1..).zip(callers) {
            // An error here: its caller is gone.
            let _ = caller.send(match &mut values {
                Ok(values) => values.next().ok_or_else(|| not_understood(OPERATION)),
                Err(error) => Err(error.clone()),
            });
            if answered % ANSWERED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}
