//! Setting up a [`SqliteStore`].

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use session_core::{Namespace, StoreError};

use crate::link::{File, Readers, Writer};
use crate::store::SqliteStore;

const READERS: u32 = 4;
const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sets up a [`SqliteStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    namespace: Namespace,
    readers: u32,
    operation_timeout: Duration,
    max_size: Option<u64>,
    is_existing: bool,
}

impl SqliteStore {
    /// Opens the store of the application `namespace` in the file at `path`, with the defaults of the
    /// [`builder`](Self::builder): creates the file and the tables unless they are there.
    ///
    /// # Errors
    /// As [`SqliteStoreBuilder::open`].
    pub async fn open(path: impl AsRef<Path>, namespace: Namespace) -> Result<Self, StoreError> {
        Self::builder(path, namespace).open().await
    }

    /// A builder of the store of the application `namespace` in the file at `path`. Opens nothing yet.
    pub fn builder(path: impl AsRef<Path>, namespace: Namespace) -> SqliteStoreBuilder {
        let path = path.as_ref().to_owned();
        let operation_timeout = OPERATION_TIMEOUT;
        SqliteStoreBuilder { path, namespace, readers: READERS, operation_timeout, max_size: None, is_existing: false }
    }
}

impl SqliteStoreBuilder {
    /// How many reads may be under way at once, each on a connection with a thread of its own. By default 4; zero is
    /// one.
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How long an operation may take, waiting for its turn and for other processes included. By default 1.5 seconds: a
    /// little less than the policy's store timeout, so that the error says what happened. Two thirds of it are for the
    /// lock of the file, while another process has it.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// The quota: how large the file may become, in bytes, whatever else is in it. By default, as large as the disk.
    /// With a quota below that, logouts always have room: on a full disk, they may fail with the rest.
    ///
    /// The log beside the file, `-wal`, is not counted: up to 64 MiB of it are kept, and it is longer while a long read
    /// or a backup of another process holds it.
    ///
    /// For a session that would exceed it, expired ones are freed, or else the visitors that were used least recently
    /// end. If there are none, it is refused with [`Full`](session_core::StoreErrorKind::Full): no session of a user is
    /// dropped for it.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Makes nothing: a file that is missing, or has no tables of the application, is an error, and left as it is. For whoever
    /// looks at what an application keeps, and may have mistyped its name.
    pub fn existing(mut self) -> Self {
        self.is_existing = true;
        self
    }

    /// Opens the store: creates the file, for its owner only (mode 0600), and the tables, unless they are there.
    ///
    /// # Errors
    /// Each says what to do; its source names the file. [`Unavailable`](session_core::StoreErrorKind::Unavailable): the folder is missing or
    /// read-only, so is the file, it is no database, or damaged, or another process holds its lock.
    /// [`Full`](session_core::StoreErrorKind::Full): the disk has no room.
    /// [`Other`](session_core::StoreErrorKind::Other): the path is empty, `:memory:` or that of a folder; the file
    /// is missing or empty, but not its log, which may have all sessions; the file
    /// has a second name (a hard link); a newer release has made the tables, or some of them are missing, and nothing
    /// was changed; the file system cannot do write-ahead logging; or nothing is there, and only what is
    /// [`existing`](Self::existing) was to be opened.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        self.try_open().await.map_err(|error| error.clone().with_source(AtPath { path, error }))
    }

    async fn try_open(self) -> Result<SqliteStore, StoreError> {
        let file = File::new(&self.path, self.operation_timeout * 2 / 3, self.max_size)?;
        let connection = file.prepare(&self.namespace, self.is_existing).await?;
        let writer = Writer::start(file.clone(), connection)?;
        let readers = Readers::new(file, self.readers);
        Ok(SqliteStore::new(self.namespace, self.operation_timeout, writer, readers))
    }
}

/// Which file could not be opened.
#[derive(Debug)]
struct AtPath {
    path: PathBuf,
    error: StoreError,
}

impl fmt::Display for AtPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Error for AtPath {
    /// What the driver or the operating system said.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
