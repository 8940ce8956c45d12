//! The formats that outlive a process: stored rings, JWKS documents, tokens, sealed sessions. Those written by earlier
//! versions must stay readable, and are written the same, byte for byte.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use crate::common::{ALGORITHMS, Constant, Forge, ISSUER, SESSION, issue, now, policy};
use session_core::Policy;
use session_core::store::Seal as _;
use session_jwt::{AccessTokens, JwtSeal, KeyRing, Rotation};

/// What an earlier version wrote for each of [`ALGORITHMS`]: ring, JWKS, token, sealed session.
const WRITTEN: [&str; 3] =
    [include_str!("../formats/HS256.txt"), include_str!("../formats/EdDSA.txt"), include_str!("../formats/ES256.txt")];

#[test]
fn formats_do_not_change() {
    for (algorithm, written) in ALGORITHMS.into_iter().zip(WRITTEN) {
        let written: Vec<&str> = written.lines().collect();
        let [stored, jwks, token, sealed] = written[..] else { panic!("{algorithm:?}: {} lines", written.len()) };

        let rotation = Rotation::builder().verify_for(Duration::from_secs(7 * 24 * 3600)).build().unwrap();
        let ring = KeyRing::with_key(Forge::new(algorithm, 1).key(), rotation, now());
        let both = ring.publish(Forge::new(algorithm, 100).key(), now()).unwrap();
        assert_eq!(*both.to_json(), stored);
        assert_eq!(*KeyRing::from_json(stored).unwrap().to_json(), stored);
        assert_eq!(both.jwks(now()).to_json(), jwks);

        let tokens = AccessTokens::new(policy(), ring.clone()).unwrap().with_entropy(Constant(7));
        assert_eq!(issue(&tokens, now()), token);
        assert_eq!(tokens.verify(token, now()).unwrap().session, SESSION);

        let seal = JwtSeal::new(ISSUER, ring, &Policy::standard()).unwrap();
        let record = seal.open(sealed.as_bytes(), now()).unwrap();
        assert_eq!((record.id(), record.user().unwrap().as_str()), (SESSION, "alice"));
        assert_eq!(seal.seal(&record, now()).unwrap(), sealed);
    }
}
