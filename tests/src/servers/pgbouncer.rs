//! [`PgBouncer`]: a connection pool in front of a PostgreSQL server.

use std::ops::Deref;

use super::base::{Port, ServerError, blocking};
use super::install::{PGBOUNCER, unprivileged_user};
use super::postgres::{Postgres, ping, url};
use super::process::{Server, Spec};

/// PgBouncer in transaction mode, in front of a [`Postgres`].
///
/// Consecutive transactions of one client may run on different server connections, so that no session state (`SET`,
/// prepared statements, advisory locks, `LISTEN`) survives a transaction.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
}

impl PgBouncer {
    /// Starts it. `settings` are parameters of the `[pgbouncer]` section, and come last.
    ///
    /// # Errors
    /// If it cannot be found, installed or started, or the server behind it does not answer.
    pub async fn launch(postgres: &Postgres, settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let settings: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let behind = postgres.port();
        blocking(move || Self::start_new(behind, &settings)).await
    }

    fn start_new(behind: u16, settings: &str) -> Result<Self, ServerError> {
        let (port, folder) = (Port::claim()?, Server::new_folder());
        let file = folder.join("pgbouncer.ini");
        let content = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={behind}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = trust\n\
             auth_file = {}\n\
             pool_mode = transaction\n\
             {settings}",
            port.number(),
            folder.join("users").display()
        );
        let server = Server::spawn(Spec {
            name: "pgbouncer",
            command: vec![PGBOUNCER.find()?.display().to_string(), file.display().to_string()],
            files: vec![("pgbouncer.ini", content), ("users", "\"postgres\" \"\"\n".to_owned())],
            folder,
            port,
            user: unprivileged_user()?,
            stop: "INT",
            end: "KILL",
            ping,
        })?;
        server.ready()?;
        Ok(Self { server })
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address())
    }
}

impl Deref for PgBouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
