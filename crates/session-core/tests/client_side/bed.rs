//! A browser, and the manager that it meets.

use std::sync::Arc;

use session_core::adapter::RequestSession;
use session_core::store::SessionStore;
use session_core::{Error, ManualClock, Policy, Session, SessionManager, UserId};

use crate::plain::Plain;

/// Someone with one cookie.
pub(crate) struct Browser {
    pub(crate) manager: SessionManager,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(manager: &SessionManager) -> Self {
        Self { manager: manager.clone(), cookie: None }
    }

    pub(crate) fn copy(&self) -> Self {
        Self { manager: self.manager.clone(), cookie: self.cookie.clone() }
    }

    pub(crate) async fn request<T>(&mut self, act: impl FnOnce(&Session) -> T) -> Result<T, Error> {
        let header = self.cookie.as_ref().map(|cookie| format!("__Host-id={cookie}"));
        let presented = self.manager.read_cookie(header.as_deref().map(str::as_bytes));
        let request = RequestSession::new(self.manager.clone(), presented);
        let answer = act(request.session().await?);
        let (outcome, headers) = request.finish().await;
        if let Some(set) = headers.set_cookie {
            let value = set.expose().split(['=', ';']).nth(1).unwrap().to_owned();
            self.cookie = Some(value).filter(|value| !value.is_empty());
        }
        outcome.map(|()| answer)
    }

    pub(crate) async fn user(&mut self) -> Option<UserId> {
        self.request(Session::user).await.unwrap()
    }
}

pub(crate) fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

pub(crate) fn manager(clock: &ManualClock, deny_list: Option<Arc<dyn SessionStore>>) -> SessionManager {
    SessionManager::client_side(Plain, deny_list).policy(Policy::standard()).clock(clock.clone()).build()
}
