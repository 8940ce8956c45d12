//! What cannot be done says why, what to do next, and nothing secret.

use std::process::Stdio;
use std::time::Duration;

use session_core::{Clock as _, OsEntropy, SessionId, SystemClock};
use session_testbed::records::{insert, load, record, shop, user};
use session_testbed::servers::{Postgres, Redis, namespace, postgres_url};

use crate::bed::{Bed, On, PASSWORD, Run, run};

/// Runs the command on the store at `url`, and it fails so.
async fn fails(url: &str, args: &[&str], code: i32, texts: &[&str]) {
    let Run { code: found, out, err } = run(&[("SESSION_STORE_URL", url), ("SESSION_NAMESPACE", "shop")], args).await;
    assert_eq!(found, code, "{url} {args:?}: {out}{err}");
    assert_eq!(out, "", "{url} {args:?}: {err}");
    for text in texts {
        assert!(err.contains(text), "{url} {args:?}: {err}");
    }
}

/// Whatever is asked of it.
const COMMANDS: [&[&str]; 6] = [
    &["count"],
    &["list", "--json"],
    &["show", "AAAAAAAAAAAAAAAAAAAAAA"],
    &["revoke", "--all", "--yes"],
    &["sweep"],
    &["check", "--json"],
];

#[tokio::test]
async fn a_server_that_is_down_is_a_failure_with_its_cause() {
    // Nothing listens on port 1.
    for url in [
        format!("redis://:{PASSWORD}@127.0.0.1:1"),
        format!("rediss://:{PASSWORD}@127.0.0.1:1"),
        format!("redis+cluster://:{PASSWORD}@127.0.0.1:1"),
        format!("redis+sentinel://:{PASSWORD}@127.0.0.1:1/main"),
        format!("postgres://app:{PASSWORD}@127.0.0.1:1/app"),
    ] {
        for command in COMMANDS {
            fails(&url, command, 1, &["cannot be used", "127.0.0.1:1: Connection refused", "Is the server running"])
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_down_meanwhile_is_a_failure() {
    let server = Redis::launch(&[]).await.unwrap();
    server.pause().await.unwrap();
    let url = server.url().replacen("://", &format!("://default:{PASSWORD}@"), 1);
    fails(&url, &["count"], 1, &["cannot be used"]).await;
    server.resume().await.unwrap();
}

#[tokio::test]
async fn a_url_that_is_not_understood_is_a_usage_error() {
    for (url, texts) in [
        (format!("mysql://app:{PASSWORD}@db/app"), ["not understood", "redis://"]),
        (PASSWORD.to_owned(), ["not understood", "postgres://"]),
        ("memory:".to_owned(), ["in memory", "only the application itself"]),
        ("sqlite:".to_owned(), ["names no file", "sqlite:sessions.db"]),
        (String::new(), ["which store?", "SESSION_STORE_URL"]),
    ] {
        for command in COMMANDS {
            fails(&url, command, 2, &texts).await;
        }
    }
    let unnamed = run(&[("SESSION_STORE_URL", "redis://127.0.0.1:1")], &["count"]).await;
    assert_eq!(unnamed.code, 2);
    assert!(unnamed.err.contains("SESSION_NAMESPACE"), "{}", unnamed.err);
}

#[tokio::test]
async fn what_is_not_understood_is_quoted_without_secrets() {
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    let token = format!("{PASSWORD}{}", "A".repeat(64 - PASSWORD.len()));
    for args in [
        vec![url.as_str()],
        vec!["list", &url],
        vec!["list", "--limit", &url],
        vec!["show", "AAAAAAAAAAAAAAAAAAAAAA", &token],
        vec!["list", "--idle-since", &token],
        vec!["frobnicate"],
        vec!["--frobnicate", "count"],
        vec!["list", "--users", "--visitors"],
        vec!["list", "--limit", "0"],
        vec!["list", "--idle-since", "yesterday"],
        vec!["revoke", "--all", "--user", "alice"],
        vec!["--namespace", "Shop", "count"],
    ] {
        let run = run(&[("SESSION_STORE_URL", &url), ("SESSION_NAMESPACE", "shop")], &args).await;
        assert_eq!(run.code, 2, "{args:?}: {}", run.err);
        assert!(run.err.contains("--help") || run.err.contains("Usage"), "{args:?}: {}", run.err);
    }
    // A token that was pasted in place of an id.
    fails(&url, &["show", &token], 2, &["not a session id", "A token is not an id"]).await;
    fails(&url, &["revoke", "--id", &token], 2, &["not a session id"]).await;
}

#[tokio::test]
async fn help_shows_no_url_of_the_environment() {
    let url = format!("redis://:{PASSWORD}@127.0.0.1:1");
    for args in [&["--help"][..], &["-h"], &["help"], &["list", "--help"], &["help", "revoke"]] {
        let run = run(&[("SESSION_STORE_URL", &url)], args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.err);
        assert!(run.out.contains("Usage: session-admin"), "{args:?}: {}", run.out);
        assert!(!run.out.contains("127.0.0.1"), "{args:?}: {}", run.out);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made() {
    let bed = Bed::open(On::Sqlite).await;
    let path = bed.url.strip_prefix("sqlite:").unwrap().replace("sessions.db", "session.db");
    for command in COMMANDS {
        fails(&format!("sqlite:{path}"), command, 1, &["is not there", "is the path right", &path]).await;
    }
    assert!(!std::path::Path::new(&path).exists());
    // One of something else is left as it is, down to its journal mode.
    let other = b"SQLite format 3\0";
    std::fs::write(&path, [&other[..], &[0; 84]].concat()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let run = run(&[("SESSION_STORE_URL", &format!("sqlite:{path}")), ("SESSION_NAMESPACE", "shop")], &["count"]).await;
    assert_eq!(run.code, 1, "{}", run.err);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // So is a file with sessions of another application.
    let before = std::fs::read(bed.url.strip_prefix("sqlite:").unwrap()).unwrap();
    for command in COMMANDS {
        fails(&bed.url, command, 1, &["no tables of this application", "and the namespace"]).await;
    }
    assert_eq!(std::fs::read(bed.url.strip_prefix("sqlite:").unwrap()).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_the_application_is_left_as_it_is() {
    let url = postgres_url().await.unwrap().replacen("postgres@", &format!("postgres:{PASSWORD}@"), 1);
    let namespace = namespace();
    let variables = [("SESSION_STORE_URL", url.as_str()), ("SESSION_NAMESPACE", namespace.as_str())];
    for command in COMMANDS {
        // Twice: the first one has made nothing that the second one finds.
        for _ in 0..2 {
            let run = run(&variables, command).await;
            assert_eq!(run.code, 1, "{command:?}: {}", run.err);
            let expected = format!("the database `postgres` has no sessions of `{namespace}`");
            assert!(run.err.contains(&expected) && run.err.contains("migrations"), "{command:?}: {}", run.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_named_as_the_cause() {
    let server = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let url = server.url().replacen("postgres@", &format!("postgres:{PASSWORD}@"), 1);
    let url = format!("{}/shopp", url.rsplit_once('/').unwrap().0);
    fails(&url, &["count"], 1, &["rejected our role or database", "right?"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_without_sessions_is_pointed_out() {
    let bed = Bed::open(On::Redis).await;
    for (args, code) in [
        (vec!["count"], 0),
        (vec!["list"], 0),
        (vec!["revoke", "--visitors", "--yes"], 0),
        (vec!["show", "AAAAAAAAAAAAAAAAAAAAAA"], 1),
        (vec!["revoke", "--id", "AAAAAAAAAAAAAAAAAAAAAA"], 1),
    ] {
        let run = bed.run(&args).await;
        assert_eq!(run.code, code, "{args:?}: {}", run.err);
        assert!(run.err.contains("no session at all: is the namespace right"), "{args:?}: {}", run.err);
        assert!(run.err.contains(bed.namespace.as_str()), "{args:?}: {}", run.err);
    }
    assert!(bed.json(&["check"]).await[0]["warnings"][0].as_str().unwrap().contains("no session at all"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_tell_caches_ends_nothing_unless_there_are_none() {
    let rule = format!("app on >{PASSWORD} ~* resetchannels +@all");
    let server = Redis::launch(&[("user", &rule), ("protected-mode", "no")]).await.unwrap();
    let url = server.url().replacen("://", &format!("://app:{PASSWORD}@"), 1);
    let id = SessionId::generate(None, &OsEntropy).unwrap().to_string();
    // Nothing is told of what is only read.
    fails(&url, &["show", &id], 1, &["no session of `shop`"]).await;
    fails(&url, &["revoke", "--id", &id], 1, &["cannot be used", "PUBLISH"]).await;
    fails(&url, &["revoke", "--id", &id, "--no-publish-changes"], 1, &["no session of `shop`"]).await;
}

/// The error says how far it came, and the same command goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_in_the_middle_says_what_had_ended() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = session_kit::open(&server.url(), shop()).await.unwrap();
    let now = SystemClock.now();
    let [first, second] = [record(Some(&user("alice")), now), record(Some(&user("bob")), now)];
    insert(&*store, &first).await;
    insert(&*store, &second).await;
    // Of bob, it may only read.
    let alice = format!("~{{shop:{:04x}}}:*", first.id().shard());
    let password = format!(">{PASSWORD}");
    server.command(&["ACL", "SETUSER", "app", "on", &password, "%R~*", &alice, "&*", "+@all"]).await.unwrap();
    let url = server.url().replacen("://", &format!("://app:{PASSWORD}@"), 1);
    let [one, other] = [&first, &second].map(|record| record.id().to_string());
    let revoke = ["revoke", "--yes", "--id", &one, "--id", &other];
    let run = run(&[("SESSION_STORE_URL", &url), ("SESSION_NAMESPACE", "shop")], &revoke).await;
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    for text in ["end a session: ", "NOPERM", "1 sessions were done by then", "The same command does the others"] {
        assert!(run.err.contains(text), "{text}: {}", run.err);
    }
    assert!(load(&*store, &first.id()).await.is_none() && load(&*store, &second.id()).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_lose_sessions_is_warned_of() {
    let server = Redis::launch(&[("maxmemory-policy", "allkeys-lru"), ("maxmemory", "100mb")]).await.unwrap();
    let variables = [("SESSION_STORE_URL", server.url()), ("SESSION_NAMESPACE", "shop".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let checked: serde_json::Value = serde_json::from_str(&run(&variables, &["check", "--json"]).await.out).unwrap();
    let warnings = checked["warnings"].to_string();
    assert!(warnings.contains("set it to noeviction (it is allkeys-lru)"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_seen_enough_is_no_failure() {
    use tokio::process::Command;

    let bed = Bed::open(On::Sqlite).await;
    bed.fill().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-admin"));
    command.env("SESSION_STORE_URL", &bed.url).env("SESSION_NAMESPACE", bed.namespace.as_str()).arg("list");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    // Not `output`, which would take the pipe for one of its own.
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
