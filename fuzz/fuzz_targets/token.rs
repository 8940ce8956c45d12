//! Text that is presented as a session token or as a session id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{PresentedToken, SessionId};

fuzz_target!(|text: &[u8]| {
    // 48 bytes are 64 characters without unused bits: any text of the alphabet is valid, anything else is not.
    let is_token = text.len() == 64 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    match PresentedToken::parse(text) {
        Ok(token) => {
            assert!(is_token);
            // The id is the first 16 bytes: 21 characters, and 2 bits of the next.
            assert_eq!(token.id().to_string().as_bytes()[..21], text[..21]);
        }
        Err(_) => assert!(!is_token),
    }
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(id) = text.parse::<SessionId>()
    {
        assert_eq!(id.to_string(), text);
    }
});
