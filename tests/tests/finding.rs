//! Where servers come from: the environment first, then this machine, else an error that says what to install.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use session_testbed::servers::namespace;

fn servers() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servers"));
    command.env_remove("REDIS_URL").env_remove("DATABASE_URL");
    command
}

#[test]
fn urls_in_the_environment_take_precedence() {
    let mut command = servers();
    command
        .args(["redis", "postgres"])
        .env("REDIS_URL", "redis://elsewhere:1")
        .env("DATABASE_URL", "postgres://elsewhere");
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().take(2);
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(lines, ["redis redis://elsewhere:1", "postgres postgres://elsewhere"]);
}

#[test]
fn an_empty_variable_is_ignored() {
    let mut process = servers().arg("redis").env("REDIS_URL", "").stdout(Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(process.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(line.starts_with("redis redis://127.0.0.1:"), "{line}");
}

/// A folder to be the only one on the PATH, with programs that only print a text.
struct Path(PathBuf);

impl Path {
    fn with(programs: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(namespace().as_str());
        fs::create_dir(&folder).unwrap();
        for (name, prints) in programs {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\necho {prints}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// The error if Redis is not on the PATH.
    fn error(&self) -> String {
        let output = servers().arg("redis").env("PATH", &self.0).env("TMPDIR", &self.0).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_the_right_to_install_the_error_names_the_command() {
    let path = Path::with(&[("apt-get", ""), ("id", "1000")]);
    let command = "run as root: apt-get install --no-install-recommends redis-server";
    assert!(path.error().contains(command), "{}", path.error());
}

#[test]
fn on_other_systems_the_error_names_the_command() {
    for (manager, command) in [("dnf", "run: dnf install valkey"), ("pacman", "run: pacman -S valkey")] {
        let path = Path::with(&[(manager, ""), ("id", "0")]);
        assert!(path.error().contains(command), "{}", path.error());
    }
    let path = Path::with(&[("id", "0")]);
    assert!(path.error().contains("put it on the PATH"), "{}", path.error());
}
