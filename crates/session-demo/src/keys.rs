//! A key ring in a file: the option `--keys`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
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
        if let Some(ring) = self.read()? {
            return Ok(ring);
        }
        let _lock = self.lock()?;
        match self.read()? {
            Some(ring) => Ok(ring),
            None => self.write(generate(now).map_err(|error| self.error(Problem::Content(error)))?),
        }
    }

    /// Reads the ring, and rotates its keys if that is due.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if the file is gone.
    pub fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyFileError> {
        let next = || {
            let missing = || self.error(Problem::Io(io::ErrorKind::NotFound.into()));
            let ring = self.read()?.ok_or_else(missing)?;
            let next = ring.rotate(now, &OsEntropy).map_err(|error| self.error(Problem::Content(error)))?;
            Ok((ring, next))
        };
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
    }

    /// `None` if there is no file.
    fn read(&self) -> Result<Option<KeyRing>, KeyFileError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(Problem::Io(error))),
        };
        let metadata = file.metadata().map_err(|error| self.error(Problem::Io(error)))?;
        if let Some(mode) = readable_by_others(&metadata) {
            return Err(self.error(Problem::Readable(mode)));
        }
        let mut text = String::new();
        file.take(MAX_LEN).read_to_string(&mut text).map_err(|error| self.error(Problem::Io(error)))?;
        KeyRing::from_json(&text).map(Some).map_err(|error| self.error(Problem::Content(error)))
    }

    /// Replaces the file. The caller holds the lock.
    fn write(&self, ring: KeyRing) -> Result<KeyRing, KeyFileError> {
        let written = || {
            let new = self.beside(".new");
            // A leftover of a process that was killed.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = private().create_new(true).open(&new)?;
            file.write_all(ring.to_json().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        written().map_err(|error| self.error(Problem::Io(error)))?;
        Ok(ring)
    }

    /// Waits for the lock, which is held until the file is dropped.
    fn lock(&self) -> Result<File, KeyFileError> {
        let locked = || {
            let file = private().create(true).truncate(false).open(self.beside(".lock"))?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(|error| self.error(Problem::Io(error)))
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

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: &Path = &self.path;
        let path = path.display();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Barrier;
    use std::time::Duration;

    use session_core::Timestamp;
    use session_jwt::{KeyRing, KeyState};

    use super::{DAY, KeyFile};

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn kids(ring: &KeyRing) -> Vec<String> {
        ring.keys(START).map(|key| key.kid).collect()
    }

    /// Removed at the end of the test.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("session-demo-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn processes_that_start_or_rotate_at_once_share_one_ring() {
        let folder = Folder::new("keys");
        let file = KeyFile::new(folder.0.join("keys.json"));
        let due = START + Duration::from_secs(29 * DAY);
        type Step = fn(&KeyFile, Timestamp) -> KeyRing;
        let steps: [(Step, Timestamp, usize); 2] =
            [(|file, now| file.open(now).unwrap(), START, 1), (|file, now| file.rotate(now).unwrap(), due, 2)];
        for (step, now, count) in steps {
            let barrier = Barrier::new(16);
            let rings: Vec<Vec<String>> = std::thread::scope(|scope| {
                let run = || {
                    barrier.wait();
                    kids(&step(&file, now))
                };
                let threads: Vec<_> = (0..16).map(|_| scope.spawn(run)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(rings[0].len(), count);
            assert!(rings.iter().all(|ring| *ring == rings[0]));
            assert_eq!(kids(&file.open(now).unwrap()), rings[0]);
        }
        let states: Vec<KeyState> = file.rotate(due).unwrap().keys(due).map(|key| key.state).collect();
        assert_eq!(states, [KeyState::Signing, KeyState::Published]);
    }

    #[test]
    fn rotation_does_not_recreate_a_missing_file() {
        let folder = Folder::new("vanished");
        let file = KeyFile::new(folder.0.join("keys.json"));
        assert!(file.rotate(START).is_err());
        assert!(!folder.0.join("keys.json").exists());
    }

    #[test]
    fn a_leftover_of_a_killed_process_is_replaced() {
        let folder = Folder::new("killed");
        std::fs::write(folder.0.join("keys.json.new"), "half a ri").unwrap();
        let ring = KeyFile::new(folder.0.join("keys.json")).open(START).unwrap();
        assert_eq!(ring.keys(START).count(), 1);
        assert!(!folder.0.join("keys.json.new").exists());
    }
}
