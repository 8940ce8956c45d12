//! What the processes do that the tests start.

use std::io::Write as _;
use std::path::Path;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore};
use session_core::{LimitPolicy, StoreError};
use session_sqlite::SqliteStore;
use session_testbed::records::{NOW, limit, record, shop, user};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::parent::runtime;

pub(crate) fn run(role: &str, path: &Path) {
    runtime().block_on(async {
        match role {
            "load" => load(path).await,
            "logins" => logins(path).await,
            "hold" => hold(path).await,
            "watch" => watch(path).await,
            "fill" => fill(path).await,
            "try" => attempt(path).await,
            role => panic!("no such role: {role}"),
        }
    });
}

/// One line is one write, which the pipe keeps when this process is killed.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

fn wait() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// 64 tasks log in and out until this process is killed. `+id` is a login that was acknowledged, `?id` a logout that
/// begins, `-id` one that was acknowledged.
async fn load(path: &Path) {
    let store = SqliteStore::open(path, shop()).await.unwrap();
    let tasks = (0..64).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let owner = user(&format!("user {task}"));
            for turn in 0.. {
                let login = record(Some(&owner), NOW);
                if store.create(CreateRequest::new(&login), NOW).await.is_err() {
                    continue;
                }
                say(&format!("+{}", login.id()));
                if turn % 3 != 0 {
                    say(&format!("?{}", login.id()));
                    if store.delete(&login.id(), Some(&owner)).await.is_ok() {
                        say(&format!("-{}", login.id()));
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// 32 logins of alice at once, under a limit of 5. `+id` and `-id` for what was created and evicted.
async fn logins(path: &Path) {
    let store = SqliteStore::builder(path, shop()).operation_timeout(std::time::Duration::from_secs(20)).open().await;
    let store = store.unwrap();
    say("ready");
    wait();
    let alice = user("alice");
    let tasks = (0..32).map(|_| {
        let (store, login) = (store.clone(), record(Some(&alice), NOW));
        tokio::spawn(async move {
            let request = CreateRequest::new(&login).within(limit(5, LimitPolicy::EvictOldest));
            let CreateOutcome::Created { evicted } = store.create(request, NOW).await.unwrap() else { panic!() };
            say(&format!("+{}", login.id()));
            for id in evicted {
                say(&format!("-{id}"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Holds the lock of the file until it is told to go on.
async fn hold(path: &Path) {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    say("held");
    wait();
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
    say("released");
    wait();
}

/// Says how many sessions alice has, each time it is asked.
async fn watch(path: &Path) {
    let store = SqliteStore::open(path, shop()).await.unwrap();
    say("ready");
    loop {
        wait();
        say(&store.list_by_user(&user("alice"), NOW).await.unwrap().sessions.len().to_string());
    }
}

/// Logs users in until the file cannot grow, then out. `+id`, `-id`, and errors.
async fn fill(path: &Path) {
    let store = SqliteStore::open(path, shop()).await.unwrap();
    let (mut logins, mut failed) = (Vec::new(), 0);
    while failed < 3 && logins.len() < 100_000 {
        let owner = user(&format!("user {}", logins.len()));
        let login = RecordBuilder::new(NOW).of(&owner).value("cart", vec![7; 3000]).build().unwrap();
        match store.create(CreateRequest::new(&login), NOW).await {
            Ok(_) => {
                say(&format!("+{}", login.id()));
                logins.push(login);
            }
            Err(error) => {
                failed += 1;
                say(&describe(&error));
            }
        }
    }
    let mut out = 0;
    for login in &logins {
        // Reading needs no room.
        assert!(store.load(&login.id(), Freshness::Latest).await.unwrap().is_some());
    }
    for login in logins.iter().take(50) {
        say(&format!("?{}", login.id()));
        match store.delete(&login.id(), login.user()).await {
            Ok(_) => {
                out += 1;
                say(&format!("-{}", login.id()));
            }
            Err(error) => say(&describe(&error)),
        }
    }
    say(&format!("logouts {out}"));
}

/// Opens the store and logs in.
async fn attempt(path: &Path) {
    let login = record(Some(&user("alice")), NOW);
    let done = async {
        let store = SqliteStore::open(path, shop()).await?;
        let created = store.create(CreateRequest::new(&login), NOW).await;
        store.close().await;
        Ok::<_, StoreError>(created)
    };
    match done.await {
        Ok(Ok(_)) => say("logged in"),
        Ok(Err(error)) => say(&format!("opened, then {}", describe(&error))),
        Err(error) => say(&describe(&error)),
    }
}

fn describe(error: &StoreError) -> String {
    format!("error {:?} {error}", error.kind())
}
