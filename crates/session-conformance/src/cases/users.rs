//! User ids are bytes: whatever they contain, no user sees or ends the sessions of another.

use session_core::UserId;
use session_core::store::Record;

use super::support::{insert, is_gone, is_stored, lists, same_ids};
use crate::env::Env;
use crate::outcome::{Failure, Outcome};

/// One session for each of `names`.
async fn sessions(env: &Env, names: &[&str]) -> Result<Vec<(UserId, Record)>, Failure> {
    let store = env.store().await?;
    let mut sessions = Vec::new();
    for name in names {
        let user = env.user(name)?;
        let record = env.record().of(&user).build()?;
        insert(&*store, &record, env.now()).await?;
        sessions.push((user, record));
    }
    Ok(sessions)
}

/// Each user has one session, sees that and no other, and ends that and no other.
async fn are_apart(env: &Env, names: &[&str]) -> Outcome {
    let store = env.store().await?;
    let sessions = sessions(env, names).await?;
    for (user, record) in &sessions {
        is_stored(&*store, record, "the session of an odd user").await?;
        lists(&*store, user, [record.summary.id], env.now(), "one of several similar users").await?;
    }
    for (at, (user, record)) in sessions.iter().enumerate() {
        let ended = store.delete_by_user(user, None).await?;
        same_ids(ended, [record.summary.id], "the revoked sessions of one of several similar users")?;
        is_gone(&*store, &record.summary.id, "after revocation").await?;
        for (_, other) in &sessions[at + 1..] {
            is_stored(&*store, other, "the session of a similar user, after revocation").await?;
        }
    }
    Ok(())
}

pub(super) async fn odd_names(env: Env) -> Outcome {
    let names = [
        "%",
        "_",
        "*",
        "?",
        "{a}",
        "[a]",
        "a\0b",
        "a\0c",
        "a\nb",
        "a\tb",
        "'; --",
        "\"",
        "\\",
        "\\x00",
        "null",
        "NULL",
        "0",
        "00",
        "-1",
        "юзер",
        "\u{1F9D1}\u{200D}\u{1F4BB}",
        "a/b",
        "../a",
        "a b",
        "a@b.c",
    ];
    are_apart(&env, &names).await
}

pub(super) async fn prefixes(env: Env) -> Outcome {
    are_apart(&env, &["a", "a:b", "a:b:c", "a:", ":", "::", "aa", "ab", "b"]).await
}

pub(super) async fn exact_bytes(env: Env) -> Outcome {
    // Upper and lower case, spaces at the ends, and two spellings of é that look the same.
    are_apart(&env, &["alice", "Alice", "ALICE", "alice ", " alice", "\u{e9}", "e\u{301}", "\u{ff41}lice"]).await
}

pub(super) async fn longest_names(env: Env) -> Outcome {
    let ends = ["a", "b", "c"].map(|end| "x".repeat(255) + end);
    let mut names: Vec<&str> = ends.iter().map(String::as_str).collect();
    let shorter = "x".repeat(255);
    let emoji = "\u{1F511}".repeat(64);
    names.extend([shorter.as_str(), emoji.as_str()]);
    are_apart(&env, &names).await
}
