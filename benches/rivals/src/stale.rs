//! What two nodes with caches make of a logout: sessions that one of them still serves after it was done on the other.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::app::{App, USER_TEXT};
use crate::case::{Request, Servers, empty};
use crate::client::Client;
use crate::ours;
use crate::rival::{axum_session, tower_sessions};

/// How many sessions.
const SESSIONS: usize = 20;

/// A message is there long before, and no cache has forgotten anything by then.
const PAUSE: Duration = Duration::from_millis(200);

/// How many of [`SESSIONS`] are still served.
#[derive(Clone, Debug, Serialize)]
pub struct Stale {
    subject: &'static str,
    served: usize,
}

impl Stale {
    /// In words.
    pub fn text(&self) -> String {
        format!("{}: {} of {SESSIONS} sessions served by another node after their logout", self.subject, self.served)
    }
}

/// Ours and the rivals with caches on Redis; nothing without a server.
pub async fn stale(servers: &Servers) -> Vec<Stale> {
    let Some(url) = servers.redis.as_deref() else { return Vec::new() };
    let mut all = Vec::new();
    for subject in ["session-cache", "tower-sessions CachingSessionStore", "axum_session"] {
        empty(url).await;
        let open = async || match subject {
            "session-cache" => ours::cached(url).await,
            "axum_session" => axum_session::cached(url).await,
            _ => tower_sessions::cached(url).await,
        };
        let (here, there) = (open().await, open().await);
        all.push(Stale { subject, served: served(&here, &there).await });
    }
    all
}

async fn served(here: &App, there: &App) -> usize {
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let client = Client::new(here, Request::Read).await;
        for _ in 0..2 {
            assert_eq!(client.get(there, "/read").await, USER_TEXT, "the session is not known on the other node");
        }
        clients.push(client);
    }
    for client in &clients {
        client.get(here, "/logout").await;
        assert_ne!(client.get(here, "/read").await, USER_TEXT, "the logout was not done");
    }
    sleep(PAUSE).await;
    let mut served = 0;
    for client in &clients {
        served += usize::from(client.get(there, "/read").await == USER_TEXT);
    }
    served
}
