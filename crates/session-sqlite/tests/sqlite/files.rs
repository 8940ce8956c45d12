//! Files that are there, are not, or are something else: each works, or is an error that says what to do.

use std::fs;
use std::path::Path;

use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::{Freshness, SessionStore};
use session_core::{Error, Login, Policy, SessionManager, StoreError, StoreErrorKind};
use session_sqlite::SqliteStore;
use session_testbed::records::{NOW, application, insert, load, record, shop, user};

use crate::common::{Folder, connect, execute, number, open};

async fn works(path: &Path) {
    let alice = record(Some(&user("alice")), NOW);
    let store = open(path).await.unwrap();
    insert(&store, &alice).await;
    store.close().await;
    let store = open(path).await.unwrap();
    assert!(load(&store, &alice.id()).await.is_some(), "{path:?}");
    store.close().await;
}

#[track_caller]
fn assert_refused(result: Result<SqliteStore, StoreError>, kind: StoreErrorKind, says: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test]
async fn any_name_is_a_name() {
    let folder = Folder::new();
    for name in ["sessions.db", "a b", "100%", "a?mode=memory", "a#b", "file:x", "файл 🦀", "'\"", "-rf", ":memory:"]
    {
        works(&folder.join(name)).await;
        assert!(folder.join(name).is_file(), "{name}");
    }
}

#[tokio::test]
async fn an_empty_file_will_do() {
    let folder = Folder::new();
    fs::write(folder.join("empty"), "").unwrap();
    works(&folder.join("empty")).await;
}

/// SQLite deletes a log without its file, and what was acknowledged with it.
#[tokio::test]
async fn a_file_that_is_put_back_has_what_its_log_has() {
    let folder = Folder::new();
    let (path, away) = (folder.join("sessions.db"), folder.join("away"));
    let log = path.with_extension("db-wal");
    let alice = record(Some(&user("alice")), NOW);
    let store = open(&path).await.unwrap();
    insert(&store, &alice).await;
    // As after a crash: the store is never closed.
    let kept = fs::read(&log).unwrap();
    std::mem::forget(store);
    fs::rename(&path, &away).unwrap();
    for empty in [false, true] {
        if empty {
            fs::write(&path, "").unwrap();
        }
        assert_refused(open(&path).await, StoreErrorKind::Other, "put the file back");
        assert_eq!(fs::read(&log).unwrap(), kept);
    }
    fs::rename(&away, &path).unwrap();
    assert!(load(&open(&path).await.unwrap(), &alice.id()).await.is_some());
}

#[tokio::test]
async fn an_error_names_the_file() {
    let folder = Folder::new();
    let path = folder.join("missing/sessions.db");
    let error = open(&path).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), path.display().to_string());
    assert!(source.source().is_some(), "what the operating system said");
    // As `main` prints it.
    assert!(format!("{error:?}").contains(&path.display().to_string()), "{error:?}");
}

#[tokio::test]
async fn memory_is_refused() {
    for path in [":memory:", ""] {
        assert_refused(open(Path::new(path)).await, StoreErrorKind::Other, "session-moka");
    }
    assert!(!Path::new(":memory:").exists());
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let folder = Folder::new();
    let text = "This is a letter. ".repeat(1000);
    fs::write(folder.join("letter"), &text).unwrap();
    assert_refused(open(&folder.join("letter")).await, StoreErrorKind::Unavailable, "not a database");
    assert_eq!(fs::read_to_string(folder.join("letter")).unwrap(), text);
    assert_refused(open(folder.path()).await, StoreErrorKind::Other, "folder");
    assert_refused(open(&folder.join("missing/file")).await, StoreErrorKind::Unavailable, "create it");
    assert_refused(open(&folder.join("letter/file")).await, StoreErrorKind::Unavailable, "does not exist");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.join("nowhere/file"), folder.join("link")).unwrap();
        assert_refused(open(&folder.join("link")).await, StoreErrorKind::Unavailable, "does not exist");
        assert_refused(open(Path::new("/dev/null")).await, StoreErrorKind::Other, "device");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_path_that_sqlite_cannot_take_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = Folder::new();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    assert_refused(open(&path).await, StoreErrorKind::Unavailable, "UTF-8");
    assert_refused(open(Path::new("a\0b")).await, StoreErrorKind::Unavailable, "cannot be created");
}

/// A newer release has changed the tables: nothing is touched, and other applications in the file work.
#[tokio::test]
async fn tables_of_a_newer_release_are_left_alone() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    works(&path).await;
    let mut other = connect(&path).await;
    execute(&mut other, "UPDATE \"session.shop.meta\" SET version = 99").await;
    let before = number(&mut other, "SELECT count(*) FROM sqlite_schema").await;
    assert_refused(open(&path).await, StoreErrorKind::Other, "newer release");
    assert_eq!(number(&mut other, "SELECT count(*) FROM sqlite_schema").await, before);
    assert_eq!(number(&mut other, "SELECT version FROM \"session.shop.meta\"").await, 99);
    SqliteStore::open(&path, application("left")).await.unwrap();
}

