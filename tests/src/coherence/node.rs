//! [`Node`]: a process of the demo; [`Login`]: what a browser has of a session.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use session_conformance::Failure;
use session_core::Namespace;

use super::http::{Answer, Connection};
use crate::failure::failure;
use crate::servers::Server;

/// How old an answer of a node may be: what this is all about.
pub(super) const MAX_STALE: Duration = Duration::from_secs(5);

/// The accounts of the demo.
pub(super) const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// How a node is started.
#[derive(Clone, Debug)]
pub(super) struct Site {
    program: PathBuf,
    pub(super) namespace: Namespace,
    /// How many sessions a user may have; a login beyond that ends the oldest.
    limit: u32,
}

/// Whether a node keeps copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    /// For [`MAX_STALE`] after their end.
    Kept,
    /// Each answer is the store's.
    None,
}

impl Site {
    /// # Errors
    /// If the demo is not built.
    pub(super) fn new(limit: u32) -> Result<Self, Failure> {
        let here = std::env::current_exe().map_err(failure)?;
        // Beside this program; of a test, one folder up.
        let program =
            here.ancestors().skip(1).take(2).map(|folder| folder.join("session-demo")).find(|it| it.is_file());
        let program = program.ok_or_else(|| Failure::new("the demo is not built: cargo build -p session-demo"))?;
        Ok(Self { program, namespace: crate::servers::namespace(), limit })
    }

    /// Starts a node on a store, and waits until it answers.
    pub(super) async fn start(&self, store: &str, copies: Copies) -> Result<Node, Failure> {
        let (program, store) = (self.program.display().to_string(), store.to_owned());
        let (namespace, limit) = (self.namespace.to_string(), self.limit.to_string());
        let server = Server::launch("session-demo", move |address| {
            let mut command = vec![program, "--listen".to_owned(), address.to_string()];
            let options =
                ["--store", &store, "--namespace", &namespace, "--limit", &limit, "--on-limit", "evict-oldest"];
            command.extend(options.map(str::to_owned));
            if copies == Copies::Kept {
                command.extend(["--cache".to_owned(), format!("{}s", MAX_STALE.as_secs())]);
            }
            command
        });
        Ok(Node(server.await.map_err(failure)?))
    }
}

/// A process of the demo.
#[derive(Debug)]
pub(super) struct Node(Server);

impl Node {
    /// The process.
    pub(super) fn process(&self) -> &Server {
        &self.0
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::new(self.0.address())
    }

    /// What it says of its cache.
    pub(super) async fn cache(&self) -> Result<Value, Failure> {
        let answer = self.connect().send("GET", "/api/cache", None, "").await.map_err(failure)?;
        serde_json::from_slice(&answer.body).map_err(failure)
    }
}

/// What a browser has of a session.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: &'static str,
    pub(super) id: String,
    pub(super) cookie: String,
}

/// What a node made of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It let its owner in.
    Served,
    /// It knows nobody with that.
    Refused,
    /// It could not tell.
    Failed,
}

impl Login {
    /// Logs in; in exchange for the session of `before`, if there is one.
    pub(super) async fn begin(at: &mut Connection, user: &'static str, before: Option<&Self>) -> Result<Self, Failure> {
        let credentials = json!({ "username": user, "password": "correct-horse" }).to_string();
        let cookie = before.map(|login| login.cookie.as_str());
        let answer = at.send("POST", "/api/login", cookie, &credentials).await.map_err(failure)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (answer.status, answer.cookie, body["session_id"].as_str()) {
            (200, Some(cookie), Some(id)) => Ok(Self { user, id: id.to_owned(), cookie }),
            (status, ..) => Err(Failure::new(format!("a login was answered with {status}"))),
        }
    }

    /// Whether a node lets it in.
    pub(super) async fn ask(&self, at: &mut Connection) -> io::Result<Verdict> {
        let Answer { status, body, .. } = at.send("GET", "/api/me", Some(&self.cookie), "").await?;
        Ok(match status {
            200 if body.starts_with(b"{\"user\":null") => Verdict::Refused,
            200 => Verdict::Served,
            _ => Verdict::Failed,
        })
    }

    /// A request without a body, of this session: [`LOG_OUT`](Self::LOG_OUT) or [`REVOKE_ALL`](Self::REVOKE_ALL). Its status.
    pub(super) async fn post(&self, at: &mut Connection, path: &str) -> io::Result<u16> {
        Ok(at.send("POST", path, Some(&self.cookie), "").await?.status)
    }

    /// Ends the session.
    pub(super) const LOG_OUT: &'static str = "/api/logout";
    /// Ends all sessions of the user.
    pub(super) const REVOKE_ALL: &'static str = "/api/devices/revoke-all";

    /// Gives the session another token.
    pub(super) async fn regenerate(&self, at: &mut Connection) -> io::Result<Answer> {
        let password = json!({ "password": "correct-horse" }).to_string();
        at.send("POST", "/api/reauthenticate", Some(&self.cookie), &password).await
    }

    /// Ends another session of the same user. The status of the answer.
    pub(super) async fn revoke(&self, at: &mut Connection, id: &str) -> io::Result<u16> {
        Ok(at.send("DELETE", &format!("/api/devices/{id}"), Some(&self.cookie), "").await?.status)
    }
}
