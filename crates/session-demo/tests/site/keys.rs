//! The file with the keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use clap::Parser as _;
use session_core::{Clock as _, SystemClock, Timestamp};
use session_demo::args::Args;
use session_demo::keys::{KeyFile, KeyFileError};
use session_demo::sessions::Sessions;
use session_jwt::{KeyRing, KeyState};

use crate::folder::Folder;
use crate::support::{Demo, assert_refused};

async fn jwks(demo: &Demo) -> String {
    demo.browser().get("/.well-known/jwks.json").await.assert(200).text().to_owned()
}

#[tokio::test]
async fn demos_share_one_private_ring() {
    let folder = Folder::new();
    let keys = folder.keys();
    let start = || Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    let demo = start();
    let ring = fs::read_to_string(folder.file()).unwrap();
    let public = jwks(&demo).await;
    assert!(public.contains("\"kid\"") && ring.contains("\"d\""), "{public}");
    assert!(!public.contains("\"d\""), "public halves only");
    for entry in fs::read_dir(&folder.0).unwrap() {
        let (path, mode) = (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap().permissions().mode());
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    assert_eq!(jwks(&start()).await, public);
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), ring, "it was not written again");
}

#[test]
fn processes_that_start_or_rotate_at_once_share_one_ring() {
    let folder = Folder::new();
    let file = KeyFile::new(folder.file());
    // A leftover of a process that was killed.
    let leftover = folder.0.join("keys.json.new");
    fs::write(&leftover, "half a ri").unwrap();
    let start = Timestamp::from_millis(1_767_225_600_000);
    let due = start + Duration::from_secs(29 * 24 * 3600);
    let kids = |ring: KeyRing| ring.keys(start).map(|key| key.kid).collect::<Vec<_>>();
    type Step = fn(&KeyFile, Timestamp) -> Result<KeyRing, KeyFileError>;
    for (step, now, count) in [(KeyFile::open as Step, start, 1), (KeyFile::rotate, due, 2)] {
        let barrier = Barrier::new(16);
        let rings: Vec<Vec<String>> = std::thread::scope(|scope| {
            let run = || {
                barrier.wait();
                kids(step(&file, now).unwrap())
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(rings[0].len(), count);
        assert!(rings.iter().all(|ring| *ring == rings[0]));
        assert_eq!(kids(file.open(now).unwrap()), rings[0]);
        assert!(!leftover.exists());
    }
    let states: Vec<KeyState> = file.rotate(due).unwrap().keys(due).map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Signing, KeyState::Published]);
}

#[tokio::test]
async fn a_file_that_is_no_ring_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let keys = folder.keys();
    Demo::start(&["--mode", "client", "--keys", &keys]);
    let ring = fs::read_to_string(folder.file()).unwrap();
    let contents = ["", "garbage", "{}", &ring[..ring.len() / 2], &ring.replace("\"format\":1", "\"format\":2")];
    for content in contents {
        fs::write(folder.file(), content).unwrap();
        for mode in ["hybrid", "client"] {
            assert_refused(&["--mode", mode, "--keys", &keys], &["this is no key ring"]).await;
        }
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
    }
    fs::write(folder.file(), b"\xff\xfe").unwrap();
    let place = folder.0.display().to_string();
    let nowhere = format!("{place}/missing/keys.json");
    for (keys, message) in [(&keys, "valid UTF-8"), (&place, "--keys"), (&nowhere, "No such file")] {
        assert_refused(&["--mode", "client", "--keys", keys], &[message]).await;
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let folder = Folder::new();
    let keys = folder.keys();
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        let messages = [&*format!("others can read it (mode {mode:04o})"), &*format!("chmod 600 {keys}")];
        assert_refused(&["--mode", "hybrid", "--keys", &keys], &messages).await;
    }
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o400)).unwrap();
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
}

/// Neither read nor replaced, and nobody waits for the other end of a FIFO.
#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let folder = Folder::new();
    let (keys, real) = (folder.keys(), folder.0.join("real.json"));
    Demo::start(&["--mode", "hybrid", "--keys", &real.display().to_string()]);
    let ring = fs::read_to_string(&real).unwrap();
    let path = folder.file();
    let link = |target: &Path| std::os::unix::fs::symlink(target, folder.file()).unwrap();
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg("-m600").arg(path).status().unwrap().success());
    let makers: [(&dyn Fn(), &str); 8] = [
        (&|| link(&real), "is a symbolic link"),
        (&|| link(Path::new("real.json")), "is a symbolic link"),
        (&|| link(&folder.0.join("nowhere.json")), "is a symbolic link"),
        (&|| link(&path), "is a symbolic link"),
        (&|| link(&folder.0), "is a symbolic link"),
        (&|| fifo(&path), "is a FIFO"),
        (&|| fs::create_dir(&path).unwrap(), "is a directory"),
        (&|| drop(UnixListener::bind(&path).unwrap()), "is a socket"),
    ];
    let refused = |found: String, message: &'static str| {
        let keys = &keys;
        async move { assert_refused(&["--mode", "hybrid", "--keys", keys], &[&found, message, "regular file"]).await }
    };
    for (make, message) in makers {
        make();
        refused(keys.clone(), message).await;
        assert!(fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()), "it is left as it is");
        assert!(!folder.0.join("nowhere.json").exists());
        fs::remove_dir(&path).or_else(|_| fs::remove_file(&path)).unwrap();
    }
    for device in ["/dev/null", "/dev/zero"] {
        assert_refused(&["--mode", "hybrid", "--keys", device], &[device, "is a device"]).await;
    }
    // Nor as the lock.
    let lock = folder.0.join("keys.json.lock");
    let _ = fs::remove_file(&lock);
    let lock_makers: [(&dyn Fn(), &str); 3] = [
        (&|| fifo(&lock), "is a FIFO"),
        (&|| std::os::unix::fs::symlink(&real, &lock).unwrap(), "is a symbolic link"),
        (&|| std::os::unix::fs::symlink("nowhere", &lock).unwrap(), "is a symbolic link"),
    ];
    for (make, message) in lock_makers {
        make();
        refused(lock.display().to_string(), message).await;
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(fs::read_to_string(&real).unwrap(), ring);
}

