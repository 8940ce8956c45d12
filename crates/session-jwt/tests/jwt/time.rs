//! Times: on each boundary, and a millisecond on either side of it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::{
    ALGORITHMS, AUDIENCE, Broken, Claims, Forge, ISSUER, NOW, SESSION, alice, at, at_once, exact, issue, now, policy,
};
use session_core::{Assurance, Authentication, EntropyError, Proof, Timestamp, UserId};
use session_jwt::{
    AccessTokens, Algorithm, IssueError, KeyError, KeyRing, MAX_TOKEN_LEN, Rotation, Subject, TokenPolicy,
    TokenPolicyError, Verifier, VerifyError, VerifyingKeys,
};

const MILLI: Duration = Duration::from_millis(1);
const LEEWAY: Duration = Duration::from_secs(5);
const AHEAD: Duration = Duration::from_secs(30);

fn tokens(algorithm: Algorithm) -> AccessTokens {
    AccessTokens::new(policy(), Forge::new(algorithm, 1).ring()).unwrap()
}

#[test]
fn what_is_issued_is_what_is_read() {
    for algorithm in ALGORITHMS {
        let tokens = tokens(algorithm);
        let claims = tokens.verify(issue(&tokens, now()), now()).unwrap();
        assert_eq!((claims.session, claims.user.as_str()), (SESSION, "alice"));
        assert_eq!((claims.issued_at, claims.expires_at), (now(), at(NOW + 300)));
        assert_eq!((claims.authenticated_at, claims.level), (now(), Some(Assurance::Aal2)));
        assert!(claims.methods().eq(alice().strongest().methods.iter()));
        assert_eq!(claims.client(), Some(ISSUER));
        assert_eq!(claims.token_id().len(), 22);
        let again = tokens.verify(issue(&tokens, now()), now()).unwrap();
        assert_ne!(again.token_id(), claims.token_id());
    }
}

#[test]
fn a_token_is_dead_at_exp_and_leeway() {
    for algorithm in ALGORITHMS {
        let tokens = tokens(algorithm);
        let token = issue(&tokens, now());
        let dead = now() + Duration::from_secs(300) + LEEWAY;
        for (moment, result) in [
            (at(NOW + 300) - MILLI, None),
            (at(NOW + 300), None),
            (dead - MILLI, None),
            (dead, Some(VerifyError::Expired)),
            (dead + MILLI, Some(VerifyError::Expired)),
            (at(NOW + 86_400), Some(VerifyError::Expired)),
        ] {
            assert_eq!(tokens.verify(&token, moment).err(), result, "{moment:?}");
        }
    }
}

#[test]
fn without_leeway_a_token_is_dead_at_exp() {
    let forge = Forge::new(Algorithm::EdDsa, 1);
    let policy = TokenPolicy::builder(ISSUER, AUDIENCE).leeway(Duration::ZERO).build().unwrap();
    let verifier = Verifier::new(policy, VerifyingKeys::from_ring(&forge.ring()));
    let token = forge.good();
    assert!(verifier.verify(&token, at(NOW + 300) - MILLI).is_ok());
    assert_eq!(verifier.verify(&token, at(NOW + 300)).unwrap_err(), VerifyError::Expired);
    assert!(verifier.verify(&token, now() - AHEAD).is_ok(), "that is another matter");
    assert_eq!(verifier.verify(&token, now() - AHEAD - MILLI).unwrap_err(), VerifyError::IssuedInFuture);
}

#[test]
fn iat_and_nbf_may_be_ahead_by_as_much_as_clocks_may_differ() {
    let forge = Forge::new(Algorithm::Es256, 1);
    let verifier = exact(&forge.ring());
    let good = forge.good();
    assert!(verifier.verify(&good, now() - AHEAD).is_ok());
    assert_eq!(verifier.verify(&good, now() - AHEAD - MILLI).unwrap_err(), VerifyError::IssuedInFuture);
    assert_eq!(verifier.verify(&good, Timestamp::from_millis(i64::MIN)).unwrap_err(), VerifyError::IssuedInFuture);
    let later = forge.with_payload(&Claims::good().with("nbf", &(NOW + 60).to_string()));
    assert!(verifier.verify(&later, at(NOW + 60) - AHEAD).is_ok());
    assert_eq!(verifier.verify(&later, at(NOW + 60) - AHEAD - MILLI).unwrap_err(), VerifyError::NotYetValid);
}

