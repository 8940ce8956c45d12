//! User ids as fields of forms and of JSON, and as values of a session.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use serde_json::{from_str, to_string};
use session_conformance::ReferenceStore;
use session_core::adapter::{PresentedCookie, RejectionKind};
use session_core::{Key, Policy, SessionManager, UserId, UserIdError};

#[test]
fn it_is_its_text_and_checked_when_it_is_read() {
    let longest = "a".repeat(UserId::MAX_LEN);
    for text in ["alice", " ", "\u{e9}\"\\\n", longest.as_str()] {
        let user = UserId::new(text).unwrap();
        assert_eq!(to_string(&user).unwrap(), to_string(text).unwrap());
        assert_eq!(from_str::<UserId>(&to_string(&user).unwrap()).unwrap(), user);
    }
    for invalid in [String::new(), longest + "a"] {
        let error = from_str::<UserId>(&to_string(&invalid).unwrap()).unwrap_err().to_string();
        assert!(error.contains(&UserIdError.to_string()), "{error}");
        // A user's name is repeated to nobody.
        assert!(invalid.is_empty() || !error.contains("aaa"), "{error}");
    }
    for no_text in ["7", "null", "[\"alice\"]", "{}", "true"] {
        assert!(from_str::<UserId>(no_text).is_err(), "{no_text}");
    }
}

#[test]
fn it_is_a_key_of_a_map() {
    let visits = BTreeMap::from([(UserId::new("alice").unwrap(), 1)]);
    assert_eq!(to_string(&visits).unwrap(), r#"{"alice":1}"#);
    assert_eq!(from_str::<BTreeMap<UserId, i32>>(r#"{"alice":1}"#).unwrap(), visits);
    assert!(from_str::<BTreeMap<UserId, i32>>(r#"{"":1}"#).is_err());
}

/// Who acts as somebody else, for one.
#[tokio::test]
async fn it_is_a_value_of_a_session() {
    const ACTS_AS: Key<UserId> = Key::new("acts_as");
    let manager = SessionManager::new(ReferenceStore::new(), Policy::standard());
    let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
    session.insert(ACTS_AS, &UserId::new("bob").unwrap()).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(session.get(ACTS_AS).unwrap(), Some(UserId::new("bob").unwrap()));
}

#[test]
fn what_names_nobody_is_a_bad_request() {
    let rejection = RejectionKind::from(UserId::new("").unwrap_err());
    assert_eq!((rejection, rejection.status()), (RejectionKind::InvalidUserId, 400));
    // The text says the rule, and has to follow it.
    assert_eq!(rejection.to_string(), UserIdError.to_string());
}
