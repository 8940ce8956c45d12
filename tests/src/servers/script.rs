//! [`run_script`]: other people's software, in Python and in Node.js.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::base::{ServerError, blocking, random};
use super::download::target;
use super::install::{node, npm, python};

/// Runs a script of the folder `tests/interop` with these arguments and this standard input. Returns the JSON that it
/// prints.
///
/// What scripts import is pinned in that folder, in `requirements.txt` and `package-lock.json`. It comes from PyPI and npm,
/// through `pip` and `npm` as they are configured, the first time and when a pin changes, and is kept in `target/interop`.
///
/// # Errors
/// If Python, Node.js or a package is missing and cannot be installed, or if the script fails: with what it wrote to its
/// standard error.
pub async fn run_script(name: &'static str, arguments: &[&str], input: &str) -> Result<Value, ServerError> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let input = input.to_owned();
    blocking(move || {
        let mut command = if name.ends_with(".py") { python_script(name)? } else { node_script(name)? };
        let output = run(command.args(arguments), &input)?;
        serde_json::from_slice(&output).map_err(ServerError::of(format!("{name} did not print JSON")))
    })
    .await
}

/// Where the scripts are, and what they need.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

fn python_script(name: &str) -> Result<Command, ServerError> {
    let program = "venv/bin/python";
    let cache = target().join("interop");
    let folder = installed(&scripts(), &cache, "python", &["requirements.txt"], program, |folder| {
        install(Command::new(python()?).args(["-m", "venv", "venv"]).current_dir(folder))?;
        let mut pip = Command::new(folder.join(program));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "-r",
            "requirements.txt",
        ]);
        install(pip.current_dir(folder))
    })?;
    let mut python = Command::new(folder.join(program));
    // Without its cache beside the script, and without packages of the user.
    python.arg("-IB").arg(scripts().join(name));
    Ok(python)
}

fn node_script(name: &str) -> Result<Command, ServerError> {
    let folder = node_modules(&scripts(), &target().join("interop"))?;
    // Node looks for modules beside the script. Another process may be reading it: it is replaced in one step.
    let (script, copy) = (folder.join(name), folder.join(format!("{:016x}", random())));
    fs::copy(scripts().join(name), &copy).map_err(ServerError::of(copy.display()))?;
    fs::rename(&copy, &script).map_err(ServerError::of(script.display()))?;
    let mut node = Command::new(node()?);
    node.arg(script);
    Ok(node)
}

/// A folder in `cache` with `node_modules`: the packages that `package-lock.json` in `source` pins.
pub(crate) fn node_modules(source: &Path, cache: &Path) -> Result<PathBuf, ServerError> {
    let pins = ["package.json", "package-lock.json"];
    installed(source, cache, "node", &pins, "node_modules", |folder| {
        let mut npm = Command::new(npm()?);
        install(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder))
    })
}

/// The folder `name` in `cache`, in which `install` has run with the present content of the files in `source` that pin versions. It
/// has made `product` there.
fn installed(
    source: &Path,
    cache: &Path,
    name: &str,
    pins: &[&str],
    product: &str,
    install: impl FnOnce(&Path) -> Result<(), ServerError>,
) -> Result<PathBuf, ServerError> {
    fs::create_dir_all(cache).map_err(ServerError::of(cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(ServerError::of(cache.display()))?;
    // Another process may be at it.
    lock.lock().map_err(ServerError::of("the lock of installations"))?;
    let (folder, done) = (cache.join(name), cache.join(name).join("installed"));
    let mut pinned = String::new();
    for pin in pins {
        pinned += &fs::read_to_string(source.join(pin)).map_err(ServerError::of(pin))?;
    }
    // The product may be a link to a program that is gone.
    if fs::read_to_string(&done).is_ok_and(|before| before == pinned) && folder.join(product).exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(ServerError::of(folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(ServerError::of(folder.display()))?;
    for pin in pins {
        fs::copy(source.join(pin), folder.join(pin)).map_err(ServerError::of(pin))?;
    }
    eprintln!("installing what {} pins …", pins.join(" and "));
    install(&folder)?;
    fs::write(&done, pinned).map_err(ServerError::of(done.display()))?;
    Ok(folder)
}

/// Runs a client of a registry.
fn install(command: &mut Command) -> Result<(), ServerError> {
    run(command, "").map(drop).map_err(|error| {
        ServerError::new(format!(
            "{error}\nPackages that tests need could not be installed, and tests never skip a client. Run the command by hand to \
             see whether the registry answers"
        ))
    })
}

/// Runs `command` with `input`. Returns its output.
fn run(command: &mut Command, input: &str) -> Result<Vec<u8>, ServerError> {
    let shown = format!("{command:?}");
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().map_err(ServerError::of(&shown))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without having read it says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(ServerError::of(&shown))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(ServerError::new(format!("{shown} failed ({}):\n{}", output.status, why.trim())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{install, installed, run, scripts};
    use crate::servers::base::{ServerError, namespace};

    /// A folder that is removed in the end.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn in_cache(
        cache: &Folder,
        install: impl FnOnce(&Path) -> Result<(), ServerError>,
    ) -> Result<PathBuf, ServerError> {
        installed(&scripts(), &cache.0, "python", &["requirements.txt"], "product", install)
    }

    fn make(folder: &Path) -> Result<(), ServerError> {
        fs::write(folder.join("product"), fs::read_to_string(folder.join("requirements.txt")).unwrap()).unwrap();
        Ok(())
    }

    #[test]
    fn packages_are_installed_once_and_again_if_a_pin_changes_or_the_program_is_gone() {
        let cache = Folder(std::env::temp_dir().join(namespace().as_str()));
        let folder = in_cache(&cache, make).unwrap();
        assert!(fs::read_to_string(folder.join("product")).unwrap().contains("PyJWT=="));
        in_cache(&cache, |_| panic!("installed again")).unwrap();

        fs::write(folder.join("installed"), "PyJWT==1.0.0").unwrap();
        fs::write(folder.join("product"), "the old one").unwrap();
        in_cache(&cache, make).unwrap();
        assert_ne!(fs::read_to_string(folder.join("product")).unwrap(), "the old one");

        fs::remove_file(folder.join("product")).unwrap();
        in_cache(&cache, make).unwrap();
        assert!(folder.join("product").exists());
    }

    #[test]
    fn an_installation_that_fails_is_an_error_and_is_tried_again() {
        let cache = Folder(std::env::temp_dir().join(namespace().as_str()));
        let failing = |_: &Path| install(Command::new("sh").args(["-c", "echo no route to the registry >&2; exit 7"]));
        for _ in 0..2 {
            let error = in_cache(&cache, failing).unwrap_err().to_string();
            for part in ["exit status: 7", "no route to the registry", "never skip", "by hand"] {
                assert!(error.contains(part), "{error}");
            }
        }
        in_cache(&cache, make).unwrap();
    }

    #[test]
    fn a_program_gets_its_input_and_need_not_read_it() {
        assert_eq!(run(&mut Command::new("cat"), "text").unwrap(), b"text");
        let long = "x".repeat(1 << 20);
        let error = run(Command::new("sh").args(["-c", "echo not today >&2; exit 3"]), &long).unwrap_err().to_string();
        assert!(error.contains("not today") && error.contains("exit status: 3"), "{error}");
    }
}
