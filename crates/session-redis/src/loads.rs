//! Loads that meet, sent as one `MGET`.
//!
//! A load that finds few others under way is sent at once. The others are collected, as many as the runtime has ready to
//! run, and sent together: the more there is to do, the less each load costs the client and the server. Nobody waits for
//! an answer to others before being sent, unless there are many.

use std::sync::{Arc, MutexGuard, PoisonError};

use redis::Value;
use session_core::StoreError;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Sender};

use crate::answer::not_understood;
use crate::engine::{Engine, unavailable};
use crate::script::{Reply, Request};

/// How many requests are under way before others are collected.
const FEW: usize = 4;
/// How many are under way before those that are collected wait for an answer to one of them.
const MOST: usize = 8;
/// The most that are sent as one: the server does nothing else meanwhile.
const LARGEST: usize = 128;

const OPERATION: &str = "load";

/// The loads of a store.
#[derive(Default)]
pub(crate) struct Line {
    under_way: usize,
    waiting: Vec<Member>,
    /// Whether somebody is about to collect those that wait.
    collecting: bool,
}

struct Member {
    key: Vec<u8>,
    reply: Sender<Result<Value, StoreError>>,
}

/// The place of a request that is under way. Whoever leaves it, be it because its caller is gone, leaves it to those that
/// wait.
struct Place {
    engine: Arc<Engine>,
    /// Whether it is one that is about to collect.
    collects: bool,
}

impl Engine {
    /// The value of a key. One round trip.
    pub(crate) async fn load(self: &Arc<Self>, key: Vec<u8>) -> Result<Value, StoreError> {
        let place = Place { engine: Arc::clone(self), collects: false };
        let under_way = {
            let mut line = self.line();
            line.under_way += 1;
            line.under_way
        };
        if under_way <= FEW {
            return Ok(self.link.run(OPERATION, &Request::Get(key), None).await?.value);
        }
        let (reply, replied) = oneshot::channel();
        self.line().waiting.push(Member { key, reply });
        drop(place);
        replied.await.unwrap_or_else(|_| Err(unavailable(OPERATION)))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    async fn collect(mut self) {
        // Behind all that are ready to run.
        tokio::task::yield_now().await;
        let members: Vec<Member> = {
            let mut line = self.engine.line();
            (self.collects, line.collecting) = (false, false);
            let count = line.waiting.len().min(LARGEST);
            line.waiting.drain(..count).filter(|member| !member.reply.is_closed()).collect()
        };
        if members.is_empty() {
            return;
        }
        let (keys, callers): (Vec<_>, Vec<_>) = members.into_iter().map(|member| (member.key, member.reply)).unzip();
        let outcome = self.engine.link.run(OPERATION, &Request::GetMany(keys), None).await;
        drop(self);
        let values = |reply: Reply| if let Value::Array(values) = reply.value { values } else { Vec::new() };
        let mut values = outcome.map(|reply| values(reply).into_iter());
        for caller in callers {
            // An error here: its caller is gone.
            let _ = caller.send(match &mut values {
                Ok(values) => values.next().ok_or_else(|| not_understood(OPERATION)),
                Err(error) => Err(error.clone()),
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.engine.line();
        let waits = !line.waiting.is_empty() && !line.collecting && line.under_way <= MOST;
        match Handle::try_current() {
            Ok(runtime) if waits && !self.collects => {
                line.collecting = true;
                drop(line);
                runtime.spawn(Self { engine: Arc::clone(&self.engine), collects: true }.collect());
            }
            Ok(_) if !self.collects => line.under_way -= 1,
            // The runtime ends, and with it those who wait.
            Ok(_) | Err(_) => {
                line.under_way -= 1;
                line.collecting = false;
                let waiting = std::mem::take(&mut line.waiting);
                drop(line);
                drop(waiting);
            }
        }
    }
}
