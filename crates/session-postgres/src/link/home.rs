//! [`Home`]: the runtime that a store lives in.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The runtime in which a store opens its connections, and does what outlives a call. A connection works only while the
/// runtime lives that it was opened in, and the runtime of a caller may end at any time.
#[derive(Debug)]
pub(crate) struct Home {
    runtime: Handle,
    /// A task that waits forever: it ends with its runtime, of which nothing else tells that it has ended.
    sentinel: AbortHandle,
}

impl Home {
    /// The runtime of the caller, if there is one.
    pub(crate) fn here() -> Option<Arc<Self>> {
        let runtime = Handle::try_current().ok()?;
        let sentinel = runtime.spawn(std::future::pending::<()>()).abort_handle();
        Some(Arc::new(Self { runtime, sentinel }))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.sentinel.is_finished()
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.sentinel.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_home_ends_with_its_runtime() {
        assert!(Home::here().is_none());
        for runtime in [Builder::new_current_thread().build(), Builder::new_multi_thread().worker_threads(1).build()] {
            let runtime = runtime.unwrap();
            let home = runtime.block_on(async { Home::here().unwrap() });
            assert!(!home.has_ended());
            drop(runtime);
            assert!(home.has_ended());
        }
    }
}