/// Somebody has dropped a table, an index or a trigger: that is said, and nothing is made anew or changed.
#[tokio::test]
async fn tables_that_are_missing_are_told() {
    for drop in [
        "DROP TABLE \"session.shop\"",
        "DROP TABLE \"session.shop.meta\"",
        "DELETE FROM \"session.shop.meta\"",
        "DROP INDEX \"session.shop.session_user\"",
        "DROP TRIGGER \"session.shop.visitor_left\"",
    ] {
        let folder = Folder::new();
        let path = folder.join("sessions.db");
        works(&path).await;
        let mut other = connect(&path).await;
        execute(&mut other, drop).await;
        let schema = "SELECT coalesce(sum(length(sql) + rootpage), 0) FROM sqlite_schema";
        let before = number(&mut other, schema).await;
        assert_refused(open(&path).await, StoreErrorKind::Other, "missing");
        assert_eq!(number(&mut other, schema).await, before, "{drop}");
        SqliteStore::open(&path, application("left")).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_session_looks_absent() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    let alice = record(Some(&user("alice")), NOW);
    insert(&store, &alice).await;
    let manager = SessionManager::new(store.clone(), Policy::standard());
    let request = RequestSession::new(manager.clone(), PresentedCookie::Nothing);
    request.session().await.unwrap().login(Login::new(user("bob"))).unwrap();
    let (outcome, headers) = request.finish().await;
    outcome.unwrap();
    let cookie = headers.set_cookie.unwrap().expose().split(';').next().unwrap().to_owned();
    let session = manager.open(&manager.read_cookie([cookie.as_bytes()])).await.unwrap();
    assert_eq!(session.user(), Some(user("bob")));
    for n in 0..200 {
        insert(&store, &record(Some(&user(&format!("user {n}"))), NOW)).await;
    }
    let meta = "SELECT rootpage FROM sqlite_schema WHERE name = 'session.shop.meta'";
    let meta = number(&mut connect(&path).await, meta).await;
    store.close().await;
    // All but the first page, which has the schema, and the version of the tables: it can be opened.
    let mut bytes = fs::read(&path).unwrap();
    for (number, page) in (1..).zip(bytes.chunks_mut(4096)) {
        if number != 1 && number != meta {
            page.fill(0xa5);
        }
    }
    fs::write(&path, &bytes).unwrap();
    let store = open(&path).await.unwrap();
    let loaded = store.load(&alice.id(), Freshness::Latest).await.unwrap_err();
    assert_eq!(loaded.kind(), StoreErrorKind::Unavailable, "{loaded}");
    assert!(loaded.to_string().contains("backup"), "{loaded}");
    let deleted = store.delete(&alice.id(), Some(&user("alice"))).await.unwrap_err();
    assert_eq!(deleted.kind(), StoreErrorKind::Unavailable, "{deleted}");
    let manager = SessionManager::new(store, Policy::standard());
    let refused = manager.open(&manager.read_cookie([cookie.as_bytes()])).await.unwrap_err();
    assert!(matches!(&refused, Error::Store(error) if error.to_string().contains("backup")), "{refused}");
}

/// An application has its own tables in the file, and two applications their sessions.
#[tokio::test]
async fn others_may_use_the_file() {
    let folder = Folder::new();
    let path = folder.join("app.db");
    let mut app = connect(&path).await;
    execute(&mut app, "PRAGMA user_version = 7; PRAGMA application_id = 42; CREATE TABLE session (id); INSERT INTO session VALUES (1)").await;
    let names = ["shop", "sqlite_stat1", "order", "a-b_c", "0"];
    let alice = record(Some(&user("alice")), NOW);
    for name in names {
        let store = SqliteStore::open(&path, application(name)).await.unwrap();
        assert!(load(&store, &alice.id()).await.is_none());
        insert(&store, &alice).await;
        assert!(load(&store, &alice.id()).await.is_some());
    }
    assert_eq!(number(&mut app, "PRAGMA user_version").await, 7);
    assert_eq!(number(&mut app, "PRAGMA application_id").await, 42);
    assert_eq!(number(&mut app, "SELECT count(*) FROM session").await, 1);
    // A long read of the application does not keep sessions from being written.
    execute(&mut app, "BEGIN; SELECT * FROM session").await;
    insert(&open(&path).await.unwrap(), &record(None, NOW)).await;
}

/// Whoever may not read the file learns nothing, whatever the umask is; see also the tests with other processes.
#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let store = open(&path).await.unwrap();
    insert(&store, &record(None, NOW)).await;
    let mut found = 0;
    for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        found += 1;
    }
    assert_eq!(found, 3, "the file, -wal and -shm");
    store.close().await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a closed store leaves one file");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = Folder::new();
    let store = open(&folder.join("sessions.db")).await.unwrap();
    let clone = store.clone();
    store.close().await;
    store.close().await;
    let alice = record(Some(&user("alice")), NOW);
    for error in [
        clone.load(&alice.id(), Freshness::Latest).await.map(drop).unwrap_err(),
        clone.delete(&alice.id(), None).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("closed"), "{error}");
    }
}

/// Many stores are opened at once on a file that does not exist: it is created once, and all work.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opening_at_once_works() {
    for _ in 0..5 {
        let folder = Folder::new();
        let path = folder.join("sessions.db");
        let opened = (0..16).map(|n| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(&path, if n % 2 == 0 { shop() } else { application("left") }).await?;
                insert(&store, &record(None, NOW)).await;
                Ok::<_, StoreError>(store)
            })
        });
        let mut stores = Vec::new();
        for opened in opened.collect::<Vec<_>>() {
            stores.push(opened.await.unwrap().unwrap());
        }
        for store in &stores {
            assert_eq!(store.count(NOW).await.unwrap().sessions, 8);
        }
    }
}
