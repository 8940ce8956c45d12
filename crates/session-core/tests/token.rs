//! The token codec and the four-way check.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt;
use std::time::Duration;

use proptest::prelude::*;
use session_core::store::{Credential, Grace, TokenCheck, TokenDigest};
use session_core::{
    Entropy, EntropyError, Kind, OsEntropy, PresentedToken, SessionId, SessionToken, Timestamp, UserId,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const WINDOW: Duration = Duration::from_secs(10);
const LATER: Timestamp = Timestamp::from_millis(1_005_000);

fn id() -> SessionId {
    SessionId::generate(None, &OsEntropy).unwrap()
}

fn issue(id: SessionId) -> (Credential, SessionToken) {
    Credential::issue(Kind::Cookie, id, NOW, &OsEntropy).unwrap()
}

/// What a client sends back.
fn presented(token: &SessionToken) -> PresentedToken {
    PresentedToken::parse(token.encode().expose().as_bytes()).unwrap()
}

fn renew(credential: &Credential, token: &SessionToken) -> (Credential, SessionToken) {
    credential.renew(Kind::Cookie, &presented(token), WINDOW, LATER, &OsEntropy).unwrap()
}

fn check(credential: &Credential, token: &SessionToken) -> TokenCheck {
    credential.check(Kind::Cookie, &presented(token))
}

proptest! {
    #[test]
    fn a_token_has_exactly_one_spelling(text in proptest::collection::vec(any::<u8>(), 0..80)) {
        // Whatever parses is 64 characters of base64url and nothing else.
        if PresentedToken::parse(&text).is_ok() {
            prop_assert_eq!(text.len(), 64);
            prop_assert!(text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
        }
    }

    #[test]
    fn every_text_of_the_alphabet_is_a_token_and_names_its_id(text in "[A-Za-z0-9_-]{64}") {
        let token = PresentedToken::parse(text.as_bytes()).unwrap();
        // The id is the first 16 of the 48 bytes: 21 characters and a third.
        prop_assert_eq!(&token.id().to_string()[..21], &text[..21]);
    }

    #[test]
    fn one_changed_character_is_another_token(at in 0usize..64, to in "[A-Za-z0-9_-]") {
        let (first, token0) = issue(id());
        let (second, token1) = renew(&first, &token0);
        let change = |token: &SessionToken| {
            let mut text = token.encode().expose().as_bytes().to_vec();
            let changed = std::mem::replace(&mut text[at], to.as_bytes()[0]) != to.as_bytes()[0];
            changed.then(|| PresentedToken::parse(&text).unwrap())
        };
        // Before the first renewal there is no older token that it could be.
        if let Some(forged) = change(&token0) {
            prop_assert_eq!(first.check(Kind::Cookie, &forged), TokenCheck::Unknown);
        }
        let Some(forged) = change(&token1) else { return Ok(()) };
        let check = second.check(Kind::Cookie, &forged);
        // A change in the secret half keeps the family: it looks like an older token of it.
        // (Character 42 holds bits of both halves.)
        match at {
            0..42 => prop_assert_eq!(check, TokenCheck::Unknown),
            43.. => prop_assert_eq!(check, TokenCheck::Stale),
            42 => prop_assert!(matches!(check, TokenCheck::Unknown | TokenCheck::Stale)),
        }
    }

    #[test]
    fn session_ids_have_exactly_one_spelling(text in "[A-Za-z0-9_-]{22}") {
        if let Ok(id) = text.parse::<SessionId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn sessions_of_one_user_share_a_shard(user in ".{1,40}") {
        let user = UserId::new(user).unwrap();
        let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
        prop_assert_eq!(id.shard(), user.shard());
    }
}

#[test]
fn malformed_spellings_are_refused() {
    let (_, token) = issue(id());
    let encoded = token.encode();
    let good = encoded.expose();
    assert!(PresentedToken::parse(good.as_bytes()).is_ok());
    let bad = [
        String::new(),
        good[..63].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good} "),
        format!("\"{good}\""),
        format!("{}+", &good[..63]),
        format!("{}/", &good[..63]),
        format!("{}%", &good[..63]),
        format!("{}=", &good[..63]),
        format!("{}\n", &good[..63]),
        format!("{}é", &good[..62]),
        "A".repeat(65_536),
    ];
    for text in bad {
        assert!(PresentedToken::parse(text.as_bytes()).is_err(), "{} bytes", text.len());
    }
}

#[test]
fn tokens_are_distinct_and_use_the_whole_alphabet() {
    let id = id();
    let texts: Vec<String> = (0..4_000).map(|_| issue(id).1.encode().expose().to_owned()).collect();
    let distinct: std::collections::HashSet<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(distinct.len(), texts.len());
    // Behind the id (21⅓ characters), every character occurs at every position.
    for at in 22..64 {
        let seen: std::collections::HashSet<u8> = texts.iter().map(|text| text.as_bytes()[at]).collect();
        assert_eq!(seen.len(), 64, "position {at}");
    }
}

#[test]
fn issuing_takes_32_random_bytes_and_fails_with_the_generator() {
    #[derive(Debug)]
    struct Counting(std::sync::atomic::AtomicUsize, usize);
    impl Entropy for Counting {
        fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
            let drawn = self.0.fetch_add(dest.len(), std::sync::atomic::Ordering::SeqCst);
            if drawn + dest.len() > self.1 {
                return Err(EntropyError);
            }
            OsEntropy.fill(dest)
        }
    }
    let plenty = Counting(0.into(), 1_000);
    assert!(Credential::issue(Kind::Cookie, id(), NOW, &plenty).is_ok());
    assert_eq!(plenty.0.into_inner(), 32);
    assert!(Credential::issue(Kind::Cookie, id(), NOW, &Counting(0.into(), 31)).is_err());
}

#[test]
fn the_four_answers() {
    let id = id();
    let (first, token0) = issue(id);
    assert_eq!(check(&first, &token0), TokenCheck::Current);
    let (second, token1) = renew(&first, &token0);
    assert_eq!(check(&second, &token1), TokenCheck::Current);
    assert_eq!(check(&second, &token0), TokenCheck::Superseded);
    let (third, token2) = renew(&second, &token1);
    assert_eq!(check(&third, &token2), TokenCheck::Current);
    assert_eq!(check(&third, &token1), TokenCheck::Superseded);
    assert_eq!(check(&third, &token0), TokenCheck::Stale);
    assert_eq!(third.generation(), 2);
    // Another family of the same session, and another session, are unknown.
    assert_eq!(check(&third, &issue(id).1), TokenCheck::Unknown);
    assert_eq!(check(&third, &issue(self::id()).1), TokenCheck::Unknown);
}

#[test]
fn a_token_of_one_kind_is_unknown_to_another() {
    let (credential, token) = issue(id());
    assert_eq!(credential.check(Kind::Refresh, &presented(&token)), TokenCheck::Unknown);
}

#[test]
fn the_successor_is_byte_identical_for_the_predecessor_and_for_nobody_else() {
    let (first, token0) = issue(id());
    let (second, token1) = renew(&first, &token0);
    for _ in 0..3 {
        let again = second.successor(&presented(&token0)).unwrap();
        assert_eq!(again.encode().expose(), token1.encode().expose());
    }
    let (_, stranger) = issue(id());
    let guess = second.successor(&presented(&stranger)).unwrap();
    assert_eq!(check(&second, &guess), TokenCheck::Unknown);
    assert!(first.successor(&presented(&token0)).is_none(), "nothing was renewed yet");
    // A fresh nonce each time: two renewals of the same token do not give the same successor.
    let (_, fork) = renew(&first, &token0);
    assert_ne!(fork.encode().expose(), token1.encode().expose());
}

#[test]
fn the_grace_window_is_anchored_at_the_renewal() {
    let (skew, millisecond) = (Duration::from_secs(30), Duration::from_millis(1));
    let (first, token0) = issue(id());
    assert_eq!(first.grace(skew, NOW), Grace::Closed, "nothing was renewed yet");
    let (second, _) = renew(&first, &token0);
    assert_eq!(second.grace(skew, LATER), Grace::Open);
    assert_eq!(second.grace(skew, LATER + WINDOW - millisecond), Grace::Open);
    assert_eq!(second.grace(skew, LATER + WINDOW), Grace::Raced);
    assert_eq!(second.grace(skew, LATER + WINDOW + skew - millisecond), Grace::Raced);
    assert_eq!(second.grace(skew, LATER + WINDOW + skew), Grace::Closed);
    assert_eq!(second.grace(Duration::ZERO, LATER + WINDOW), Grace::Closed);
    assert!(second.awaits_first_use());
}

/// Does not compile if the type has one of the traits: then it is not clear which of two items is meant.
macro_rules! has_none_of {
    ($type:ty: $($forbidden:path),+) => {$(
        const _: fn() = || {
            struct Forbidden;
            trait Item<Which> {
                fn item() {}
            }
            impl<T: ?Sized> Item<()> for T {}
            impl<T: ?Sized + $forbidden> Item<Forbidden> for T {}
            <$type as Item<_>>::item();
        };
    )+};
}

/// A token is handed out once and shown nowhere, and nothing that a client sent becomes one. Digests are compared in constant
/// time.
#[test]
fn what_must_not_compile() {
    has_none_of!(SessionToken: Clone, fmt::Debug, fmt::Display, PartialEq, serde::Serialize, From<PresentedToken>);
    has_none_of!(PresentedToken: Clone, fmt::Debug, fmt::Display, PartialEq, serde::Serialize);
    has_none_of!(TokenDigest: PartialEq, fmt::Display);
}

#[test]
fn a_credential_shows_its_generation_and_no_digest() {
    let (credential, token) = issue(id());
    let (credential, _) = renew(&credential, &token);
    let shown = format!("{credential:?}");
    assert!(
        shown.contains("TokenDigest(..)") && shown.contains("Lineage { generation: 1, successor_used: false, .. }")
    );
}
