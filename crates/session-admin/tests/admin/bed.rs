//! A store with sessions, and the command that is run on it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateRequest, Record, SessionStore};
use session_core::{Clock as _, Device, Kind, Namespace, SessionId, SystemClock, Timestamp, VisitorLimit};
use session_testbed::records::{created, load, user};
use session_testbed::servers::{namespace, postgres_url, redis_cluster, redis_sentinel, redis_url};
use tokio::process::Command;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What must not be shown: the password of every URL, and the value of every session.
pub(crate) const PASSWORD: &str = "hunter2pass";
const VALUE: &str = "hunter2value";

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Redis,
    Sentinel,
    Cluster,
    Postgres,
}

impl On {
    /// What is at the URL with a password in it, which these servers do not check.
    async fn url(self, folder: &std::path::Path) -> String {
        let (url, at) = match self {
            Self::Sqlite => return format!("sqlite:{}", folder.join("sessions.db").display()),
            Self::Redis => (redis_url().await.unwrap(), "://"),
            Self::Sentinel => (redis_sentinel().await.unwrap().url(), "://"),
            Self::Cluster => (redis_cluster().await.unwrap().url(), "://"),
            Self::Postgres => (postgres_url().await.unwrap(), "://postgres@"),
        };
        let user = if self == Self::Postgres { "postgres" } else { "default" };
        url.replacen(at, &format!("://{user}:{PASSWORD}@"), 1)
    }

    /// Whether what has expired stays until it is deleted.
    pub(crate) fn keeps_expired(self) -> bool {
        matches!(self, Self::Sqlite | Self::Postgres)
    }
}

/// A store of an application of its own.
pub(crate) struct Bed {
    pub(crate) on: On,
    pub(crate) url: String,
    pub(crate) namespace: Namespace,
    pub(crate) store: Arc<dyn SessionStore>,
    folder: PathBuf,
}

/// The sessions of [`Bed::fill`].
pub(crate) struct Filled {
    /// Of alice: two with a cookie, and one with a refresh token.
    pub(crate) alice: [SessionId; 3],
    /// Of bob: not used for 40 days.
    pub(crate) bob: SessionId,
    /// Of visitors: a browser, one that was not used for 40 days, and a bot.
    pub(crate) visitors: [SessionId; 3],
}

impl Filled {
    pub(crate) fn all(&self) -> BTreeSet<SessionId> {
        self.alice.iter().chain(&self.visitors).chain([&self.bob]).copied().collect()
    }

    pub(crate) fn without(&self, ended: &[SessionId]) -> BTreeSet<SessionId> {
        self.all().into_iter().filter(|id| !ended.contains(id)).collect()
    }
}

/// How a run of the command ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bed {
    pub(crate) async fn open(on: On) -> Self {
        let namespace = namespace();
        let folder = std::env::temp_dir().join(format!("session-admin-{namespace}"));
        std::fs::create_dir(&folder).unwrap();
        let url = on.url(&folder).await;
        let store = session_kit::open(&url, namespace.clone()).await.unwrap();
        Self { on, url, namespace, store, folder }
    }

    /// Stores the session that `builder` describes, with a value that nobody may see.
    pub(crate) async fn insert(&self, builder: RecordBuilder) -> SessionId {
        let record = builder.timeouts(60 * DAY, 90 * DAY).value("cart", VALUE).build().unwrap();
        self.store_at(&record, record.summary.last_seen).await
    }

    /// Stores `record`, at this time.
    pub(crate) async fn store_at(&self, record: &Record, now: Timestamp) -> SessionId {
        let request = CreateRequest::new(record).among(VisitorLimit::new(1_000_000).unwrap());
        assert_eq!(self.store.create(request, now).await.unwrap(), created());
        record.id()
    }

    pub(crate) async fn fill(&self) -> Filled {
        let now = SystemClock.now();
        let recent = RecordBuilder::new(now - Duration::from_secs(60));
        let browser = recent.clone().device(Device::new().with_user_agent("Mozilla/5.0 (X11) Firefox/140"));
        let bot = recent.device(Device::new().with_user_agent("BadBot/1.0"));
        let idle = browser.clone().created_at(now - 50 * DAY).last_seen(now - 40 * DAY);
        let (alice, bob) = (user("alice"), user("bob"));
        Filled {
            alice: [
                self.insert(browser.clone().of(&alice)).await,
                self.insert(browser.clone().of(&alice)).await,
                self.insert(browser.clone().of(&alice).kind(Kind::Refresh)).await,
            ],
            bob: self.insert(idle.clone().of(&bob)).await,
            visitors: [self.insert(browser).await, self.insert(idle).await, self.insert(bot).await],
        }
    }

    /// Every live session, byte by byte.
    pub(crate) async fn snapshot(&self) -> BTreeMap<SessionId, Vec<u8>> {
        let (mut found, mut after) = (BTreeMap::new(), None);
        loop {
            let page =
                self.store.list_all(after.as_ref(), NonZeroU32::new(100).unwrap(), SystemClock.now()).await.unwrap();
            for id in page.listing.ids() {
                found.insert(id, load(&*self.store, &id).await.unwrap().encode().unwrap().to_vec());
            }
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    /// Which sessions there are.
    pub(crate) async fn ids(&self) -> BTreeSet<SessionId> {
        self.snapshot().await.into_keys().collect()
    }

    /// Runs the command on this store.
    pub(crate) async fn run(&self, args: &[&str]) -> Run {
        run(&[("SESSION_STORE_URL", &self.url), ("SESSION_NAMESPACE", self.namespace.as_str())], args).await
    }

    /// Runs it, and it succeeds: its output.
    pub(crate) async fn done(&self, args: &[&str]) -> String {
        let Run { code, out, err } = self.run(args).await;
        assert_eq!(code, 0, "{:?} {args:?}: {out}{err}", self.on);
        out
    }

    /// The same with `--json`, a document on each line.
    pub(crate) async fn json(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let out = self.done(&[args, &["--json"]].concat()).await;
        out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The ids that `args`, with `--json`, shows.
    pub(crate) async fn shown(&self, args: &[&str]) -> BTreeSet<SessionId> {
        let sessions = self.json(args).await;
        sessions.iter().map(|session| session["id"].as_str().unwrap().parse().unwrap()).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs the command with these variables. Whatever comes of it, it shows no secret.
pub(crate) async fn run(variables: &[(&str, &str)], args: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-admin"));
    command.env_remove("SESSION_STORE_URL").env_remove("SESSION_NAMESPACE");
    command.envs(variables.iter().copied()).args(args).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let run = Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    for (name, text) in [("output", &run.out), ("errors", &run.err)] {
        assert!(!text.contains("hunter2"), "a secret in the {name} of {args:?}: {text}");
    }
    run
}
