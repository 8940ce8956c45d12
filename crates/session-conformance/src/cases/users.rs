//! User ids are bytes: whatever they contain, no user sees or ends the sessions of another.

use session_core::store::Record;

use crate::compare::ensure_same_ids;
use crate::outcome::Outcome;
use crate::table::cases;
use crate::test_store::TestStore;

cases! {
    pub(super) const CASES: TestStore;

    /// Patterns, quotes, control characters, NUL and emoji in user ids mean nothing.
    "users/odd-names" [] catches [UserCutAtNul, UserFoldsCase] => |store| are_independent(store, ODD.to_vec());
    /// A user whose id begins with the id of another is another.
    "users/prefixes" [] catches [UserIsPrefix] => |store| are_independent(store, PREFIXES.to_vec());
    /// Case, spaces and Unicode spellings make different users.
    "users/exact-bytes" [] catches [UserFoldsCase] => |store| are_independent(store, SIMILAR.to_vec());
    /// User ids of 256 bytes that differ in the last one are different users.
    "users/longest-names" [] catches [UserCutAt255] => longest_names;
}

const EMOJI: &str = "\u{1F9D1}\u{200D}\u{1F4BB}";

const ODD: [&str; 25] = [
    "%", "_", "*", "?", "{a}", "[a]", "a\0b", "a\0c", "a\nb", "a\tb", "'; --", "\"", "\\", "\\x00", "null", "NULL",
    "0", "00", "-1", "юзер", EMOJI, "a/b", "../a", "a b", "a@b.c",
];

const PREFIXES: [&str; 9] = ["a", "a:b", "a:b:c", "a:", ":", "::", "aa", "ab", "b"];

/// Upper and lower case, spaces at the ends, and two spellings of é that look the same.
const SIMILAR: [&str; 8] = ["alice", "Alice", "ALICE", "alice ", " alice", "\u{e9}", "e\u{301}", "\u{ff41}lice"];

async fn longest_names(store: TestStore) -> Outcome {
    let long = "x".repeat(255);
    let [a, b, c] = ["a", "b", "c"].map(|end| format!("{long}{end}"));
    are_independent(store, vec![&a, &b, &c, &long, &"\u{1F511}".repeat(64)]).await
}

/// Each user has one session, sees that and no other, and ends that and no other.
async fn are_independent(store: TestStore, names: Vec<&str>) -> Outcome {
    let (mut users, mut records) = (Vec::new(), Vec::new());
    for name in names {
        let user = store.user(name)?;
        records.push(store.insert(store.session_of(&user)).await?);
        users.push(user);
    }
    store.assert_all_stored(&records, "the session of an odd user").await?;
    for (user, record) in users.iter().zip(&records) {
        store.assert_lists(user, [record], "one of several similar users").await?;
    }
    for (at, user) in users.iter().enumerate() {
        let revoked = store.revoke(user).await?;
        ensure_same_ids(revoked, [&records[at]].map(Record::id), "the revoked sessions of one of similar users")?;
        store.assert_gone(&records[at], "after revocation").await?;
        store.assert_all_stored(&records[at + 1..], "the session of a similar user, after revocation").await?;
    }
    Ok(())
}
