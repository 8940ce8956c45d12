//! What goes on after its caller has gone: commits that were begun, and the end of logins that no client received.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::patience::Patience;
use crate::event::{EventKind, Reporter};
use crate::model::id::UserId;

/// How many tasks may be under way. Each holds a session and waits for the store: a store that is down for long must
/// not fill the memory.
const CAPACITY: usize = 4096;

/// The tasks of one manager. Costs nothing as long as no caller goes away.
pub(super) struct Background {
    reporter: Arc<Reporter>,
    tasks: AtomicUsize,
    /// For each user, how many sessions are to be ended for which nothing was heard of the store yet.
    unsettled: Mutex<HashMap<UserId, usize>>,
    users: AtomicUsize,
    changed: Notify,
    /// Where the manager worked first: for what is dropped outside of a runtime.
    runtime: OnceLock<Handle>,
}

impl Background {
    pub(super) fn new(reporter: Arc<Reporter>) -> Self {
        let (tasks, users) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { reporter, tasks, unsettled: Mutex::default(), users, changed: Notify::new(), runtime: OnceLock::new() }
    }

    /// Runs `work` to its end, on this runtime, or else on that of earlier work. Given up, with an event, if there is
    /// neither, if there is no room, or if the runtime ends first.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let here = Handle::try_current().ok();
        if let Some(runtime) = here.as_ref().or(self.runtime.get())
            && let Some(task) = Task::begin(self)
        {
            runtime.spawn(async move {
                work.await;
                task.finish();
            });
        } else {
            self.reporter.report(EventKind::Abandoned, None, None, None);
        }
    }

    /// Remembers the present runtime, if there is one and none is remembered yet.
    fn remember_runtime(&self) {
        if self.runtime.get().is_none()
            && let Ok(here) = Handle::try_current()
        {
            let _ = self.runtime.set(here);
        }
    }

    /// Waits until no task is left, at most for `patience`. Returns how many are.
    pub(super) async fn drain(&self, patience: Duration) -> usize {
        self.wait(patience, || self.tasks.load(Ordering::SeqCst) == 0).await;
        self.tasks.load(Ordering::SeqCst)
    }

    /// Notes that a session of `user` is to be ended.
    pub(super) fn unsettled(self: &Arc<Self>, user: &UserId) -> Unsettled {
        let mut users = self.lock();
        *users.entry(user.clone()).or_default() += 1;
        self.users.store(users.len(), Ordering::SeqCst);
        Unsettled { background: Arc::clone(self), user: user.clone() }
    }

    /// Waits until the store has answered about every session of `user` that is to be ended, at most for `patience`.
    pub(super) async fn settle(&self, user: &UserId, patience: Duration) {
        let is_settled = || self.users.load(Ordering::SeqCst) == 0 || !self.lock().contains_key(user);
        if !is_settled() {
            Box::pin(self.wait(patience, is_settled)).await;
        }
    }

    async fn wait(&self, patience: Duration, is_over: impl Fn() -> bool) {
        let patience = Patience::begin(patience);
        loop {
            let changed = self.changed.notified();
            if is_over() || patience.limit(changed).await.is_none() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// A place among the tasks.
struct Task {
    background: Arc<Background>,
    is_finished: bool,
}

impl Task {
    fn begin(background: &Arc<Background>) -> Option<Self> {
        let more = |tasks| (tasks < CAPACITY).then_some(tasks + 1);
        background.tasks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Self { background: Arc::clone(background), is_finished: false })
    }

    fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.is_finished {
            self.background.reporter.report(EventKind::Abandoned, None, None, None);
        }
        self.background.tasks.fetch_sub(1, Ordering::SeqCst);
        self.background.changed.notify_waiters();
    }
}

/// While it exists, logins of a user wait: see [`Background::settle`].
pub(super) struct Unsettled {
    background: Arc<Background>,
    user: UserId,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        let mut users = self.background.lock();
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
        self.background.users.store(users.len(), Ordering::SeqCst);
        drop(users);
        self.background.changed.notify_waiters();
    }
}

/// Work that is finished, whether or not anything waits for it: dropped once it has begun, it goes on in the background.
pub(crate) struct Persistent<T: Send + 'static> {
    /// `None` once it is done.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    background: Arc<Background>,
    has_begun: bool,
}

impl<T: Send + 'static> Persistent<T> {
    pub(super) fn new(background: &Arc<Background>, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), background: Arc::clone(background), has_begun: false }
    }
}

impl<T: Send + 'static> Future for Persistent<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out: a closure of the application that panics must not be run again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
            if !self.has_begun {
                self.has_begun = true;
                self.background.remember_runtime();
            }
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Persistent<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take().filter(|_| self.has_begun) {
            self.background.spawn(async move { drop(work.await) });
        }
    }
}
