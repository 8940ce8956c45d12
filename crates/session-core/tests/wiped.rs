//! What is left in memory of a secret that was dropped: nothing. Read through `/proc/self/mem`, where it was.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_core::adapter::SetCookie;
use session_core::store::{Cipher, Credential, EncryptionKey, EncryptionKeys};
use session_core::{CookiePolicy, EncodedToken, Kind, OsEntropy, PresentedToken, SessionId, SessionToken, Timestamp};

/// The memory of this process at `address`.
fn memory(address: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, address as u64).unwrap();
    bytes
}

/// How many eight bytes in a row of `secret` are at `address`. An allocator may write into what was freed, at its beginning.
fn traces(secret: &[u8], address: usize, len: usize) -> usize {
    let memory = memory(address, len);
    secret.windows(8).filter(|part| memory.windows(8).any(|window| window == *part)).count()
}

/// A place for `T` that stays where it is. To clear it drops the value, and writes nothing over it.
fn place<T>(value: T) -> Vec<T> {
    black_box(vec![value])
}

/// Drops what is in `place`, which holds `secret`, and looks at what is left there.
fn assert_wiped_in_place<T>(mut place: Vec<T>, secret: &[u8], what: &str) {
    let (address, len) = (place.as_ptr().addr(), size_of::<T>());
    assert_eq!(traces(secret, address, len), secret.len() - 7, "{what}: the test looks at the right place");
    place.clear();
    black_box(&place);
    assert_eq!(traces(secret, address, len), 0, "{what}");
}

/// As above, for a value that holds `text` elsewhere.
fn assert_wiped_where_it_was<T>(mut place: Vec<T>, text: impl Fn(&T) -> &str, secret: &[u8], what: &str) {
    let text = text(&place[0]);
    let (address, len) = (text.as_ptr().addr(), text.len());
    assert_eq!(traces(secret, address, len), secret.len() - 7, "{what}: the test looks at the right place");
    place.clear();
    black_box(&place);
    assert_eq!(traces(secret, address, len), 0, "{what}");
}

fn token() -> SessionToken {
    let id = SessionId::generate(None, &OsEntropy).unwrap();
    Credential::issue(Kind::Cookie, id, Timestamp::EPOCH, &OsEntropy).unwrap().1
}

/// The two secret halves, behind the public id.
fn secret(token: &SessionToken) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.encode().expose()).unwrap().split_off(16)
}

#[test]
fn tokens_leave_nothing_where_they_were() {
    let issued = token();
    let secret = secret(&issued);
    let presented = PresentedToken::parse(issued.encode().expose().as_bytes()).unwrap();
    assert_wiped_in_place(place(issued), &secret, "an issued token");
    assert_wiped_in_place(place(presented), &secret, "a presented token");
}

#[test]
fn texts_of_tokens_leave_nothing_where_they_were() {
    let issued = token();
    // Of the text, what is behind the id.
    let secret = issued.encode().expose().as_bytes()[22..].to_vec();
    assert_wiped_where_it_was(place(issued.encode()), EncodedToken::expose, &secret, "the text of a token");
    let cookie = CookiePolicy::standard().set(&issued.encode(), None);
    assert_wiped_where_it_was(place(cookie), SetCookie::expose, &secret, "a Set-Cookie header");
}

/// The key itself, which the cipher that was made of it does not hold.
#[test]
fn keys_leave_nothing_where_they_were() {
    let key = EncryptionKey::generate(&OsEntropy).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&*key.to_base64()).unwrap();
    // Where the only heap block of the key is.
    let pointer = size_of::<usize>();
    let words: Vec<usize> = memory((&raw const key).addr(), size_of_val(&key))
        .chunks_exact(pointer)
        .map(|word| usize::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    let at = words.into_iter().find(|word| *word > 0xffff && memory(*word, bytes.len()) == bytes);
    let at = at.expect("the test looks at the right place");
    drop(Cipher::new(&EncryptionKeys::new(key), "test"));
    assert_eq!(traces(&bytes, at, bytes.len()), 0);
}

#[test]
fn texts_of_keys_leave_nothing_where_they_were() {
    let text = EncryptionKey::generate(&OsEntropy).unwrap().to_base64();
    let secret = text.as_bytes().to_vec();
    assert_wiped_where_it_was(place(text), |text| text, &secret, "the text of a key");
}
