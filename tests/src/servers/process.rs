//! [`Server`]: one server process and its supervisor.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::base::{Port, ServerError, blocking, random, wait_for};
use super::install::with_setpriv;

/// How long a server may take to answer or to end: long, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One server: a process that can be stopped, killed, paused and restarted, on the same port and with its data.
///
/// Every method waits for its effect. Dropping the server ends its process and removes its folder.
pub struct Server {
    inner: Arc<Inner>,
}

/// How to start a server.
pub(super) struct Spec {
    /// Its name in errors.
    pub(super) name: &'static str,
    /// The program and its arguments. They may name files in `folder`.
    pub(super) command: Vec<String>,
    /// Files to write into the folder before the first start.
    pub(super) files: Vec<(&'static str, String)>,
    /// The working folder of the process, and the only one it writes to. Must not exist yet.
    pub(super) folder: PathBuf,
    /// The port to listen on.
    pub(super) port: Port,
    /// The user that runs it, if not the user of the tests.
    pub(super) user: Option<&'static str>,
    /// The signal for an orderly shutdown that does not wait for clients.
    pub(super) stop: &'static str,
    /// The signal that ends it quickly and leaves nothing outside of its folder.
    pub(super) end: &'static str,
    /// Whether a server answers at an address; the error says why not.
    pub(super) ping: fn(SocketAddr) -> Result<(), String>,
}

struct Inner {
    spec: Spec,
    supervisor: Mutex<Supervisor>,
}

impl Server {
    /// Starts a program of the caller's: `command` tells it, with its arguments, the address to listen on. Waits until it
    /// accepts connections.
    ///
    /// # Errors
    /// If it does not start, or ends, or accepts no connection within a minute.
    pub async fn launch(
        name: &'static str,
        command: impl FnOnce(SocketAddr) -> Vec<String> + Send + 'static,
    ) -> Result<Self, ServerError> {
        blocking(move || {
            let port = Port::claim()?;
            let server = Self::spawn(Spec {
                name,
                command: command(port.address()),
                files: Vec::new(),
                folder: Self::new_folder(),
                port,
                user: None,
                stop: "TERM",
                end: "KILL",
                ping: accepts,
            })?;
            server.ready()?;
            Ok(server)
        })
        .await
    }

    /// A unique path for the folder of a server.
    pub(crate) fn new_folder() -> PathBuf {
        std::env::temp_dir().join(format!("session-testbed-{:016x}", random()))
    }

    /// Starts the process without waiting for an answer.
    pub(super) fn spawn(spec: Spec) -> Result<Self, ServerError> {
        let supervisor = Mutex::new(Supervisor::spawn(&spec)?);
        for (file, content) in &spec.files {
            let path = spec.folder.join(file);
            fs::write(&path, content).map_err(ServerError::of(path.display()))?;
        }
        let inner = Inner { spec, supervisor };
        inner.tell("start")?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until it answers.
    pub(super) fn ready(&self) -> Result<(), ServerError> {
        self.inner.ready()
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.spec.port.address()
    }

    /// The port it listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.spec.port.number()
    }

    /// The folder of its data and its log (`log`).
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.spec.folder
    }

    /// The id of its process, if it runs. A paused process counts as running.
    ///
    /// # Errors
    /// If the supervisor is gone.
    pub async fn pid(&self) -> Result<Option<u32>, ServerError> {
        self.blocking(|inner| inner.tell("pid")).await
    }

    /// Starts it again and waits until it answers. A no-op if it runs.
    ///
    /// # Errors
    /// If it does not answer within a minute.
    pub async fn start(&self) -> Result<(), ServerError> {
        self.blocking(|inner| {
            inner.tell("start")?;
            inner.ready()
        })
        .await
    }

    /// Shuts it down in order, without waiting for its clients. A no-op if it does not run.
    ///
    /// # Errors
    /// If it still runs after a minute.
    pub async fn stop(&self) -> Result<(), ServerError> {
        self.blocking(|inner| {
            // A paused process handles no signal.
            inner.tell("CONT")?;
            inner.tell(inner.spec.stop)?;
            inner.ended()
        })
        .await
    }

