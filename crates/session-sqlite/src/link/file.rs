//! [`File`]: the file of a store, and how it is opened.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use session_core::{Namespace, StoreError, StoreErrorKind};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

use super::error::{READ_ONLY, is_busy, refused_path, store_error};
use super::identity::Identity;
use super::migrate;
use super::patience::Patience;

/// The longest that the file of writes that are not in the database yet stays, in bytes: what a burst has left is given
/// back.
const LONGEST_WAL: &str = "67108864";

/// Where the sessions are, and how long to wait for its lock.
#[derive(Clone, Debug)]
pub(crate) struct File {
    path: PathBuf,
    identity: Arc<Identity>,
    pub(crate) lock_timeout: Duration,
    max_size: Option<u64>,
    /// Held by who writes.
    pub(crate) turn: Turn,
}

/// The stores of this process on one file, such as those of several applications, take turns in the order in which they
/// came: SQLite has no queue for its lock, one can only try again and again.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

/// By path.
static TURNS: Mutex<BTreeMap<PathBuf, Weak<tokio::sync::Mutex<()>>>> = Mutex::new(BTreeMap::new());

fn turn(path: &Path) -> Turn {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, turn| turn.strong_count() > 0);
    if let Some(turn) = turns.get(path).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Turn::default();
    turns.insert(path.to_owned(), Arc::downgrade(&turn));
    turn
}

impl File {
    /// # Errors
    /// If the path cannot be that of a file.
    pub(crate) fn new(path: &Path, lock_timeout: Duration, max_size: Option<u64>) -> Result<Self, StoreError> {
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            let detail = "a path of a file is needed; sessions that live in memory are those of session-moka";
            return Err(refused_path(detail));
        }
        // From the root: SQLite would take `file:…` for a URI otherwise.
        let path = std::path::absolute(path).map_err(|error| {
            refused_path("the path is relative, and the current folder cannot be found").with_source(error)
        })?;
        let turn = turn(&path);
        let identity = Arc::new(Identity::of(&path));
        Ok(Self { path, identity, lock_timeout, max_size, turn })
    }

    /// Makes the file and the tables, unless they are there; or makes nothing, if they are to be `existing`. Returns the
    /// connection that writes.
    pub(crate) async fn prepare(&self, namespace: &Namespace, existing: bool) -> Result<SqliteConnection, StoreError> {
        let is_empty = self.create(existing)?;
        let options = if is_empty { self.writer().auto_vacuum(SqliteAutoVacuum::Incremental) } else { self.writer() };
        let _turn = self.turn.lock().await;
        let mut patience = Patience::new(self.lock_timeout);
        let (mut connection, missing) = loop {
            // To change the mode of the file, SQLite does not wait for locks itself.
            if let Some(found) = patience.unless_over(look(&options, namespace, existing).await).await {
                break found.map_err(unopened)??;
            }
        };
        loop {
            // Also if nothing is missing: it shows whether the file may be written.
            let begun = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await;
            if missing.is_empty() && begun.as_ref().is_err_and(is_busy) {
                self.limit(&mut connection).await.map_err(unopened)?;
                return Ok(connection);
            }
            if let Some(begun) = patience.unless_over(begun).await {
                begun.map_err(unopened)?;
                break;
            }
        }
        self.limit(&mut connection).await.map_err(unopened)?;
        // It may have been replaced before it was opened.
        self.check()?;
        migrate::run(&mut connection, namespace).await.map_err(unopened)??;
        if !missing.is_empty() {
            tracing::info!(path = %self.path.display(), "created the tables for sessions: there are none yet");
        }
        Ok(connection)
    }

    /// # Errors
    /// If the file at the path is not the one that [`prepare`](Self::prepare) has opened: it was moved, deleted or
    /// replaced.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.identity.check()
    }

    /// The connection that writes. It does not wait for locks: see [`Patience`].
    pub(crate) async fn connect_writer(&self) -> Result<SqliteConnection, sqlx::Error> {
        let mut connection = self.writer().connect().await?;
        self.limit(&mut connection).await?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(crate) async fn connect_reader(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.options().busy_timeout(self.lock_timeout).pragma("query_only", "ON").connect().await
    }

    fn writer(&self) -> SqliteConnectOptions {
        // What is acknowledged is on disk. What SQLite notes for a rollback is in memory: it contains sessions.
        let options = self.options().synchronous(SqliteSynchronous::Full).pragma("temp_store", "MEMORY");
        options.pragma("journal_size_limit", LONGEST_WAL)
    }

    /// The quota. SQLite counts in pages, of the size with which the file was made.
    async fn limit(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let Some(bytes) = self.max_size else { return Ok(()) };
        let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
        let pages = (bytes / u64::try_from(page).unwrap_or(1).max(1)).max(1);
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).execute(connection).await?;
        Ok(())
    }

    fn options(&self) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new().filename(&self.path).busy_timeout(Duration::ZERO);
        options.disable_statement_logging()
    }

    /// Creates the file, for its owner only, unless it exists, or is to be `existing`. SQLite gives the files beside it the
    /// same mode. Returns whether it is empty.
    fn create(&self, existing: bool) -> Result<bool, StoreError> {
        // POSIX drops all locks that a process has on a file when it closes any of its handles: nobody else here may
        // have opened the new file before ours is closed.
        static CREATING: Mutex<()> = Mutex::new(());
        let creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_log()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match if existing { Ok(()) } else { options.open(&self.path).map(drop) } {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_create(error)),
        }
        drop(creating);
        let is_empty = self.identity.note().map_err(if existing { not_there } else { cannot_create })?? == 0;
        may_write(&self.path)
            .map_err(|error| StoreError::new(StoreErrorKind::Unavailable, READ_ONLY).with_source(error).unsent())?;
        Ok(is_empty)
    }

    /// SQLite deletes a log whose file is missing or empty, and with it sessions that were acknowledged.
    fn check_log(&self) -> Result<(), StoreError> {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
        // Beside the file, not beside a link to it.
        let mut log = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()).into_os_string();
        log.push("-wal");
        if length(&self.path) == 0 && length(Path::new(&log)) > 0 {
            let detail = "the file is missing or empty, but its log is there, -wal, which may have all sessions: put the \
                file back, or move the log away to begin without sessions";
            return Err(refused_path(detail));
        }
        Ok(())
    }
}

