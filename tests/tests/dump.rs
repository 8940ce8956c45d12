//! Dumps of real stores hold no token, and in Redis every key expires.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "secrets.rs uses the rest")]
mod life;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use session_conformance::ReferenceStore;
use session_core::store::{Record, SessionStore};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use session_testbed::Secrets;
use session_testbed::records::shop;
use session_testbed::servers::{Postgres, Redis, RedisCluster, namespace};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use life::{Traces, USER, VALUE, life};

/// The whole content of a store at one moment.
#[derive(Default)]
struct Dump {
    bytes: Vec<u8>,
    /// Redis only: the keys that never expire.
    persistent: Vec<String>,
}

impl Dump {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(b'\n');
    }

    /// Every key of these Redis servers, with its value.
    fn of_redis(nodes: &[Redis]) -> Self {
        let mut dump = Self::default();
        for node in nodes {
            let mut connection = redis::Client::open(node.url()).unwrap().get_connection().unwrap();
            let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
            for key in keys {
                let ask = |command: &str| {
                    let mut command = redis::cmd(command);
                    command.arg(&key);
                    command
                };
                let name = String::from_utf8_lossy(&key).into_owned();
                dump.add(&key);
                let kind: String = ask("TYPE").query(&mut connection).unwrap();
                let values: Vec<Vec<u8>> = match &*kind {
                    "string" => vec![ask("GET").query(&mut connection).unwrap()],
                    "hash" => ask("HGETALL").query(&mut connection).unwrap(),
                    other => panic!("{name} is a {other}, which this dump cannot read"),
                };
                values.iter().for_each(|value| dump.add(value));
                let left: i64 = ask("PTTL").query(&mut connection).unwrap();
                if left <= 0 {
                    dump.persistent.push(name);
                }
            }
        }
        dump
    }

    /// What the files in `folder` have that they did not have `before`: a log only grows.
    fn of_files(folder: &Path, before: &mut BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut dump = Self::default();
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let (bytes, before) = (fs::read(&path).unwrap(), before.entry(path).or_default());
            let known = if bytes.starts_with(before) { before.len() } else { 0 };
            dump.add(&bytes[known..]);
            *before = bytes;
        }
        dump
    }

    /// The output of `pg_dump`, and everything in it that is hex once more as bytes.
    fn of_postgres(postgres: &Postgres) -> Self {
        let output = postgres.tool("pg_dump").arg("--data-only").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut dump = Self::default();
        dump.add(&output.stdout);
        for digits in output.stdout.split(|byte| !byte.is_ascii_hexdigit()).filter(|digits| digits.len() >= 16) {
            let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
            dump.add(&digits.chunks_exact(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect::<Vec<_>>());
        }
        dump
    }
}

/// Runs the scenario on `store`, and dumps it after each step.
async fn assert_no_token(store: impl SessionStore, dump: impl Fn() -> Dump) -> Traces {
    let mut dumps = Vec::new();
    let traces = life(store, async || dumps.push(dump())).await;
    let tokens = traces.tokens();
    assert!(traces.tokens.len() >= 8 && dumps.len() >= 20, "{} tokens, {} dumps", traces.tokens.len(), dumps.len());
    for (step, dump) in dumps.iter().enumerate() {
        assert_eq!(tokens.found_in(&dump.bytes), [""; 0], "step {step}");
        assert_eq!(dump.persistent, [""; 0], "step {step}");
    }
    // The dumps hold what was stored, so they would hold a token too.
    for (what, secret) in stored(&traces) {
        assert!(dumps.iter().any(|dump| !secret.found_in(&dump.bytes).is_empty()), "no dump holds the {what}");
    }
    // The log includes what the drivers log, at every level.
    assert_eq!(traces.all().found_in(&traces.log), [""; 0]);
    traces
}

/// Values that were certainly stored.
fn stored(traces: &Traces) -> Vec<(&'static str, Secrets)> {
    let mut records = traces.written.iter().map(|(id, bytes)| Record::decode(*id, bytes).unwrap());
    let [digest] = life::stored_secrets(&records.next().unwrap()).try_into().expect("one digest");
    let renewed = records.find(|record| record.credential.generation() == 1).expect("a renewal");
    let mut bytes = vec![("digest of a token", digest), ("user", USER.into()), ("value", VALUE.into())];
    bytes.extend(life::stored_secrets(&renewed).into_iter().map(|bytes| ("digest or nonce of a renewed token", bytes)));
    let secrets = bytes.into_iter().map(|(what, bytes)| {
        let mut secrets = Secrets::new();
        secrets.add_bytes(what, &bytes);
        (what, secrets)
    });
    secrets.collect()
}

/// A folder for files of a store, until it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(namespace().as_str());
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All files under `folder`, concatenated.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        bytes.extend(if path.is_dir() { files(&path) } else { fs::read(&path).unwrap_or_default() });
    }
    bytes
}

#[tokio::test]
async fn redis_holds_no_token() {
    let nodes = [Redis::launch(&[]).await.unwrap()];
    let store = RedisStore::connect(&nodes[0].url(), shop()).await.unwrap();
    let traces = assert_no_token(store, || Dump::of_redis(&nodes)).await;
    // The append-only file has every value that was ever written.
    let files = files(nodes[0].folder());
    assert!(files.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()), "the file was not found");
    assert_eq!(traces.tokens().found_in(files), [""; 0]);
}

