//! Each recipe keeps what it promises.

mod deployment;
mod live;
mod outside;
mod pages;
mod proxy;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, ReferenceStore, StoreCall};
use session_kit::{Login, ManualClock, Policy, SessionManager, StoreError, StoreErrorKind, UserId, testing};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(30);

fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

/// Sessions in this process, and their clock.
fn sessions(policy: Policy) -> (SessionManager, ManualClock) {
    let clock = ManualClock::default();
    let store = Arc::new(session_kit::store::moka::MokaStore::new());
    (SessionManager::builder(store).policy(policy).clock(clock.clone()).build(), clock)
}

/// Sessions in a store that does what it is told.
fn sessions_with(store: impl Intercept) -> SessionManager {
    SessionManager::builder(Arc::new(Intercepted::new(ReferenceStore::new(), store))).build()
}

/// The cookie of somebody who is logged in.
async fn cookie_of(sessions: &SessionManager, user: &str) -> String {
    testing::log_in(sessions, Login::new(UserId::new(user).unwrap())).await.unwrap()
}

/// Whether the store fails.
#[derive(Clone, Debug, Default)]
struct Down(Arc<AtomicBool>);

impl Intercept for Down {
    async fn intercept<T: Send>(
        &self,
        _: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail")),
            false => execute.await,
        }
    }
}