/// Connects. Changes nothing if a newer release has been there, or nobody, and it is to be `existing`. Returns the steps that
/// are missing, too.
async fn look(
    options: &SqliteConnectOptions,
    namespace: &Namespace,
    existing: bool,
) -> Result<Result<(SqliteConnection, &'static [&'static str]), StoreError>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let missing = match migrate::missing(&mut connection, namespace).await? {
        Ok(missing) => missing,
        Err(error) => return Ok(Err(error)),
    };
    if existing && !missing.is_empty() {
        let detail = "the file has no tables of this application, or older ones, and none were to be made: is the path right, \
            and the namespace, and was the application of this release started once?";
        return Ok(Err(StoreError::new(StoreErrorKind::Other, detail).unsent()));
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await?;
    if mode != "wal" {
        let detail = "the file system has no shared memory, as write-ahead logging needs it; use a local disk";
        return Ok(Err(StoreError::new(StoreErrorKind::Other, detail).unsent()));
    }
    Ok(Ok((connection, missing)))
}

/// Whether this process may write the file, its folder, and what is beside it. SQLite would open a file that is
/// read-only, and leave the like beside it, which are still so when the file is not. Opens nothing: see
/// [`File::create`].
#[cfg(unix)]
fn may_write(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};

    // A link may lead to another folder.
    let path = path.canonicalize()?;
    let may = |path: &Path, access| accessat(CWD, path, access, AtFlags::EACCESS).map_err(io::Error::from);
    may(path.parent().unwrap_or(&path), Access::WRITE_OK | Access::EXEC_OK)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        match may(Path::new(&name), Access::READ_OK | Access::WRITE_OK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            may => may?,
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn may_write(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn not_there(error: io::Error) -> StoreError {
    let detail = "the file is not there, or cannot be looked at, and none was to be made: is the path right?";
    StoreError::new(StoreErrorKind::Unavailable, detail).with_source(error).unsent()
}

fn unopened(error: sqlx::Error) -> StoreError {
    store_error(error).unsent()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of the standard library, which grows")]
fn cannot_create(error: io::Error) -> StoreError {
    let (kind, detail) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (StoreErrorKind::Unavailable, "the folder of the file does not exist; create it")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (StoreErrorKind::Unavailable, "the file cannot be created: its folder is read-only; let this user write it")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Full, "the file cannot be created: the disk has no room; make room")
        }
        _ => (StoreErrorKind::Unavailable, "the file cannot be created"),
    };
    StoreError::new(kind, detail).with_source(error).unsent()
}
