//! Each recipe keeps what it promises.

mod deployment;
mod live;
mod outside;
mod pages;
mod users;

use std::sync::Arc;

use session_conformance::{Intercept, Intercepted, ReferenceStore};
use session_kit::{Login, ManualClock, Policy, SessionManager, UserId};

use crate::example::testing::log_in;

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
    log_in(sessions, Login::new(UserId::new(user).unwrap())).await.unwrap()
}
