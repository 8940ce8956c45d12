//! SQLite session store for `session-core`, through [sqlx](https://docs.rs/sqlx): one machine, no server. SQLite is
//! compiled in.
//!
//! ```no_run
//! use session_core::{Namespace, Policy, SessionManager};
//! use session_sqlite::SqliteStore;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("/var/lib/shop/sessions.db", Namespace::new("shop")?).await?;
//! let sessions = SessionManager::new(store.clone(), Policy::standard());
//! tokio::spawn(sessions.clone().sweep());
//! // … at shutdown:
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Sessions survive a restart. Several processes of one machine may use the file at once; several machines may not: a
//! network file system has no shared memory, and its locks cannot be relied on.
//!
//! # Guarantees
//! Each operation is one transaction; clean-up may take several. One thread writes: it takes the operations that wait,
//! executes them in one transaction in the order in which they came, and answers when that is committed and on the
//! disk. So operations that meet share a flush, and each still has its own answer and its own error. Reads have
//! connections of their own, do not wait for writes, and always see what was acknowledged last, by any process.
//!
//! | | |
//! |---|---|
//! | Acknowledged logins, updates, logouts, revocations, touches | on disk (`synchronous = FULL`): they survive a crash of the process, of the system and a power failure, as far as the disk keeps its word |
//! | Two processes | the limit of sessions and that of visitors are exact; a revocation misses no login that was acknowledged |
//! | Another process holds the lock | writes wait for two thirds of the timeout, then they are errors, and nothing of them is done later; reads go on |
//! | Not answered in time, disk failure, damage | an error that says what to do, never "no session" |
//! | The file was moved, deleted or replaced | reads and writes are errors until the application is restarted |
//! | Limit of visitors | exact, for all of them together |
//! | Time | the application's; the clock of the machine does not matter |
//!
//! # Operation
//! **The file.** It is created for its owner only (mode 0600), in a folder that exists and that the process may write;
//! so are the files beside it, `-wal` and `-shm`, which belong to it: never delete or copy one without the others. The
//! mode of a file that exists already is left as it is. It is switched to write-ahead logging. A path is a name and
//! nothing else, whatever is in it; `:memory:` is refused, because sessions that live in memory are those of
//! session-moka. A file with a second name (a hard link) is refused too, and one that the process may not write. In a
//! container, mount the folder, never the single file: what is beside it would be left out. Leave the file where it is
//! while the store is open.
//!
//! **Backup**, while the store is in use, through any other connection:
//! `sqlite3 sessions.db "VACUUM INTO 'backup.db'"`. The copy has one state of all sessions, and is opened like the
//! original; set its mode, which is that of the umask. Copying the file alone loses what is still in the log. To
//! restore, stop all processes, remove the file with `-wal` and `-shm`, and put the copy in its place; logouts since
//! then are undone, so set [`not_before`](session_core::PolicyBuilder::not_before), unless it does not matter.
//!
//! **Clean-up.** Expired rows stay until [`delete_expired`](session_core::SessionManager::delete_expired) is called.
//! [`sweep`](session_core::SessionManager::sweep) does that every few seconds; one process is enough. A call deletes in
//! transactions of a fraction of a millisecond, between which requests get their turn, some 1500 sessions per second; then
//! it gives up to a megabyte of free pages back to the file system. The file gets smaller with the next checkpoint. A page is free when all that was on it has ended:
//! where sessions of short and of long lives alternate, pages stay half full until the long ones end, or until a
//! `VACUUM`. That is so in a file that this store has created; a file made by other software keeps its pages and reuses
//! them, unless it was made with `auto_vacuum = INCREMENTAL`.
//!
//! **A full disk.** Logins, and everything else that writes, are [`Full`](session_core::StoreErrorKind::Full) or
//! [`Unavailable`](session_core::StoreErrorKind::Unavailable) (a quota of the file system looks like a broken disk).
//! Nothing that was acknowledged is lost, and reads go on. A logout needs a few pages in the log: it works as long as
//! the log has room where it has its place on the disk already, and is an error after that, until there is room. So
//! that logouts always work, set [`max_size`](SqliteStoreBuilder::max_size) some eighty megabytes below what the disk
//! has: then logins are refused in time, and what has expired, and visitors, make room first. The log is not counted:
//! up to 64 MiB of it are kept, and it is longer while a long read or a backup of another process holds it.
//!
//! **Cost.** A flush of the disk for each transaction: alone, a write takes as long as that; 64 writers at once share
//! one. A session with 177 bytes of values takes some 360 bytes, indexes included, and loads take as long with a
//! million sessions as with a thousand. `cargo bench -p session-sqlite --bench scale` measures it.
//!
//! **Several applications** in one file have tables of their own, `session.NAME` and `session.NAME.meta`, and an
//! application may have its own tables there: nothing that belongs to the file as a whole is used (`user_version`,
//! `application_id`). They share the lock for writing, so a long transaction of one makes the others wait. Within a
//! process, stores on one file take turns.
//!
//! **Releases.** The tables are created, and older ones brought up to date, when the store is opened. Those of a newer
//! release, and those of which some are missing, are an error, and left as they are.
//!
//! **Runtimes.** The store works in any tokio runtime with a timer, also when the one in which it was opened has ended.

mod builder;
mod inspect;
mod link;
mod operation;
mod row;
mod schema;
mod statements;
mod store;

pub use self::builder::SqliteStoreBuilder;
pub use self::store::SqliteStore;
