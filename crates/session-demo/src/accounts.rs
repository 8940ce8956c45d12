//! Who may log in.

use session_core::UserId;
use subtle::ConstantTimeEq as _;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// For everybody to know. A real site stores a hash made by a slow function (Argon2id), one per user, and limits how
/// often somebody may try.
const PASSWORD: &str = "correct-horse";

/// The user of this name, if the password is right. Takes as long for a wrong name as for a wrong password.
pub(crate) fn verify(username: &str, password: &str) -> Option<UserId> {
    let right = bool::from(password.as_bytes().ct_eq(PASSWORD.as_bytes()));
    let known = exists(username);
    if right && known { UserId::new(username).ok() } else { None }
}

/// Whether there still is an account of this name.
pub(crate) fn exists(username: &str) -> bool {
    USERS.contains(&username)
}

#[cfg(test)]
mod tests {
    use super::verify;

    #[test]
    fn name_and_password_must_both_be_right() {
        assert!(verify("alice", "correct-horse").is_some_and(|user| user.as_str() == "alice"));
        for (username, password) in
            [("alice", ""), ("alice", "correct-horses"), ("Alice", "correct-horse"), ("", "correct-horse")]
        {
            assert!(verify(username, password).is_none(), "{username} {password}");
        }
    }
}
