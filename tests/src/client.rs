//! [`Client`]: the part of a browser that matters to sessions.

use session_core::adapter::RequestSession;
use session_core::{Error, Session, SessionManager};

/// Sends one request after another, and keeps the session cookie. Without HTTP: it calls core as an adapter does.
#[derive(Clone, Debug)]
pub struct Client {
    manager: SessionManager,
    /// The `Cookie` header, if there is a cookie.
    cookie: Option<String>,
}

impl Client {
    /// A client without a cookie.
    #[must_use]
    pub fn new(manager: &SessionManager) -> Self {
        Self { manager: manager.clone(), cookie: None }
    }

    /// The value of the session cookie.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.cookie.as_deref()?.split_once('=').map(|(_, value)| value)
    }

    /// Replaces the value of the session cookie, as an attacker or a bug might.
    pub fn set_token(&mut self, value: &str) {
        self.cookie = Some(format!("{}={value}", self.manager.policy().cookie().name()));
    }

    /// A whole request, from the `Cookie` header to the response, whose handler uses its session.
    ///
    /// # Errors
    /// What the handler or the commit returned.
    pub async fn request<T>(&mut self, handler: impl AsyncFnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let request = self.begin();
        let handled = match request.session().await {
            Ok(session) => handler(session).await,
            Err(error) => Err(error),
        };
        let finished = self.end(&request).await;
        let value = handled?;
        finished?;
        Ok(value)
    }

    /// A request whose handler does not ask for its session.
    ///
    /// # Errors
    /// What [`RequestSession::finish`] returned.
    pub async fn request_without_session(&mut self) -> Result<(), Error> {
        let request = self.begin();
        self.end(&request).await
    }

    /// What an adapter does when a request arrives.
    #[must_use]
    pub fn begin(&self) -> RequestSession {
        let presented = self.manager.policy().cookie().read(self.cookie.as_deref().map(str::as_bytes));
        RequestSession::new(self.manager.clone(), presented)
    }

    /// What an adapter does before it sends the response, and a browser when it receives it.
    ///
    /// # Errors
    /// What [`RequestSession::finish`] returned.
    pub async fn end(&mut self, request: &RequestSession) -> Result<(), Error> {
        let (outcome, headers) = request.finish().await;
        if let Some(set_cookie) = headers.set_cookie {
            let pair = set_cookie.expose().split(';').next().unwrap_or_default();
            self.cookie = if pair.ends_with('=') { None } else { Some(pair.to_owned()) };
        }
        outcome
    }
}