#[tokio::test]
async fn a_file_of_another_user_is_refused() {
    let folder = Folder::new();
    let keys = folder.keys();
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    // Only root can give a file away. Whoever is not root finds files of root.
    let (path, owner) = match std::os::unix::fs::chown(folder.file(), Some(65534), None) {
        Ok(()) => (keys, "another user (65534)"),
        Err(_) => ("/etc/passwd".to_owned(), "another user (0)"),
    };
    assert_refused(&["--mode", "hybrid", "--keys", &path], &[owner, "chown"]).await;
}

/// It is held by this process.
#[tokio::test]
async fn a_lock_that_is_never_released_keeps_no_server_from_starting_or_ending() {
    let folder = Folder::new();
    let (keys, path) = (folder.keys(), folder.0.join("keys.json.lock"));
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    let messages = ["holds the lock for more than 5 seconds", &*path.display().to_string()];
    assert_refused(&["--mode", "hybrid", "--keys", &keys], &messages).await;
    assert!((5..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(!folder.file().exists());
    drop(lock);

    // Those who have their keys need no lock, until a rotation is due; and that is given up, too.
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    let lock = fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let demo = Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    demo.stop();
    let ring = KeyFile::new(&keys).open(SystemClock.now()).unwrap();
    let due = SystemClock.now() + Duration::from_secs(29 * 24 * 3600);
    let rotate = tokio::task::spawn_blocking({
        let file = KeyFile::new(&keys);
        move || file.rotate(due)
    });
    let error = tokio::time::timeout(Duration::from_secs(15), rotate).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("holds the lock"), "{error}");
    assert_eq!(*ring.to_json(), fs::read_to_string(folder.file()).unwrap());
    // One that is released in time is waited for.
    let file = KeyFile::new(&keys);
    let rotate = tokio::task::spawn_blocking(move || file.rotate(due));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!rotate.is_finished());
    drop(lock);
    assert_eq!(rotate.await.unwrap().unwrap().keys(due).count(), 2);
}

/// The time of the test's runtime is virtual.
#[tokio::test(start_paused = true)]
async fn what_another_demo_wrote_is_taken_over_and_what_is_no_ring_is_not() {
    let folder = Folder::new();
    let keys = folder.keys();
    let args = Args::parse_from(["session-demo", "--mode", "hybrid", "--keys", &keys]);
    let sessions = Sessions::open(&args, args.policy().unwrap(), None).await.unwrap();
    let Sessions::Hybrid(service) = &sessions else { panic!("{sessions:?}") };
    let now = sessions.manager().now();
    let published = || service.tokens().jwks(now).to_json();
    let first = published();
    let follow = tokio::spawn(sessions.clone().watch_key_file(KeyFile::new(&keys)));
    let two_minutes = Duration::from_secs(120);

    for broken in ["", "garbage"] {
        fs::write(folder.file(), broken).unwrap();
        tokio::time::sleep(two_minutes).await;
        assert_eq!(published(), first);
    }
    fs::remove_file(folder.file()).unwrap();
    tokio::time::sleep(two_minutes).await;
    assert_eq!((published(), folder.file().exists()), (first.clone(), false));

    let ring = KeyFile::new(&keys).open(now).unwrap();
    tokio::time::sleep(two_minutes).await;
    assert_eq!(published(), ring.jwks(now).to_json());
    assert_ne!(published(), first);
    follow.abort();
}

/// A newcomer would wonder why all users are signed out after a restart.
#[tokio::test]
async fn keys_that_are_not_kept_are_said() {
    for (options, hinted) in [(&["--mode", "hybrid"][..], true), (&["--mode", "client"], true), (&[], false)] {
        let errors = Demo::start_with(options, |command| command.stderr(Stdio::piped())).stop();
        assert_eq!(errors.contains("hint: what this process signs ends with it"), hinted, "{options:?}: {errors}");
    }
}
