//! [`Chromium`]: the process; [`Context`]: what one person has open, and their cookies.

use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::pipe::Pipe;
use crate::servers::{Server, ServerError, chromium, is_root, with_setpriv};

/// How long it may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// It finds no host unless the caller's flags name one, which replace the first of these: it asks its maker about updates
/// and accounts all the same. It keeps its secrets in the profile, and lives with a small `/dev/shm`, as containers have. Text and
/// colours are drawn in the same way on every machine.
const FLAGS: [&str; 19] = [
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--headless",
    "--remote-debugging-pipe",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-gpu",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--force-color-profile=srgb",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--lang=en",
];

/// A Chromium with a profile of its own.
pub struct Chromium {
    pipe: Arc<Pipe>,
    folder: PathBuf,
    /// The shell that runs it.
    shell: Mutex<Child>,
}

impl Chromium {
    /// Starts it, with these flags besides those that tests need. The program is that of the environment variable
    /// `CHROMIUM`, or an installed one. In its sandbox, unless this process runs as root: root has none.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(flags: &[String]) -> Result<Self, ServerError> {
        let flags = flags.to_vec();
        let spawned = tokio::task::spawn_blocking(move || Self::spawn(&flags)).await;
        let this = spawned.map_err(|error| ServerError::new(format!("Chromium: {error}")))??;
        this.answers().await?;
        Ok(this)
    }

    fn spawn(flags: &[String]) -> Result<Self, ServerError> {
        let failed = |why: &str| ServerError::new(format!("cannot start Chromium: {why}"));
        let (program, folder) = (chromium()?, Server::new_folder());
        let sandbox = if is_root()? { &["--no-sandbox"][..] } else { &[] };
        let mut shell = Command::new("sh")
            .args(["-c", include_str!("run.sh"), "run"])
            .arg(&folder)
            .args(with_setpriv(None)?)
            .arg(program)
            .args(FLAGS)
            .args(sandbox)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .args(flags)
            // What it writes beside its profile goes there too.
            .envs(["HOME", "TMPDIR"].map(|name| (name, &folder)))
            .envs(["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"].map(|name| (name, &folder)))
            // Out of reach of Ctrl-C: it ends with the pipe, in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error.to_string()))?;
        let (Some(commands), Some(answers)) = (shell.stdin.take(), shell.stdout.take()) else {
            return Err(failed("no pipe"));
        };
        Ok(Self { pipe: Arc::new(Pipe::new(commands, answers)), folder, shell: Mutex::new(shell) })
    }

    /// Waits until it answers. The error has the end of its log.
    async fn answers(&self) -> Result<(), ServerError> {
        let answer = self.pipe.call(None, "Browser.getVersion", json!({})).await;
        answer.map(drop).map_err(|error| {
            let log = fs::read(self.folder.join("log")).unwrap_or_default();
            let end = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned();
            ServerError::new(format!("{error}\n{end}"))
        })
    }

    /// A person who was never here before, beside all others: without cookies, and gone when it is dropped.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn context(&self) -> Result<Context, ServerError> {
        let created = self.pipe.call(None, "Target.createBrowserContext", json!({})).await?;
        Ok(Context { pipe: Arc::clone(&self.pipe), id: Some(created["browserContextId"].clone()) })
    }

    /// The person whose profile this is. It is on the disk, and is there after a [restart](Self::restart).
    #[must_use]
    pub fn profile(&self) -> Context {
        Context { pipe: Arc::clone(&self.pipe), id: None }
    }

    /// Ends it in order, as a person does who closes all windows, and starts it again. All contexts but the
    /// [profile](Self::profile), and all pages, are gone.
    ///
    /// # Errors
    /// If it does not end, or does not start.
    pub async fn restart(&self) -> Result<(), ServerError> {
        self.pipe.tell("Browser.close", json!({}));
        // On a busy machine it now and then ends as soon as it has started.
        for _ in 0..2 {
            self.pipe.again().await?;
            if self.answers().await.is_ok() {
                return Ok(());
            }
        }
        self.pipe.again().await?;
        self.answers().await
    }

    /// The folder of its profile and its log (`log`).
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.pipe.close();
        let (start, shell) = (Instant::now(), self.shell.get_mut().unwrap_or_else(PoisonError::into_inner));
        while start.elapsed() < PATIENCE {
            match shell.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        eprintln!("Chromium does not end, and is killed");
        let group = format!("-{}", shell.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = shell.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl fmt::Debug for Chromium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chromium in {}", self.folder.display())
    }
}

/// One person: the pages they have open, and their cookies.
pub struct Context {
    pipe: Arc<Pipe>,
    /// `None` for the profile.
    id: Option<Value>,
}

impl Context {
    /// A new tab.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn page(&self) -> Result<Page, ServerError> {
        // In a window of its own, so that it is never hidden behind another.
        let target = json!({ "url": "about:blank", "newWindow": true });
        let created = self.pipe.call(None, "Target.createTarget", self.here(target)).await?;
        Page::attach(Arc::clone(&self.pipe), &created["targetId"]).await
    }

    /// All cookies, as Chromium has stored them.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn cookies(&self) -> Result<Vec<Cookie>, ServerError> {
        let mut answer = self.pipe.call(None, "Storage.getCookies", self.here(json!({}))).await?;
        serde_json::from_value(answer["cookies"].take()).map_err(|error| ServerError::new(format!("cookies: {error}")))
    }

    /// Stores cookies, as if a site had set them: copies of those of somebody else, say. One that has expired is removed.
    ///
    /// # Errors
    /// If Chromium does not take them.
    pub async fn set_cookies(&self, cookies: &[Cookie]) -> Result<(), ServerError> {
        let cookies: Vec<Value> = cookies.iter().map(Cookie::to_be_set).collect();
        self.pipe.call(None, "Storage.setCookies", self.here(json!({ "cookies": cookies }))).await.map(drop)
    }

    fn here(&self, mut params: Value) -> Value {
        if let Some(id) = &self.id {
            params["browserContextId"] = id.clone();
        }
        params
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.pipe.tell("Target.disposeBrowserContext", self.here(json!({})));
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A cookie, as Chromium has stored it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host it is for; with a dot in front, its subdomains too.
    pub domain: String,
    /// The path it is for.
    pub path: String,
    /// When it expires, in seconds since the epoch; −1 if it ends with the browser.
    pub expires: f64,
    /// Whether it ends with the browser.
    pub session: bool,
    /// Whether it is sent over https only.
    pub secure: bool,
    /// Whether scripts cannot see it.
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`, if it was set.
    pub same_site: Option<String>,
    /// The site it is partitioned by, if it is.
    pub partition_key: Option<Value>,
}

impl Cookie {
    fn to_be_set(&self) -> Value {
        let Self { name, value, domain, path, expires, session, secure, http_only, same_site, partition_key: _ } = self;
        let mut cookie = json!({
            // A domain would make it one for subdomains, too.
            "name": name, "value": value, "url": format!("https://{domain}{path}"), "path": path, "secure": secure,
            "httpOnly": http_only,
        });
        if !session {
            cookie["expires"] = json!(expires);
        }
        if let Some(same_site) = same_site {
            cookie["sameSite"] = json!(same_site);
        }
        cookie
    }
}
