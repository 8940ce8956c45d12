//! [`Postgres`]: a PostgreSQL server.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;

use super::base::{Port, ServerError, blocking};
use super::install::unprivileged_user;
use super::process::{Server, Spec};
use super::release::Release;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Initializes the data at the first start, then becomes the server. Both run under the supervisor.
const RUN: &str = r#"
bin=$1
shift
[ -x "$bin/postgres" ] || { echo "$(id -un) may not run $bin/postgres: move the repository, or run as another user" >&2; exit 1; }
[ -e data/PG_VERSION ] ||
    "$bin/initdb" --no-sync --auth trust --username postgres --encoding UTF8 --locale C data >&2 || exit 1
exec "$bin/postgres" -D data "$@"
"#;

/// One PostgreSQL server with a database `postgres` and a superuser `postgres` without a password.
///
/// It flushes every commit to the disk, unless [`FSYNC_OFF`](Self::FSYNC_OFF) is set.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// The folder of its programs.
    bin: PathBuf,
}

impl Postgres {
    /// The setting for speed. Commits still survive [`kill9`](Server::kill9), but not a crash of the machine.
    pub const FSYNC_OFF: (&'static str, &'static str) = ("fsync", "off");

    /// Starts a server. `settings` are parameters of `postgresql.conf`.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch_release(Release::Installed, settings).await
    }

    /// [`launch`](Self::launch), with a certain release.
    ///
    /// # Errors
    /// If it cannot be found, installed, downloaded or started.
    pub async fn launch_release(release: Release, settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        blocking(move || Self::start_new(release, &settings)).await
    }

    fn start_new(release: Release, settings: &[String]) -> Result<Self, ServerError> {
        let program = release.postgres()?;
        // The program on the PATH may be a link to one of several versions.
        let program = program.canonicalize().map_err(ServerError::of(program.display()))?;
        let bin = program.parent().unwrap_or(Path::new("/")).to_owned();
        let user = unprivileged_user()?;
        let (port, folder) = (Port::claim()?, Server::new_folder());
        let mut command = ["sh", "-c", RUN, "postgres", &bin.to_string_lossy()].map(str::to_owned).to_vec();
        let ours = [
            format!("port={}", port.number()),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            // In its folder, not in /dev/shm, where it would be left after a kill.
            "dynamic_shared_memory_type=mmap".to_owned(),
            // Many pools at once.
            "max_connections=300".to_owned(),
        ];
        for setting in ours.iter().chain(settings) {
            command.extend(["-c".to_owned(), setting.clone()]);
        }
        let server = Server::spawn(Spec {
            name: "postgres",
            command,
            files: Vec::new(),
            folder,
            port,
            user,
            stop: "INT",
            // KILL would leave its shared memory behind.
            end: "QUIT",
            ping,
        })?;
        server.ready()?;
        Ok(Self { server, bin })
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address())
    }

    /// A command for a program of the server's version, such as `psql` or `pg_dump`, connected to this server.
    #[must_use]
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.args(["--dbname", &self.url()]);
        command
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

pub(super) fn url(address: impl Display) -> String {
    format!("postgres://postgres@{address}/postgres")
}

/// Whether the server accepts a connection and is ready for a query. Not on a thread that runs tasks.
pub(super) fn ping(address: SocketAddr) -> Result<(), String> {
    let connect = async {
        // PgBouncer rejects this parameter.
        let options = url(address).parse::<PgConnectOptions>()?.extra_float_digits(None);
        options.connect().await?.close().await
    };
    let answer = Handle::current().block_on(async { tokio::time::timeout(TIMEOUT, connect).await });
    answer.map_err(|elapsed| elapsed.to_string())?.map_err(|error| error.to_string())
}