#[test]
fn no_token_outlives_the_session() {
    let tokens = tokens(Algorithm::Hs256);
    let authentication = alice();
    let subject = |deadline| Subject::new(SESSION, &authentication, deadline);
    let token = at_once(tokens.issue(&subject(at(NOW + 10) + Duration::from_millis(999)), now())).unwrap();
    assert_eq!(token.expires_in(), Duration::from_secs(10));
    assert_eq!(tokens.verify(token.expose(), now()).unwrap().expires_at, at(NOW + 10));
    let long = at_once(tokens.issue(&subject(Timestamp::MAX), now())).unwrap();
    assert_eq!(long.expires_in(), Duration::from_secs(300));
    for deadline in [now() + Duration::from_millis(999), now(), now() - MILLI, Timestamp::from_millis(i64::MIN)] {
        assert_eq!(at_once(tokens.issue(&subject(deadline), now())).unwrap_err(), IssueError::SessionExpired);
    }
    // With a broken clock, no valid token is issued.
    for broken in [Timestamp::from_millis(i64::MIN), Timestamp::MAX] {
        match at_once(tokens.issue(&subject(Timestamp::MAX), broken)) {
            Ok(token) => assert!(tokens.verify(token.expose(), now()).is_err()),
            Err(error) => assert_eq!(error, IssueError::SessionExpired),
        }
    }
}

#[test]
fn what_cannot_be_verified_is_not_issued() {
    let issue = |tokens: &AccessTokens, methods: Vec<String>| {
        let proof = methods.into_iter().fold(Proof::new(Assurance::Aal2, now()), Proof::method);
        let authentication = Authentication::new(UserId::new("\u{1}".repeat(256)).unwrap(), proof);
        at_once(tokens.issue(&Subject::new(SESSION, &authentication, Timestamp::MAX), now()))
    };
    let tokens = tokens(Algorithm::Hs256);
    // Around the limit, each token is either refused by the issuer or accepted by the verifier.
    let mut refused = 0;
    for length in (3000..4500).step_by(5) {
        match issue(&tokens, vec!["m".repeat(length)]) {
            Ok(token) => {
                assert!(token.expose().len() <= MAX_TOKEN_LEN && tokens.verify(token.expose(), now()).is_ok());
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error, IssueError::TooLong);
            }
        }
    }
    assert!((20..280).contains(&refused), "{refused}");
    let broken = tokens.with_entropy(Broken);
    assert_eq!(issue(&broken, vec![]).unwrap_err(), IssueError::Entropy(EntropyError));
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let long = "x".repeat(513);
    for (issuer, audience) in [("", "a"), ("a", ""), (long.as_str(), "a"), ("a", long.as_str())] {
        assert_eq!(TokenPolicy::new(issuer, audience).unwrap_err(), TokenPolicyError::Name);
    }
    let builder = || TokenPolicy::builder(ISSUER, AUDIENCE);
    assert_eq!(builder().client("").build().unwrap_err(), TokenPolicyError::Name);
    for lifetime in [Duration::ZERO, MILLI, Duration::from_millis(1500), Duration::from_secs(86_401), Duration::MAX] {
        assert_eq!(builder().lifetime(lifetime).build().unwrap_err(), TokenPolicyError::Lifetime);
    }
    for leeway in [Duration::from_millis(60_001), Duration::MAX] {
        assert_eq!(builder().leeway(leeway).build().unwrap_err(), TokenPolicyError::Leeway);
    }
    let longest = builder().lifetime(Duration::from_secs(86_400)).leeway(Duration::from_secs(60));
    assert!(longest.build().is_ok());
}

#[test]
fn a_ring_must_verify_as_long_as_its_tokens_are_valid() {
    let ring = |verify_for| {
        let rotation = Rotation::builder().verify_for(verify_for).build().unwrap();
        KeyRing::with_key(Forge::new(Algorithm::EdDsa, 1).key(), rotation, now())
    };
    let short = ring(Duration::from_millis(304_999));
    assert_eq!(AccessTokens::new(policy(), short.clone()).unwrap_err(), KeyError::VerifyFor);
    let tokens = AccessTokens::new(policy(), ring(Duration::from_secs(305))).unwrap();
    assert_eq!(tokens.set_ring(short).unwrap_err(), KeyError::VerifyFor);
    assert_eq!(tokens.ring().rotation().verify_for(), Duration::from_secs(305));
}
