//! What is left of a private key where it was, once it was dropped: nothing. Read through `/proc/self/mem`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;

use session_core::OsEntropy;
use session_jwt::{Algorithm, SigningKey};

/// Whether eight bytes in a row of `secret` are in the memory of this process at `address`.
fn is_there(secret: &[u8], address: usize, len: usize) -> bool {
    let mut memory = vec![0; len];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut memory, address as u64).unwrap();
    secret.windows(8).any(|part| memory.windows(8).any(|window| window == part))
}

#[test]
fn a_private_key_leaves_nothing_where_it_was() {
    let key = SigningKey::generate(Algorithm::EdDsa, &OsEntropy).unwrap();
    let jwk: serde_json::Value = serde_json::from_str(&key.to_jwk()).unwrap();
    let secret = common::decode(jwk["d"].as_str().unwrap());
    // To clear it drops the key, and writes nothing over it.
    let mut place = black_box(vec![key]);
    let (address, len) = (place.as_ptr().addr(), size_of::<SigningKey>());
    assert!(is_there(&secret, address, len), "the test looks at the right place");
    place.clear();
    black_box(&place);
    assert!(!is_there(&secret, address, len));
}
