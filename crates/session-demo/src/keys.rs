//! A key ring in a file: the option `--keys`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use session_core::{OsEntropy, Timestamp};
use session_jwt::{Algorithm, KeyError, KeyRing, Rotation};

/// An algorithm with public keys, so that other servers can verify.
const ALGORITHM: Algorithm = Algorithm::EdDsa;

/// A key verifies longer than any cookie that it signed is valid: that is 7 days in the longest preset.
const VERIFY_FOR: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 3600;

/// More than a hundred keys need.
const MAX_LEN: u64 = 256 * 1024;

/// A key ring in a file that several processes on one machine share.
///
/// The file is replaced as a whole, by the one process that holds the lock `PATH.lock` (an empty file that stays). So a
/// reader sees either the old ring or the new one, and processes that start at once end up with the same ring. On
/// several machines, a real site keeps its ring in a secret store.
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
    /// If the file is not a key ring, is readable by other users, or cannot be read or created. It is left unchanged.
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
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if let Some(mode) = readable_by_others(&file.metadata()?) {
            return Err(Problem::Readable(mode));
        }
        let mut text = String::new();
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
        let file = private().create(true).truncate(false).open(self.beside(".lock"))?;
        file.lock()?;
        Ok(file)
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

/// The mode of a file that other users can access.
#[cfg(unix)]
fn readable_by_others(metadata: &fs::Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn readable_by_others(_: &fs::Metadata) -> Option<u32> {
    None
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
    Readable(u32),
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
