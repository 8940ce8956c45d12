//! Real stores, and several demos on one of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use session_testbed::servers::{self, Postgres, Redis, namespace};
use tokio::sync::OnceCell;

use crate::backend::Backend;
use crate::folder::Folder;
use crate::support::Demo;

pub(crate) use crate::program::on_both;

/// Runs each of these tests on those, and on a file.
macro_rules! on_each {
    ($($test:ident),+ $(,)?) => {
        $crate::server::on_both!($($test),+);
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::backend::Backend::Sqlite).await; })+
        }
    };
}
pub(crate) use on_each;

/// A server of one test, or a folder with a file.
pub(crate) enum Server {
    Redis(Redis),
    Postgres(Postgres),
    Sqlite(Folder),
}

impl Server {
    pub(crate) async fn launch(backend: Backend) -> Self {
        match backend {
            Backend::Redis => Self::Redis(Redis::launch(&[]).await.unwrap()),
            Backend::Postgres => Self::Postgres(Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap()),
            Backend::Sqlite => Self::Sqlite(Folder::new()),
        }
    }

    /// Its process, to stop and pause it.
    pub(crate) fn process(&self) -> &servers::Server {
        match self {
            Self::Redis(redis) => redis,
            Self::Postgres(postgres) => postgres,
            Self::Sqlite(_) => panic!("a file has no process"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(redis) => redis.url(),
            Self::Postgres(postgres) => postgres.url(),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.0.join(FILE).display()),
        }
    }

    /// How many sessions are stored, live or expired.
    pub(crate) async fn records(&self) -> usize {
        match self {
            Self::Redis(redis) => {
                // Without the tombstones of sessions that ended, which hold one byte.
                let count = "local n = 0; for _, key in ipairs(redis.call('KEYS', '*:s:*')) do \
                             if redis.call('STRLEN', key) > 1 then n = n + 1 end end; return n";
                usize::try_from(redis.command(&["EVAL", count, "0"]).await.unwrap().number().unwrap()).unwrap()
            }
            Self::Postgres(postgres) => {
                psql(postgres, "SELECT count(*) FROM \"session-demo\".session").parse().unwrap()
            }
            Self::Sqlite(folder) => {
                let count = "SELECT count(*) FROM \"session.session-demo\"";
                servers::query_file(&folder.0.join(FILE), count).await.unwrap().parse().unwrap()
            }
        }
    }
}

/// The name of the file in its folder.
const FILE: &str = "sessions.db";

/// The result of a statement.
pub(crate) fn psql(postgres: &Postgres, sql: &str) -> String {
    let output = postgres.tool("psql").args(["-XAtc", sql]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two demos behind a load balancer.
pub(crate) struct Nodes {
    pub(crate) a: Demo,
    pub(crate) b: Demo,
}

impl Nodes {
    /// On an empty store of a server that all tests share.
    pub(crate) async fn start(backend: Backend, options: &[&str]) -> Self {
        Self::on(&empty_store(backend).await, options)
    }

    /// On the store at this URL.
    pub(crate) fn on(store: &str, options: &[&str]) -> Self {
        let options = [&["--store", store], options].concat();
        Self { a: Demo::start(&options), b: Demo::start(&options) }
    }

    /// Ends both, and starts them again.
    pub(crate) fn restart(self, store: &str, options: &[&str]) -> Self {
        self.a.stop();
        self.b.stop();
        Self::on(store, options)
    }

    /// Alternates between the two.
    pub(crate) fn turn(&self, number: usize) -> &Demo {
        if number.is_multiple_of(2) { &self.a } else { &self.b }
    }
}

/// The URL of an unused database: with only three users, tests must not share one. What is in a file is left for the next
/// `cargo clean`.
pub(crate) async fn empty_store(backend: Backend) -> String {
    static REDIS: OnceCell<Redis> = OnceCell::const_new();
    static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    match backend {
        Backend::Redis => {
            let launch = || Redis::launch(&[("databases", "1000")]);
            let redis = REDIS.get_or_try_init(launch).await.unwrap();
            format!("{}/{}", redis.url(), NEXT.fetch_add(1, Ordering::SeqCst))
        }
        Backend::Postgres => {
            let launch = || Postgres::launch(&[Postgres::FSYNC_OFF]);
            let postgres = POSTGRES.get_or_try_init(launch).await.unwrap();
            let name = namespace();
            psql(postgres, &format!("CREATE DATABASE {name}"));
            format!("postgresql://postgres@{}/{name}", postgres.address())
        }
        Backend::Sqlite => format!("sqlite:{}/{}.db", env!("CARGO_TARGET_TMPDIR"), namespace()),
    }
}
