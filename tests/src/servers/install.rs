//! Finding the programs, and installing what is missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::base::ServerError;

/// A program that tests need.
#[derive(Debug)]
pub(super) struct Program {
    /// The name of its file, and of equivalent programs.
    names: &'static [&'static str],
    /// The package of Debian and Ubuntu, whose service has the same name.
    debian: &'static str,
    /// Its package for each of [`MANAGERS`].
    packages: [&'static str; 5],
}

/// Other package managers.
const MANAGERS: [&str; 5] = ["dnf install", "apk add", "pacman -S", "zypper install", "brew install"];

pub(super) const REDIS: Program = Program {
    names: &["redis-server", "valkey-server"],
    debian: "redis-server",
    packages: ["valkey", "redis", "valkey", "redis", "redis"],
};

/// `initdb` is in the same folder, and only the package of the server has it.
pub(super) const POSTGRES: Program = Program {
    names: &["postgres"],
    debian: "postgresql",
    packages: ["postgresql-server", "postgresql", "postgresql", "postgresql-server", "postgresql"],
};

pub(super) const PGBOUNCER: Program =
    Program { names: &["pgbouncer"], debian: "pgbouncer", packages: ["pgbouncer"; 5] };

pub(super) const NGINX: Program = Program { names: &["nginx"], debian: "nginx", packages: ["nginx"; 5] };

/// Apache comes with the module, which needs it. Its own package would set up a service.
const APACHE: Program = Program {
    names: &["apache2", "httpd"],
    debian: "libapache2-mod-auth-openidc",
    packages: [
        "httpd mod_auth_openidc",
        "apache2 apache-mod-auth-openidc",
        "apache mod_auth_openidc",
        "apache2 apache2-mod_auth_openidc",
        "httpd",
    ],
};

/// Where distributions have the modules of Apache.
const APACHE_MODULES: [&str; 4] =
    ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib64/apache2", "/usr/lib/httpd/modules"];

const CHROMIUM: Program = Program {
    names: &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    debian: "chromium",
    packages: ["chromium", "chromium", "chromium", "chromium", "--cask chromium"],
};

const PYTHON: Program = Program {
    names: &["python3"],
    debian: "python3-venv",
    packages: ["python3", "python3", "python", "python3", "python"],
};

const NODE: Program = Program {
    names: &["node", "nodejs"],
    debian: "nodejs",
    packages: ["nodejs", "nodejs", "nodejs", "nodejs", "node"],
};

const NPM: Program = Program { names: &["npm"], debian: "npm", packages: ["nodejs-npm", "npm", "npm", "npm", "node"] };

/// Chromium: that of the environment variable `CHROMIUM`, or an installed one.
pub(crate) fn chromium() -> Result<PathBuf, ServerError> {
    CHROMIUM.find_unless("CHROMIUM")
}

/// Apache with mod_auth_openidc, and the folder of its modules.
pub(super) fn apache() -> Result<(PathBuf, PathBuf), ServerError> {
    let modules =
        || APACHE_MODULES.map(PathBuf::from).into_iter().find(|folder| folder.join("mod_auth_openidc.so").is_file());
    let program = APACHE.find_with(|_| modules().is_some())?;
    let modules = modules().ok_or_else(|| ServerError::new("mod_auth_openidc is gone"))?;
    Ok((program, modules))
}

/// Python, with the modules that make virtual environments.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub(super) fn python() -> Result<PathBuf, ServerError> {
    // Debian has the modules in a package of their own.
    PYTHON.find_with(|python| succeeds(Command::new(python).args(["-c", "import ensurepip, venv"])))
}

/// Node.js.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub(super) fn node() -> Result<PathBuf, ServerError> {
    NODE.find_with(runs)
}

/// The package manager of Node.js.
///
/// # Errors
/// [`ServerError`] if it is missing and could not be installed.
pub(super) fn npm() -> Result<PathBuf, ServerError> {
    NPM.find_with(runs)
}

impl Program {
    /// The path of the program. Installs it if it is missing.
    pub(super) fn find(&self) -> Result<PathBuf, ServerError> {
        self.find_with(|_| true)
    }

