//! A token that was modified in any way is rejected.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::LazyLock;

use crate::common::{ALGORITHMS, Forge, header, issue, now, parsed, policy};
use proptest::prelude::*;
use session_jwt::{AccessTokens, Algorithm, Verifier};

/// For one algorithm: a key, both verifiers, and two tokens that they accept.
struct Fixture {
    forge: Forge,
    exact: AccessTokens,
    parsed: Verifier,
    tokens: [String; 2],
}

impl Fixture {
    fn all() -> &'static [Self] {
        static ALL: LazyLock<[Fixture; 3]> = LazyLock::new(|| ALGORITHMS.map(Fixture::new));
        &*ALL
    }

    fn new(algorithm: Algorithm) -> Self {
        let forge = Forge::new(algorithm, 1);
        let exact = AccessTokens::new(policy(), forge.ring()).unwrap();
        let tokens = [issue(&exact, now()), issue(&exact, now())];
        Self { exact, parsed: parsed(&forge.ring()), tokens, forge }
    }

    fn accepts(&self, token: &[u8]) -> bool {
        self.exact.verify(token, now()).is_ok() || self.parsed.verify(token, now()).is_ok()
    }
}

#[test]
fn no_bit_can_be_flipped() {
    for fixture in Fixture::all() {
        let token = fixture.tokens[0].as_bytes();
        assert!(fixture.accepts(token));
        // All of them where verification is cheap; elsewhere one in each byte, in turn.
        let is_cheap = fixture.forge.alg() == "HS256";
        for index in 0..token.len() {
            for bit in (0..8).filter(|bit| is_cheap || *bit == index % 8) {
                let mut changed = token.to_vec();
                changed[index] ^= 1 << bit;
                assert!(!fixture.accepts(&changed), "bit {bit} of byte {index}");
            }
        }
    }
}

#[test]
fn no_byte_can_be_left_out_and_no_end_cut_off() {
    for fixture in Fixture::all() {
        let token = fixture.tokens[0].as_bytes();
        for index in 0..token.len() {
            assert!(!fixture.accepts(&[&token[..index], &token[index + 1..]].concat()), "without byte {index}");
            assert!(!fixture.accepts(&token[..index]), "the first {index} bytes");
        }
    }
}

#[test]
fn segments_of_different_tokens_do_not_fit() {
    let fixtures = Fixture::all();
    let tokens = fixtures.iter().flat_map(|fixture| &fixture.tokens);
    let segments: Vec<&str> = tokens.flat_map(|token| token.split('.')).collect();
    for header in &segments {
        for payload in &segments {
            for signature in &segments {
                let token = format!("{header}.{payload}.{signature}");
                for fixture in fixtures {
                    assert_eq!(fixture.accepts(token.as_bytes()), fixture.tokens.contains(&token));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_bytes_can_be_replaced(
        which in 0..3usize,
        position in any::<prop::sample::Index>(),
        length in 0..40usize,
        with in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let fixture = &Fixture::all()[which];
        let token = fixture.tokens[0].as_bytes();
        let start = position.index(token.len());
        let end = (start + length).min(token.len());
        let changed = [&token[..start], &with, &token[end..]].concat();
        prop_assert!(changed == token || !fixture.accepts(&changed));
    }

    #[test]
    fn nothing_panics_and_nothing_random_is_accepted(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for fixture in Fixture::all() {
            prop_assert!(!fixture.accepts(&bytes));
            // After a header of ours, so that later steps are reached.
            let header = fixture.tokens[0].split('.').next().unwrap();
            prop_assert!(!fixture.accepts(&[header.as_bytes(), b".", &bytes].concat()));
        }
    }

    /// With a valid signature, so that the parser of claims is reached.
    #[test]
    fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), json in "[\\[\\]{}\":,0-9a-zA-Z.eE+ -]{0,80}") {
        for Fixture { forge, parsed, .. } in Fixture::all() {
            for payload in [bytes.as_slice(), json.as_bytes()] {
                prop_assert!(parsed.verify(forge.token(forge.header(), payload), now()).is_err());
                prop_assert!(parsed.verify(forge.token(payload, payload), now()).is_err());
                prop_assert!(parsed.verify_foreign(forge.token(forge.header(), payload), now()).is_err());
                let logout = forge.token(header(forge.alg(), &forge.kid(), "logout+jwt"), payload);
                prop_assert!(parsed.verify_logout(logout, now()).is_err());
            }
        }
    }
}
