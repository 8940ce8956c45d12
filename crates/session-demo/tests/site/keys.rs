//! The file with the keys.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clap::Parser as _;
use session_demo::args::Args;
use session_demo::keys::KeyFile;
use session_demo::sessions::Sessions;
use session_testbed::servers::namespace;

use crate::support::Demo;

/// A folder for key files, until it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(namespace());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    /// The path of the file, which is not there yet.
    pub(crate) fn keys(&self) -> String {
        self.file().display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn jwks(demo: &Demo) -> String {
    demo.browser().get("/.well-known/jwks.json").await.assert(200).text().to_owned()
}

#[tokio::test]
async fn demos_that_start_at_once_share_one_private_ring() {
    let folder = Folder::new();
    let keys = folder.keys();
    let options = ["--mode", "hybrid", "--keys", &keys];
    let start = || Demo::start(&options);
    let demos: Vec<Demo> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ring = fs::read_to_string(folder.file()).unwrap();
    let first = jwks(&demos[0]).await;
    assert!(first.contains("\"kid\"") && ring.contains("\"d\""), "{first}");
    assert!(!first.contains("\"d\""), "public halves only");
    for demo in &demos[1..] {
        assert_eq!(jwks(demo).await, first);
    }
    for entry in fs::read_dir(&folder.0).unwrap() {
        let (path, mode) = (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap().permissions().mode());
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    let later = Demo::start(&options);
    assert_eq!(jwks(&later).await, first);
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), ring, "it was not written again");
}

/// Runs a demo that is not to start.
fn run(options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_session-demo"))
        .args(["--listen", "127.0.0.1:0"])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it started with {options:?}");
    }
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, message: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("session-demo: ") && error.contains(message), "{error}");
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
            assert_refused(&run(&["--mode", mode, "--keys", &keys]), "this is no key ring");
        }
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
    }
    fs::write(folder.file(), b"\xff\xfe").unwrap();
    assert_refused(&run(&["--mode", "client", "--keys", &keys]), "valid UTF-8");
    let place = folder.0.display().to_string();
    assert_refused(&run(&["--mode", "client", "--keys", &place]), "--keys");
    let nowhere = format!("{place}/missing/keys.json");
    assert_refused(&run(&["--mode", "client", "--keys", &nowhere]), "No such file");
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let folder = Folder::new();
    let keys = folder.keys();
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = run(&["--mode", "hybrid", "--keys", &keys]);
        assert_refused(&refused, &format!("others can read it (mode {mode:04o})"));
        assert_refused(&refused, &format!("chmod 600 {keys}"));
    }
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o400)).unwrap();
    Demo::start(&["--mode", "hybrid", "--keys", &keys]);
}

#[tokio::test]
async fn options_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    assert_refused(&run(&["--keys", &folder.keys()]), "nothing is signed with --mode cookie");
    assert_refused(&run(&["--mode", "hybrid", "--idle", "5s"]), "shorter than the idle timeout");
    let long = ["--mode", "client", "--idle", "60d", "--absolute", "60d"];
    assert_refused(&run(&long), "verify_for is shorter than the time for which a signed token is valid");
}

/// The time of the test's runtime is virtual.
#[tokio::test(start_paused = true)]
async fn what_another_demo_wrote_is_taken_over_and_what_is_no_ring_is_not() {
    let folder = Folder::new();
    let keys = folder.keys();
    let args = Args::parse_from(["session-demo", "--mode", "hybrid", "--keys", &keys]);
    let sessions = Sessions::open(&args, args.policy().unwrap()).await.unwrap();
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
        let demo = Demo::start_with_errors(options);
        demo.signal("TERM");
        let errors = demo.errors();
        assert_eq!(errors.contains("hint: what this process signs ends with it"), hinted, "{options:?}: {errors}");
    }
}