    /// Kills it and all its processes with `kill -9`. What it has not written to a file is lost.
    ///
    /// # Errors
    /// If it still runs after a minute.
    pub async fn kill9(&self) -> Result<(), ServerError> {
        self.blocking(|inner| {
            inner.tell("KILL")?;
            inner.ended()
        })
        .await
    }

    /// Freezes all its processes with `SIGSTOP`: the kernel still accepts connections, but requests get no answer.
    ///
    /// # Errors
    /// If the supervisor is gone.
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.blocking(|inner| inner.tell("STOP")).await.map(drop)
    }

    /// Resumes it after [`pause`](Self::pause).
    ///
    /// # Errors
    /// If the supervisor is gone.
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.blocking(|inner| inner.tell("CONT")).await.map(drop)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

/// Whether a server accepts connections.
pub(super) fn accepts(address: SocketAddr) -> Result<(), String> {
    TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on port {}", self.inner.spec.name, self.port())
    }
}

impl Inner {
    /// Sends the supervisor a command. Returns the process that runs afterwards.
    fn tell(&self, command: &str) -> Result<Option<u32>, ServerError> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).tell(command).map_err(|why| self.error(&why))
    }

    fn ready(&self) -> Result<(), ServerError> {
        let answer = wait_for("an answer", TIMEOUT, || match (self.spec.ping)(self.spec.port.address()) {
            Ok(()) => Ok(Ok(())),
            Err(why) => match self.tell("pid") {
                Ok(Some(_)) => Err(why),
                Ok(None) => Ok(Err(self.error("it ended"))),
                Err(error) => Ok(Err(error)),
            },
        });
        answer.map_err(|error| self.error(&error.to_string()))?
    }

    fn ended(&self) -> Result<(), ServerError> {
        let end = wait_for("its end", TIMEOUT, || match self.tell("pid")? {
            None => Ok(()),
            Some(_) => Err(ServerError::new("it still runs")),
        });
        end.map_err(|error| self.error(&error.to_string()))
    }

    /// With the end of the log.
    fn error(&self, why: &str) -> ServerError {
        let log = fs::read(self.spec.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned();
        ServerError::new(format!("{} on port {}: {why}\n{log}", self.spec.name, self.spec.port.number()))
    }
}

/// The shell script that runs one server.
struct Supervisor {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    fn spawn(spec: &Spec) -> Result<Self, ServerError> {
        let Spec { name, command, folder, user, end, .. } = spec;
        let mut process = Command::new("sh")
            .args(["-c", "eval \"$SCRIPT\"", "supervise"])
            .env("SCRIPT", include_str!("supervise.sh"))
            .arg(folder)
            .args([user.unwrap_or_default(), end])
            .args(with_setpriv(*user)?)
            .args(command)
            // Out of reach of Ctrl-C: it ends with the pipe, in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(ServerError::of("cannot start sh"))?;
        let (commands, answers) = (process.stdin.take(), process.stdout.take());
        let answers = answers.ok_or_else(|| ServerError::new("no pipe"))?;
        let mut supervisor = Self { process, commands, answers: BufReader::new(answers) };
        match supervisor.answer() {
            Ok(answer) if answer == "ready" => Ok(supervisor),
            Ok(why) | Err(why) => Err(ServerError::new(format!("{name}: no folder at {}: {why}", folder.display()))),
        }
    }

    fn tell(&mut self, command: &str) -> Result<Option<u32>, String> {
        let commands = self.commands.as_mut().ok_or("no pipe")?;
        writeln!(commands, "{command}").map_err(|error| format!("the supervisor is gone: {error}"))?;
        Ok(self.answer()?.parse().ok())
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("the supervisor is gone".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("the supervisor does not answer: {error}")),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Closing the pipe ends the server. That takes some milliseconds, after which nothing is left.
        drop(self.commands.take());
        if let Err(error) = self.process.wait() {
            eprintln!("the supervisor of a server: {error}");
        }
    }
}
