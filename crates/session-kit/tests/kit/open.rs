//! `open`: each URL opens the store that it names, and the others say what to do.

use session_kit::adapter::PresentedCookie;
use session_kit::{Login, Namespace, OpenError, OpenOptions, OpenedStore, Policy, SessionManager, UserId};
use session_testbed::servers::{Postgres, Redis, namespace, postgres_url, redis_cluster, redis_sentinel, redis_url};

/// Opens it, and keeps a session there that another handle finds, if the store is `shared`.
async fn keeps_sessions(url: &str, name: &str, shared: bool) {
    let namespace = namespace();
    let open = async || session_kit::open(url, namespace.clone()).await.unwrap();
    let store = open().await;
    assert_eq!(store.name(), name, "{url}");
    let sessions = SessionManager::new(store, Policy::standard());
    let session = sessions.open(&PresentedCookie::Nothing).await.unwrap();
    let alice = UserId::new("alice").unwrap();
    session.login(Login::new(alice.clone())).unwrap();
    sessions.commit(&session).await.unwrap();
    let other = SessionManager::new(open().await, Policy::standard());
    assert_eq!(other.list(&alice).await.unwrap().len(), usize::from(shared), "{url}");
}

async fn error(url: &str) -> OpenError {
    session_kit::open(url, Namespace::new("shop").unwrap()).await.expect_err(url)
}

#[tokio::test]
async fn memory_is_opened() {
    keeps_sessions("memory:", "moka", false).await;
    keeps_sessions("memory", "moka", false).await;
}

#[tokio::test]
async fn a_file_is_opened() {
    let folder = std::env::temp_dir().join(format!("session-kit-{}", namespace()));
    std::fs::create_dir(&folder).unwrap();
    keeps_sessions(&format!("sqlite:{}", folder.join("sessions.db").display()), "sqlite", true).await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_server_is_opened() {
    let redis = redis_url().await.unwrap();
    let postgres = postgres_url().await.unwrap();
    keeps_sessions(&redis, "redis", true).await;
    keeps_sessions(&redis.replace("redis:", "valkey:"), "redis", true).await;
    keeps_sessions(&redis_sentinel().await.unwrap().url(), "redis", true).await;
    keeps_sessions(&redis_cluster().await.unwrap().url(), "redis", true).await;
    keeps_sessions(&postgres, "postgres", true).await;
    keeps_sessions(&postgres.replace("postgresql:", "postgres:"), "postgres", true).await;
}

#[tokio::test]
async fn a_url_that_is_not_understood_names_those_that_are() {
    for url in [
        "",
        "hunter2",
        "memory://hunter2",
        "memory+x:",
        "sqlite3:hunter2.db",
        "sqlite+x:hunter2.db",
        "localhost:6379",
        "http://:hunter2@localhost",
        "mysql://app:hunter2@localhost/app",
        "redis:hunter2",
        "redis://:hunter2@localhost:port",
        "redis+tls://:hunter2@localhost",
        "postgres+x://app:hunter2@localhost/app",
        "postgres://app:hunter2@localhost:port/app",
        "postgres://app:hunter2@localhost/app?sslmode=hunter2",
    ] {
        let error = error(url).await;
        // What `main` prints if it returns the error.
        let text = format!("{error:?}");
        assert!(matches!(error, OpenError::NotUnderstood), "{url}: {text}");
        for form in ["memory:\n", "sqlite:", "redis://", "postgres://"] {
            assert!(text.contains(form), "{url}: {text}");
        }
        assert!(!text.contains("hunter2"), "{url}: {text}");
    }
}

#[tokio::test]
async fn what_names_no_file_is_refused() {
    for url in ["sqlite", "sqlite:", "sqlite://sessions.db", "sqlite::memory:", "sqlite:sessions.db?mode=rwc"] {
        let error = error(url).await;
        assert!(matches!(error, OpenError::NoPath(_)), "{url}: {error}");
        assert!(error.to_string().contains("sqlite:sessions.db"), "{error}");
    }
    let missing = error("sqlite:/nonexistent/sessions.db").await;
    assert!(matches!(missing, OpenError::UnusableFile(_)), "{missing}");
    assert!(missing.to_string().contains("/nonexistent"), "{missing}");
}

#[tokio::test]
async fn a_setting_that_is_refused_is_named() {
    for (url, reason) in [
        ("redis://:hunter2@localhost/db", "a database that is not a number"),
        ("redis+cluster://:hunter2@localhost/1", "a Cluster has one database"),
        ("rediss://:hunter2@localhost", "session_kit::rustls"),
    ] {
        let error = error(url).await;
        assert!(matches!(error, OpenError::Refused(_)), "{url}: {error}");
        let text = format!("{error:?}");
        assert!(text.contains(reason) && !text.contains("hunter2"), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // Nothing listens on port 1.
    let urls = [
        "redis://:hunter2@127.0.0.1:1",
        "redis+cluster://:hunter2@127.0.0.1:1",
        "postgres://app:hunter2@127.0.0.1:1/app",
    ];
    for url in urls {
        let error = error(url).await;
        assert!(matches!(error, OpenError::Unavailable(_)), "{url}: {error}");
        let text = format!("{error:?}");
        let backend = if url.starts_with("postgres") { "postgres: " } else { "redis: " };
        assert!(text.contains(backend) && text.contains("Is the server running"), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_refused_password_is_reported_without_it() {
    let redis = Redis::launch(&[("user", "app on >right ~* &* +@all"), ("protected-mode", "no")]).await.unwrap();
    let wrong = error(&format!("redis://app:hunter2@{}", redis.address())).await.to_string();
    assert!(wrong.contains("WRONGPASS") && !wrong.contains("hunter2"), "{wrong}");
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let unknown = error(&postgres.url().replace("postgres@", "unknown:hunter2@")).await.to_string();
    assert!(unknown.contains("the server rejected our role or database") && !unknown.contains("hunter2"), "{unknown}");
}

/// Nothing is made, wherever a store is looked for that is not there; and what is there is opened as the type that it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_existing_is_not_made() {
    let options = OpenOptions::new().existing();
    let folder = std::env::temp_dir().join(format!("session-kit-{}", namespace()));
    std::fs::create_dir(&folder).unwrap();
    let (path, shop) = (folder.join("sessions.db"), namespace());
    let file = format!("sqlite:{}", path.display());
    let missing = options.open(&file, shop.clone()).await.unwrap_err();
    assert!(matches!(missing, OpenError::UnusableFile(_)) && missing.to_string().contains("is not there"), "{missing}");
    assert!(!path.exists());
    drop(session_kit::open(&file, shop.clone()).await.unwrap());
    assert!(matches!(options.open(&file, shop.clone()).await, Ok(OpenedStore::Sqlite(_))));
    let foreign = options.open(&file, namespace()).await.unwrap_err();
    assert!(foreign.to_string().contains("no tables of this application"), "{foreign}");
    std::fs::remove_dir_all(folder).unwrap();

    let postgres = postgres_url().await.unwrap();
    for _ in 0..2 {
        let missing = options.open(&postgres, shop.clone()).await.unwrap_err();
        assert!(matches!(&missing, OpenError::NotMigrated { namespace, .. } if *namespace == shop), "{missing}");
    }
    drop(session_kit::open(&postgres, shop.clone()).await.unwrap());
    assert!(matches!(options.open(&postgres, shop.clone()).await, Ok(OpenedStore::Postgres(_))));

    // Redis has nothing to make.
    assert!(matches!(options.open(&redis_url().await.unwrap(), shop).await, Ok(OpenedStore::Redis(_))));
}