#[tokio::test]
async fn redis_cluster_holds_no_token() {
    let cluster = RedisCluster::launch(0, &[]).await.unwrap();
    let store = RedisStore::connect(&cluster.url(), shop()).await.unwrap();
    assert_no_token(store, || Dump::of_redis(cluster.nodes())).await;
}

/// What is on the disk: the database, and the log beside it with what was there before. The index of the log is only numbers.
#[tokio::test]
async fn sqlite_holds_no_token() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.0.join("sessions.db"), shop()).await.unwrap();
    let before = RefCell::default();
    assert_no_token(store, || Dump::of_files(&folder.0, &mut before.borrow_mut())).await;
}

#[tokio::test]
async fn postgres_holds_no_token() {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF, ("log_statement", "all")]).await.unwrap();
    let pool = recommended_pool_options().connect(&postgres.url()).await.unwrap();
    let store = PostgresStore::new(pool, shop());
    store.migrate().await.unwrap();
    let traces = assert_no_token(store, || Dump::of_postgres(&postgres)).await;
    // The log has every statement with its parameters.
    let log = fs::read(postgres.folder().join("log")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("parameters: $1 = "), "the parameters are not in the log");
    assert_eq!(traces.tokens().found_in(log), [""; 0]);
}

/// A token in every encoding in which it might be stored, and the secrets to search for.
async fn planted() -> (Vec<Vec<u8>>, Secrets) {
    let traces = life(ReferenceStore::new(), async || {}).await;
    let text = &traces.tokens[0];
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
    let mut spellings = vec![text.clone().into_bytes()];
    for part in [&bytes[..], &bytes[16..32], &bytes[32..]] {
        spellings.extend([part.to_vec(), hex(part), hex(part).to_ascii_uppercase()]);
        spellings.extend([STANDARD.encode(part).into_bytes(), URL_SAFE_NO_PAD.encode(part).into_bytes()]);
    }
    (spellings, traces.tokens())
}

#[tokio::test]
async fn a_token_planted_in_redis_is_found() {
    let nodes = [Redis::launch(&[]).await.unwrap()];
    let mut connection = redis::Client::open(nodes[0].url()).unwrap().get_connection().unwrap();
    let (spellings, tokens) = planted().await;
    for token in &spellings {
        for command in [
            redis::cmd("SET").arg("planted").arg(token),
            redis::cmd("SET").arg([b"planted:", &token[..]].concat()).arg("value"),
            redis::cmd("HSET").arg("planted").arg("field").arg(token),
            redis::cmd("HSET").arg("planted").arg(token).arg("value"),
        ] {
            command.exec(&mut connection).unwrap();
            let dump = Dump::of_redis(&nodes);
            assert!(!tokens.found_in(&dump.bytes).is_empty(), "{}", String::from_utf8_lossy(token));
            assert_eq!(dump.persistent.len(), 1, "a key without a time to live is reported too");
            redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        }
    }
    redis::cmd("SET").arg("planted").arg("harmless").arg("PX").arg(60_000).exec(&mut connection).unwrap();
    let dump = Dump::of_redis(&nodes);
    assert_eq!((tokens.found_in(&dump.bytes), dump.persistent), (vec![], vec![]));
}

#[tokio::test]
async fn a_token_planted_in_sqlite_is_found() {
    let folder = Folder::new();
    let options = SqliteConnectOptions::new().filename(folder.0.join("sessions.db")).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("CREATE TABLE planted (bytes BLOB, text TEXT)").execute(&mut connection).await.unwrap();
    let (spellings, tokens) = planted().await;
    assert_eq!(tokens.found_in(files(&folder.0)), [""; 0]);
    let texts = [(None, Some(String::from_utf8(spellings[0].clone()).unwrap()))];
    for (bytes, text) in spellings.into_iter().map(|token| (Some(token), None)).chain(texts) {
        let insert = sqlx::query("INSERT INTO planted VALUES (?, ?)").bind(&bytes).bind(&text);
        insert.execute(&mut connection).await.unwrap();
        assert!(!tokens.found_in(files(&folder.0)).is_empty(), "{bytes:?} {text:?}");
        for clean in ["DELETE FROM planted", "VACUUM"] {
            sqlx::query(clean).execute(&mut connection).await.unwrap();
        }
        assert_eq!(tokens.found_in(files(&folder.0)), [""; 0]);
    }
}

#[tokio::test]
async fn a_token_planted_in_postgres_is_found() {
    let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let pool = recommended_pool_options().connect(&postgres.url()).await.unwrap();
    sqlx::query("CREATE TABLE planted (bytes bytea, text text)").execute(&pool).await.unwrap();
    let (spellings, tokens) = planted().await;
    assert_eq!(tokens.found_in(Dump::of_postgres(&postgres).bytes), [""; 0]);
    let texts = [(None, Some(String::from_utf8(spellings[0].clone()).unwrap()))];
    for (bytes, text) in spellings.into_iter().map(|token| (Some(token), None)).chain(texts) {
        let insert = sqlx::query("INSERT INTO planted VALUES ($1, $2)").bind(&bytes).bind(&text);
        insert.execute(&pool).await.unwrap();
        let dump = Dump::of_postgres(&postgres);
        assert!(!tokens.found_in(&dump.bytes).is_empty(), "{bytes:?} {text:?}");
        sqlx::query("DELETE FROM planted").execute(&pool).await.unwrap();
    }
}
