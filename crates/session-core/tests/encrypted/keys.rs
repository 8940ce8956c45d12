//! Keys and ciphers.

use std::collections::BTreeSet;

use session_core::store::{Cipher, DecryptError, EncryptionKey, EncryptionKeyError, EncryptionKeys};
use session_core::{Entropy, EntropyError};

use crate::{copy, key, ring};

const LONG: &[u8] = &[7; 1000];

#[derive(Debug)]
struct Broken;

impl Entropy for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// Fills with one byte.
#[derive(Debug)]
struct Stuck(u8);

impl Entropy for Stuck {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(self.0);
        Ok(())
    }
}

#[test]
fn what_is_no_key_is_refused() {
    use EncryptionKeyError as E;
    let count: Vec<u8> = (0x80..0xa0).collect();
    let down: Vec<u8> = (0x80..0xa0).rev().collect();
    let odd: Vec<u8> = (0..32).map(|n| n * 7).collect();
    let halves = [[0x9c, 0x11, 0xf0, 0x3b]; 8].concat();
    for (bytes, error) in [
        (&[][..], E::Length),
        (&[1; 31], E::Length),
        (&[1; 33], E::Length),
        (&[0; 32], E::Pattern),
        (&[0xff; 32], E::Pattern),
        (&count, E::Pattern),
        (&down, E::Pattern),
        (&odd, E::Pattern),
        (&halves, E::Pattern),
        (b"0123456789abcdef0123456789ABCDEF", E::Pattern),
        (b"correct horse battery staple....", E::Pattern),
        (b"f3Tq9-_xPwLz8Kd72mNcVbRtYh5gJs4A", E::Pattern),
    ] {
        assert_eq!(EncryptionKey::from_bytes(bytes).unwrap_err(), error, "{bytes:?}");
    }
    assert_eq!(EncryptionKey::generate(&Broken).unwrap_err(), E::Entropy(EntropyError));
    assert_eq!(EncryptionKey::generate(&Stuck(4)).unwrap_err(), E::Pattern);
    let one = key();
    assert_eq!(EncryptionKeys::new(copy(&one)).decrypting(copy(&one)).unwrap_err(), E::Duplicate);
    let two = EncryptionKeys::new(key()).decrypting(copy(&one)).unwrap();
    assert_eq!(two.decrypting(one).unwrap_err(), E::Duplicate);
}

#[test]
fn a_key_is_read_from_either_alphabet() {
    // 0xfb, 0xff: + and / in one alphabet, - and _ in the other.
    let mut bytes: Vec<u8> = (0..32).map(|n: u8| n.wrapping_mul(n).wrapping_mul(37) ^ 0x5b).collect();
    (bytes[0], bytes[1], bytes[2]) = (0xfb, 0xff, 0xbf);
    let key = EncryptionKey::from_bytes(&bytes).unwrap();
    let text = key.to_base64();
    assert_eq!((text.len(), &text[..3]), (43, "-_-"));
    let standard = text.replace('-', "+").replace('_', "/");
    for spelled in [text.to_string(), format!("{}=", *text), format!("{standard}=\n"), format!(" \t{standard} ")] {
        assert_eq!(*EncryptionKey::from_base64(&spelled).unwrap().to_base64(), *text);
    }
    for (wrong, error) in [
        ("", EncryptionKeyError::Length),
        ("AAAA", EncryptionKeyError::Length),
        (&text[1..], EncryptionKeyError::Base64),
        (&format!("{}.", &text[1..]), EncryptionKeyError::Base64),
        (&format!("{} {}", &text[..20], &text[21..]), EncryptionKeyError::Base64),
        (&"00".repeat(32), EncryptionKeyError::Length),
    ] {
        assert_eq!(EncryptionKey::from_base64(wrong).unwrap_err(), error, "{wrong}");
    }
}

#[test]
fn nothing_shows_a_key() {
    let (one, two) = (key(), key());
    let ring = ring(&[&one, &two]);
    let cipher = Cipher::new(&ring, "test");
    assert_eq!(format!("{one:?}"), "EncryptionKey(..)");
    assert_eq!(format!("{ring:?}"), "EncryptionKeys { len: 2 }");
    assert_eq!(format!("{cipher:?}"), "Cipher { purpose: \"test\", keys: 2, .. }");
    // Nor does what it made hold eight bytes of it in a row.
    let text = cipher.encrypt(LONG, LONG).unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &*one.to_base64()).unwrap();
    assert!(!bytes.windows(4).any(|part| text.windows(4).any(|window| window == part)));
}

