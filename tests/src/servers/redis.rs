//! [`Redis`]: one Redis server.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

use super::base::{Port, ServerError, blocking};
use super::process::{Server, Spec};
use super::release::Release;
use super::resp::{self, Reply};

/// One Redis (or Valkey) server: standalone, or a node of a [`RedisSentinel`](super::RedisSentinel) set or a
/// [`RedisCluster`](super::RedisCluster).
///
/// Every write is in the append-only file before it is acknowledged, and so survives [`kill9`](Server::kill9). The file
/// is not flushed to the disk, which matters only if the machine crashes; `appendfsync always` changes that.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    tls: Option<Port>,
}

/// A line that asks for TLS on any free port.
const ANY_TLS_PORT: &str = "tls-port auto\n";

impl Redis {
    /// Starts a standalone server. `settings` are directives of `redis.conf`, which override the default ones. With
    /// `tls-port auto`, it speaks TLS on its [`tls_port`](Self::tls_port).
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
        let settings = lines(settings);
        blocking(move || {
            let node = Self::spawn(&release.redis()?, Port::claim()?, &settings)?;
            node.ready()?;
            Ok(node)
        })
        .await
    }

    /// Starts one sentinel, which `settings` tell what to watch.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch_sentinel(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let settings = lines(settings);
        blocking(move || {
            let sentinel = Self::spawn_sentinel(&Release::Installed.redis()?, Port::claim()?, &settings)?;
            sentinel.ready()?;
            Ok(sentinel)
        })
        .await
    }

    /// Starts a node without waiting for an answer.
    pub(super) fn spawn(program: &Path, port: Port, settings: &str) -> Result<Self, ServerError> {
        let persistence = "save \"\"\nappendonly yes\nappendfsync no\n";
        // A replica gets its first copy at once, not after waiting five seconds for other replicas.
        let replication = "repl-diskless-sync-delay 0\n";
        Self::run(program, "redis", port, &format!("{persistence}{replication}{settings}"), &[])
    }

    /// Starts a sentinel without waiting for an answer.
    pub(super) fn spawn_sentinel(program: &Path, port: Port, settings: &str) -> Result<Self, ServerError> {
        Self::run(program, "redis sentinel", port, settings, &["--sentinel"])
    }

    fn run(
        program: &Path,
        name: &'static str,
        port: Port,
        settings: &str,
        arguments: &[&str],
    ) -> Result<Self, ServerError> {
        let tls = if settings.contains(ANY_TLS_PORT) { Some(Port::claim()?) } else { None };
        let settings = match &tls {
            Some(port) => settings.replace(ANY_TLS_PORT, &format!("tls-port {}\n", port.number())),
            None => settings.to_owned(),
        };
        let folder = Server::new_folder();
        let file = folder.join("redis.conf");
        let mut command = vec![program.display().to_string(), file.display().to_string()];
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let content = format!("bind 127.0.0.1\nport {}\ndir \"{}\"\n{settings}", port.number(), folder.display());
        let server = Server::spawn(Spec {
            name,
            command,
            files: vec![("redis.conf", content)],
            folder,
            port,
            user: None,
            stop: "TERM",
            end: "KILL",
            ping: resp::ping,
        })?;
        Ok(Self { server, tls })
    }

    /// `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The port on which it speaks TLS, at 127.0.0.1; 0 if it does not.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls.as_ref().map_or(0, Port::number)
    }

    /// Sends one command over a connection of its own, and waits for the answer for two seconds. Commands that refer to
    /// earlier ones of their connection, such as `WAIT`, are pointless here.
    ///
    /// # Errors
    /// If the server does not answer, or answers with an error.
    pub async fn command(&self, arguments: &[&str]) -> Result<Reply, ServerError> {
        let (address, arguments) = (self.address(), arguments.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
        blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            ask(address, &arguments)
        })
        .await
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Sends one command. The error names it.
pub(super) fn ask(address: SocketAddr, arguments: &[&str]) -> Result<Reply, ServerError> {
    let what = arguments.first().copied().unwrap_or_default();
    resp::command(address, arguments).map_err(ServerError::of(format_args!("redis on {address}: {what}")))
}

/// Settings as lines of `redis.conf`.
pub(super) fn lines(settings: &[(&str, &str)]) -> String {
    settings.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}
