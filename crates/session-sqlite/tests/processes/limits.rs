//! Files that cannot grow, or may not be written.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use session_core::SessionId;
use session_testbed::records::load;

use crate::parent::{Folder, Process, open, runtime};

/// The operating system lets files grow to a megabyte. What does not fit is an error, what was acknowledged is there,
/// and sessions can be read.
pub(crate) fn what_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let program = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --child fill \"$1\"";
    let mut process = Process::spawn(Command::new("sh").arg("-c").arg(script).arg(&program).arg(&path));
    let (mut last, mut errors, mut logouts) = (HashMap::<SessionId, char>::new(), Vec::new(), None);
    loop {
        let line = process.line();
        if line.is_empty() {
            break;
        } else if let Some(count) = line.strip_prefix("logouts ") {
            logouts = Some(count.parse::<u32>().unwrap());
        } else if line.starts_with("error ") {
            errors.push(line);
        } else {
            let (mark, id) = line.split_at(1);
            last.insert(id.parse().unwrap(), mark.chars().next().unwrap());
        }
    }
    println!("{} logins, {logouts:?} logouts of 50, {} errors", last.len(), errors.len());
    assert!(last.len() > 50, "{errors:?}");
    assert!(logouts.is_some(), "it came to its end");
    assert!(errors.len() >= 3, "the limit was reached");
    for error in &errors {
        assert!(error.starts_with("error Unavailable") || error.starts_with("error Full"), "{error}");
        assert!(error.contains("disk"), "it says where to look: {error}");
    }
    runtime().block_on(async {
        let store = open(&path).await;
        for (id, mark) in &last {
            let is_there = load(&store, id).await.is_some();
            assert!(*mark != '+' || is_there, "a login that was acknowledged is gone");
            assert!(*mark != '-' || !is_there, "a logout that was acknowledged was undone");
        }
    });
}

/// Read-only files and folders, and those of somebody else.
pub(crate) fn who_may_not_write_is_told() {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // Where this program is, nobody else may be allowed to look.
    let program = folder.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let attempt = |path: &Path| Process::start_unprivileged("try", path, &program).line();
    let make = |name: &str, file: u32, inside: u32| {
        let place = folder.join(name);
        fs::create_dir(&place).unwrap();
        let path = place.join("sessions.db");
        runtime().block_on(async { open(&path).await.close().await });
        fs::set_permissions(&path, Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(inside)).unwrap();
        path
    };
    for (name, file, inside, says) in [
        ("works", 0o666, 0o777, "logged in"),
        ("file", 0o444, 0o777, "error Unavailable unavailable: the file or its folder is read-only"),
        ("folder", 0o666, 0o555, "error Unavailable unavailable: the file or its folder is read-only"),
        ("closed", 0o000, 0o777, "error Unavailable unavailable: the file or its folder is read-only"),
    ] {
        let path = make(name, file, inside);
        let line = attempt(&path);
        assert!(line.starts_with(says), "{name}: {line}");
        // Nothing is left that would be in the way when it is mended.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "{name}");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(attempt(&path), "logged in", "{name}");
    }
    // Left by another program.
    let path = make("beside", 0o666, 0o777);
    let shm = path.with_extension("db-shm");
    fs::write(&shm, "").unwrap();
    fs::set_permissions(&shm, Permissions::from_mode(0o444)).unwrap();
    let line = attempt(&path);
    assert!(line.starts_with("error Unavailable") && line.contains("-shm"), "{line}");
    let place = folder.join("empty");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o555)).unwrap();
    let line = attempt(&place.join("sessions.db"));
    assert!(
        line.starts_with("error Unavailable unavailable: the file cannot be created: its folder is read-only"),
        "{line}"
    );
}