#[test]
fn what_was_encrypted_is_decrypted_by_the_same_key_purpose_and_context_only() {
    let one = key();
    let cipher = Cipher::new(&ring(&[&one]), "test");
    for plain in [&b""[..], b"x", LONG] {
        for context in [&b""[..], b"session", LONG] {
            let text = cipher.encrypt(plain, context).unwrap();
            assert_eq!(text.len(), plain.len() + Cipher::OVERHEAD);
            assert_eq!(cipher.decrypt(&text, context).unwrap(), plain);
            let other = [context, b"0"].concat();
            assert_eq!(cipher.decrypt(&text, &other), Err(DecryptError::Damaged));
            let elsewhere = Cipher::new(&ring(&[&one]), "tests");
            assert_eq!(elsewhere.decrypt(&text, context), Err(DecryptError::Damaged));
            let stranger = Cipher::new(&ring(&[&key()]), "test");
            assert_eq!(stranger.decrypt(&text, context), Err(DecryptError::UnknownKey));
        }
    }
}

#[test]
fn each_byte_counts() {
    let cipher = Cipher::new(&ring(&[&key(), &key()]), "test");
    let text = cipher.encrypt(b"plain", b"context").unwrap();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            let expected = match at {
                0 => DecryptError::UnknownFormat,
                1..5 => DecryptError::UnknownKey,
                _ => DecryptError::Damaged,
            };
            assert_eq!(cipher.decrypt(&changed, b"context"), Err(expected), "byte {at}, bit {bit}");
        }
        assert_eq!(cipher.decrypt(&text[..at], b"context"), Err(DecryptError::Damaged), "cut at {at}");
    }
    assert_eq!(cipher.decrypt(&[&text[..], &[0]].concat(), b"context"), Err(DecryptError::Damaged));
}

/// The second half of a name is not the beginning of what it stands for.
#[test]
fn a_key_name_of_another_key_does_not_help() {
    let (one, two) = (key(), key());
    let cipher = Cipher::new(&ring(&[&one, &two]), "test");
    let [mut a, b] = [&one, &two].map(|key| Cipher::new(&ring(&[key]), "test").encrypt(b"plain", b"").unwrap());
    assert!(cipher.decrypt(&a, b"").is_ok() && cipher.decrypt(&b, b"").is_ok());
    a[..5].copy_from_slice(&b[..5]);
    assert_eq!(cipher.decrypt(&a, b""), Err(DecryptError::Damaged));
}

#[test]
fn no_nonce_occurs_twice_and_without_one_nothing_is_encrypted() {
    let one = key();
    let cipher = Cipher::new(&ring(&[&one]), "test");
    let texts: BTreeSet<Vec<u8>> = (0..1000).map(|_| cipher.encrypt(b"plain", b"").unwrap()).collect();
    let nonces: BTreeSet<&[u8]> = texts.iter().map(|text| &text[5..29]).collect();
    assert_eq!((texts.len(), nonces.len()), (1000, 1000));
    for at in 0..24 {
        let bytes: BTreeSet<u8> = nonces.iter().map(|nonce| nonce[at]).collect();
        assert!(bytes.len() > 200, "byte {at} of a nonce has {} values", bytes.len());
    }
    let cipher = Cipher::new(&ring(&[&one]), "test").entropy(Stuck(9));
    assert_eq!(cipher.encrypt(b"plain", b"").unwrap()[5..29], [9; 24], "the nonce comes from the generator");
    let cipher = cipher.entropy(Broken);
    assert_eq!(cipher.encrypt(b"plain", b""), Err(EntropyError));
}

/// A text of the first release, which another implementation of XChaCha20-Poly1305 and HMAC-SHA256 made too: every later
/// release must be able to read it.
#[test]
fn the_format_stays_as_it_is() {
    let bytes: Vec<u8> = (0..32).map(|n: u8| n.wrapping_mul(n).wrapping_mul(37) ^ 0x5b).collect();
    let one = EncryptionKey::from_bytes(&bytes).unwrap();
    let cipher = Cipher::new(&ring(&[&one]), "store").entropy(Stuck(9));
    let text = cipher.encrypt(b"plain", b"context").unwrap();
    let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "017758dcd90909090909090909090909090909090909090909090909090870c8fe6a9632d38db2670220b619f1d86547902b"
    );
}

#[test]
fn keys_are_rotated_while_they_are_in_use() {
    let (old, new) = (key(), key());
    let cipher = Cipher::new(&ring(&[&old]), "test");
    let before = cipher.encrypt(b"plain", b"").unwrap();
    cipher.set_keys(&ring(&[&old, &new]));
    assert_eq!(cipher.encrypt(b"plain", b"").unwrap()[..5], before[..5], "the first encrypts");
    cipher.set_keys(&ring(&[&new, &old]));
    let after = cipher.encrypt(b"plain", b"").unwrap();
    assert_ne!(after[..5], before[..5]);
    assert!(cipher.decrypt(&before, b"").is_ok() && cipher.decrypt(&after, b"").is_ok());
    cipher.set_keys(&ring(&[&new]));
    assert_eq!(cipher.decrypt(&before, b""), Err(DecryptError::UnknownKey));
    assert!(cipher.decrypt(&after, b"").is_ok());
}
