//! A key ring in a file: the option `--keys`.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use session_core::{OsEntropy, Timestamp};
use session_jwt::{Algorithm, KeyError, KeyRing, Rotation, Zeroizing};

/// An algorithm with public keys, so that other servers can verify.
const ALGORITHM: Algorithm = Algorithm::EdDsa;

/// A key verifies longer than any cookie that it signed is valid: that is 7 days in the longest preset.
const VERIFY_FOR: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 3600;

/// More than a hundred keys need.
const MAX_LEN: u64 = 256 * 1024;

/// How often a process tries to get the lock: for 5 seconds. Whoever holds it writes one small file; so somebody who holds it longer hangs, or
/// is no demo. Neither start nor end of a server takes longer for that.
const LOCK_ATTEMPTS: u32 = 250;
/// The pause between two attempts: a lock of a file announces nothing, and a thread that waits for one cannot be called back.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A key ring in a file that several processes on one machine share.
///
/// The file is replaced as a whole, by the one process that holds the lock `PATH.lock` (an empty file that stays). So a
/// reader sees either the old ring or the new one, and processes that start at once end up with the same ring. On
/// several machines, a real site keeps its ring in a secret store.
///
/// It is a regular file of the user who runs the server, and nobody else may read or write it. A symbolic link is refused:
/// whoever can change where it leads chooses the keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Reads the ring; generates one if there is no file.
    ///
    /// # Errors
    /// If the file is not a key ring, is accessible to other users or belongs to one, is no regular file, or cannot be read
    /// or created; or if another process holds the lock for more than five seconds. It is left unchanged.
    pub fn open(&self, now: Timestamp) -> Result<KeyRing, KeyFileError> {
        let opened = || {
            if let Some(ring) = self.read()? {
                return Ok(ring);
            }
            let _lock = self.lock()?;
            match self.read()? {
                Some(ring) => Ok(ring),
                None => self.write(generate(now)?),
            }
        };
        opened().map_err(|problem| self.error(problem))
    }

    /// Reads the ring, and rotates its keys if that is due.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if the file is gone.
    pub fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyFileError> {
        let next = || {
            let ring = self.read()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            let next = ring.rotate(now, &OsEntropy)?;
            Ok::<_, Problem>((ring, next))
        };
        let rotated = || {
            let (ring, due) = next()?;
            if due.is_none() {
                return Ok(ring);
            }
            // Another process may have rotated them first.
            let _lock = self.lock()?;
            match next()? {
                (_, Some(next)) => self.write(next),
                (ring, None) => Ok(ring),
            }
        };
        rotated().map_err(|problem| self.error(problem))
    }

    /// `None` if there is no file.
    fn read(&self) -> Result<Option<KeyRing>, Problem> {
        let file = match open(OpenOptions::new().read(true), &self.path) {
            Err(Problem::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        check_access(&file.metadata()?)?;
        // It is never reallocated, and wiped.
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_LEN).unwrap_or_default()));
        file.take(MAX_LEN).read_to_string(&mut text)?;
        Ok(Some(KeyRing::from_json(&text)?))
    }

    /// Replaces the file. The caller holds the lock.
    fn write(&self, ring: KeyRing) -> Result<KeyRing, Problem> {
        let new = self.beside(".new");
        // A leftover of a process that was killed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let mut file = private().create_new(true).open(&new)?;
        file.write_all(ring.to_json().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        Ok(ring)
    }

    /// Waits for the lock, which is held until the file is dropped.
    fn lock(&self) -> Result<File, Problem> {
        let path = self.beside(".lock");
        let file = open(private().create(true).truncate(false), &path)?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(Problem::Locked(path))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    fn error(&self, problem: Problem) -> KeyFileError {
        KeyFileError { path: self.path.clone(), problem }
    }
}

/// A ring with one new key.
pub(crate) fn generate(now: Timestamp) -> Result<KeyRing, KeyError> {
    KeyRing::generate(ALGORITHM, Rotation::builder().verify_for(VERIFY_FOR).build()?, now, &OsEntropy)
}

/// For files that no other user may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a regular file. Follows no symbolic link, and waits for nobody: opening a FIFO would.
fn open(options: &mut OpenOptions, path: &Path) -> Result<File, Problem> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;

        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        opened => match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => Err(Problem::Kind(path.to_owned(), kind(metadata.file_type()))),
            // It was replaced in the meantime, or cannot be opened for another reason.
            Ok(_) | Err(_) => Err(opened.err().unwrap_or_else(|| io::ErrorKind::InvalidInput.into()).into()),
        },
    }
}

fn kind(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;

        if kind.is_fifo() {
            return "a FIFO";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "something else"
    }
}

/// Whether the file is that of this user alone.
#[cfg(unix)]
fn check_access(metadata: &fs::Metadata) -> Result<(), Problem> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Problem::Owner(metadata.uid()));
    }
    if mode & 0o077 == 0 { Ok(()) } else { Err(Problem::Readable(mode)) }
}

#[cfg(not(unix))]
fn check_access(_: &fs::Metadata) -> Result<(), Problem> {
    Ok(())
}

/// Why there are no keys. Quotes no content of the file.
#[derive(Debug)]
pub struct KeyFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Io(io::Error),
    /// The file at this path is something else.
    Kind(PathBuf, &'static str),
    /// It belongs to this user.
    Owner(u32),
    Readable(u32),
    /// Another process holds this lock.
    Locked(PathBuf),
    Content(KeyError),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::Content(error)
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Io(error) => write!(f, "--keys {path}: {error}"),
            Problem::Kind(found, kind) => {
                write!(f, "--keys {path}: {} is {kind}, and must be a regular file", found.display())
            }
            Problem::Owner(user) => {
                write!(f, "--keys {path}: it belongs to another user ({user}), who can read and replace the keys. ")?;
                write!(f, "If the keys are yours: chown it to the user who runs this server")
            }
            Problem::Locked(lock) => {
                let (lock, seconds) = (lock.display(), (LOCK_ATTEMPTS * LOCK_PAUSE).as_secs());
                write!(f, "--keys {path}: another process holds the lock for more than {seconds} seconds. ")?;
                write!(f, "Find it, for example with: fuser {lock}")
            }
            Problem::Readable(mode) => {
                write!(f, "--keys {path}: others can read it (mode {mode:04o}), and keys are secrets. ")?;
                write!(f, "Was it meant to be readable? If not: chmod 600 {path}")
            }
            Problem::Content(error) => {
                write!(f, "--keys {path}: this is no key ring: {error}. It was left as it is; remove it for a new one")
            }
        }
    }
}

impl std::error::Error for KeyFileError {}