    /// The path of the program: what the environment variable says, if it is set. Else as [`find`](Self::find).
    pub(super) fn find_unless(&self, variable: &str) -> Result<PathBuf, ServerError> {
        match std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) {
            Some(path) if path.is_file() => Ok(path),
            Some(path) => Err(ServerError::new(format!("{variable} names no file: {}", path.display()))),
            None => self.find(),
        }
    }

    /// The path of the program if it has this version. Installs it if it is missing.
    pub(super) fn find_version(&self, server: &str, version: &str) -> Result<PathBuf, ServerError> {
        let program = self.find()?;
        let output = Command::new(&program).arg("--version").output().map_err(ServerError::of(program.display()))?;
        let says = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if is_version(&says, server, version) {
            return Ok(program);
        }
        Err(ServerError::new(format!(
            "{} is not {server} {version}: it says `{says}`. Put {server} {version} first on the PATH; Debian 12 and Ubuntu \
             24.04 have it as {}",
            program.display(),
            self.debian
        )))
    }

    /// The path of the program. Installs it if it is missing or does not `work`.
    fn find_with(&self, works: impl Fn(&Path) -> bool) -> Result<PathBuf, ServerError> {
        let look = || self.look().filter(|path| works(path));
        if let Some(path) = look() {
            return Ok(path);
        }
        // One installation at a time. It may be installed once the lock is ours.
        let lock = install_lock()?;
        lock.lock().map_err(ServerError::of("the lock of installations"))?;
        if let Some(path) = look() {
            return Ok(path);
        }
        self.install()?;
        look().ok_or_else(|| ServerError::new(format!("{} is not there after its installation", self.names[0])))
    }

    fn look(&self) -> Option<PathBuf> {
        self.names.iter().find_map(|name| find_file(name))
    }

    fn install(&self) -> Result<(), ServerError> {
        let missing = format!("{} is not installed, and tests never skip a server", self.names[0]);
        if find_file("apt-get").is_none() {
            let command = MANAGERS.into_iter().zip(self.packages).find_map(|(command, package)| {
                let manager = command.split(' ').next()?;
                find_file(manager).map(|_| format!("run: {command} {package}"))
            });
            let advice = command.unwrap_or_else(|| "install it and put it on the PATH".to_owned());
            return Err(ServerError::new(format!("{missing}; {advice}")));
        }
        let command = format!("apt-get install --no-install-recommends {}", self.debian);
        let mut shell = if is_root()? {
            Command::new("sh")
        } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "sh"]);
            sudo
        } else {
            return Err(ServerError::new(format!("{missing}; run as root: {command}")));
        };
        eprintln!("{} is not installed. Running: {command}", self.names[0]);
        let status = shell
            .args(["-c", include_str!("install.sh"), "install", self.debian])
            .status()
            .map_err(ServerError::of("cannot start the installation"))?;
        if !status.success() {
            return Err(ServerError::new(format!("{missing}, and installing it failed ({status}): {command}")));
        }
        eprintln!("{} is installed.", self.names[0]);
        Ok(())
    }
}

/// Whether the output of `--version` names this server, and a version that begins with these numbers.
fn is_version(output: &str, server: &str, version: &str) -> bool {
    let mut words = output.split_whitespace().map(|word| word.trim_start_matches("v="));
    let begins = |word: &str| word.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    output.to_lowercase().starts_with(server) && words.any(begins)
}

/// Searches the PATH, then the folders of daemons, which the PATH of a user may lack.
fn find_file(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(postgres_folders()).chain(daemons);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where Debian installs the versions of PostgreSQL side by side, the newest first.
fn postgres_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.iter().map(|number| Path::new("/usr/lib/postgresql").join(number.to_string()).join("bin")).collect()
}

/// A lock file for all users of this machine. Opened for reading, which suffices to lock it and may be all that is
/// permitted.
fn install_lock() -> Result<File, ServerError> {
    let path = std::env::temp_dir().join("session-testbed-install.lock");
    File::open(&path).or_else(|_| File::create(&path)).map_err(ServerError::of(path.display()))
}

fn runs(program: &Path) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(crate) fn is_root() -> Result<bool, ServerError> {
    Ok(id(&["-u"])? == "0")
}

/// What `id` prints.
fn id(arguments: &[&str]) -> Result<String, ServerError> {
    let output = Command::new("id").args(arguments).output().map_err(ServerError::of("cannot start id"))?;
    if !output.status.success() {
        return Err(ServerError::new(format!("id {}: {}", arguments.join(" "), output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The user for a server that refuses to run as root. `None` if the tests do not run as root.
pub(super) fn unprivileged_user() -> Result<Option<&'static str>, ServerError> {
    if !is_root()? {
        return Ok(None);
    }
    Ok(Some(if id(&["-u", "postgres"]).is_ok() { "postgres" } else { "nobody" }))
}

/// A prefix for a command: the kernel kills it when its parent ends, and it runs as `user`.
pub(crate) fn with_setpriv(user: Option<&str>) -> Result<Vec<String>, ServerError> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = *WORKS.get_or_init(|| succeeds(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])));
    let mut words = Vec::new();
    if works {
        words.extend(["setpriv", "--pdeathsig", "KILL"].map(str::to_owned));
    }
    if let Some(user) = user {
        if !works {
            return Err(ServerError::new(format!(
                "run the tests as another user than root, or install setpriv \
                (package util-linux), so that a server can run as {user}"
            )));
        }
        let group = id(&["-g", user])?;
        words.extend([format!("--reuid={user}"), format!("--regid={group}"), "--init-groups".to_owned()]);
    }
    if works {
        words.push("--".to_owned());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn a_version_is_compared_number_by_number() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0";
        assert!(is_version(redis, "redis", "7.0"));
        assert!(is_version(redis, "redis", "7.0.15"));
        for (server, version) in [("redis", "7.0.1"), ("redis", "7.2"), ("redis", "5.3.0"), ("valkey", "7.0")] {
            assert!(!is_version(redis, server, version), "{server} {version}");
        }
        assert!(is_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "postgres", "15"));
    }
}
