//! Sessions in a file: `--store sqlite:PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::support::{Browser, Demo, assert_refused};

/// A user who owns nothing.
const NOBODY: u32 = 65534;

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A new version of the site, or a crash: nobody has to log in again for that.
#[tokio::test]
async fn who_was_logged_in_still_is_after_a_restart() {
    let folder = Folder::new();
    let store = url(&folder.0.join("sessions.db"));
    let start = || Demo::start(&["--store", &store]);
    for end in ["TERM", "INT", "KILL"] {
        let before = start();
        let (alice, visitor, bob) = (before.logged_in("alice").await, before.browser(), before.logged_in("bob").await);
        alice.put("/api/data/draft", &json!("Dear all")).await.assert(204);
        visitor.put("/api/data/cart", &json!(["tea"])).await.assert(204);
        let copy = bob.copy();
        bob.post("/api/logout", &Value::Null).await.assert(204);
        let cookies = [alice, visitor, copy].map(Browser::into_cookies);
        if end == "KILL" {
            drop(before);
        } else {
            before.signal(end);
            before.wait();
            assert_eq!(names(&folder), ["sessions.db"], "after {end} there is nothing beside the file");
        }

        let after = start();
        let [alice, visitor, copy] = cookies.map(|cookies| after.browser_with(cookies));
        assert_eq!(alice.user().await.as_deref(), Some("alice"), "{end}");
        assert_eq!(alice.get("/api/data/draft").await.assert(200).json(), "Dear all");
        assert_eq!(visitor.get("/api/data/cart").await.assert(200).json(), json!(["tea"]), "{end}");
        assert_eq!(copy.user().await, None, "a logout stays a logout");
        alice.post("/api/logout", &Value::Null).await.assert(204);
    }
}

#[tokio::test]
async fn the_file_is_left_tidy_when_the_site_cannot_start() {
    let (folder, other) = (Folder::new(), Demo::start(&[]));
    let store = url(&folder.0.join("sessions.db"));
    let taken = other.base.strip_prefix("http://").unwrap();
    assert_refused(&["--store", &store, "--listen", taken], &["cannot listen on 127.0.0.1:"]).await;
    assert_eq!(names(&folder), ["sessions.db"]);
}

#[tokio::test]
async fn the_path_is_taken_as_it_is() {
    let folder = Folder::new();
    for name in ["plain.db", "./x y.db", "50%20 #ä.db", "~", "file:x"] {
        let start =
            || Demo::start_with(&["--store", &format!("sqlite:{name}")], |command| command.current_dir(&folder.0));
        let before = start();
        let cookies = before.logged_in("alice").await.into_cookies();
        before.stop();
        assert!(fs::metadata(folder.0.join(name)).unwrap().len() > 0, "{name}");
        assert_eq!(start().browser_with(cookies).user().await.as_deref(), Some("alice"), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_path_is_refused() {
    for (store, reason) in [
        ("sqlite:", "is followed by the path"),
        ("sqlite://hunter2.db", "without slashes of a URL"),
        ("sqlite:///tmp/hunter2.db", "without slashes of a URL"),
        ("sqlite::memory:", "--store memory does that"),
        ("sqlite::memory:?cache=shared", "--store memory does that"),
        ("sqlite:hunter2.db?mode=rwc", "no settings behind the path"),
    ] {
        assert_refused(&["--store", store], &["session-demo: --store: ", reason, "sqlite:sessions.db"]).await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_reported() {
    let folder = Folder::new();
    let (text, missing) = (folder.0.join("letter.txt"), folder.0.join("missing").join("sessions.db"));
    let letter = "Dear all, this is a letter and no database. ".repeat(100);
    fs::write(&text, &letter).unwrap();
    let cannot = "session-demo: the store cannot be used: sqlite: open";
    for (file, next_step) in [
        (missing.as_path(), "the folder of the file does not exist; create it"),
        (Path::new("missing/sessions.db"), "the folder of the file does not exist; create it"),
        (&*text, "the file is not a database of SQLite; give another path"),
        (&*folder.0, "a folder or a device; a file is needed"),
    ] {
        assert_refused(&["--store", &url(file)], &[cannot, file.to_str().unwrap(), next_step, "--store memory"]).await;
    }
    assert_eq!(names(&folder), ["letter.txt"], "nothing was made");
    assert_eq!(fs::read_to_string(&text).unwrap(), letter, "and nothing was overwritten");
}

/// A session could be read, but no login stored.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_reported() {
    let folder = Folder::within(&std::env::temp_dir());
    let (file, program) = (folder.0.join("sessions.db"), folder.0.join("session-demo"));
    // Where everybody may execute it.
    fs::copy(env!("CARGO_BIN_EXE_session-demo"), &program).unwrap();
    let store = url(&file);
    let before = Demo::start(&["--store", &store]);
    let cookies = before.logged_in("alice").await.into_cookies();
    before.stop();

    let permit = |file_mode, folder_mode| {
        fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(folder_mode)).unwrap();
    };
    permit(0o444, 0o555);
    let mut command = Command::new(&program);
    command.args(["--listen", "127.0.0.1:0", "--store", &store]);
    if rustix::process::geteuid().is_root() {
        // Root may write to everything.
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    permit(0o644, 0o755);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for message in ["session-demo: the store cannot be used: sqlite: open", "sessions.db", "read-only"] {
        assert!(text.contains(message), "{message} is not in {text}");
    }
    let after = Demo::start(&["--store", &store]);
    assert_eq!(after.browser_with(cookies).user().await.as_deref(), Some("alice"), "it was left as it is");
}
