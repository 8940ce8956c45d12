//! [`Secrets`]: looks for things that must not be found.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What must not appear in a log, a `Debug` text or a store, in every spelling in which it might.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// What it is, and one spelling of it.
    needles: Vec<(String, Vec<u8>)>,
}

impl Secrets {
    /// Nothing to look for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for this text, as it is.
    pub fn add_text(&mut self, what: &str, text: &str) {
        self.needles.push((what.to_owned(), text.as_bytes().to_vec()));
    }

    /// Looks for these bytes: raw, in hex, in base64, and as a list of numbers.
    pub fn add_bytes(&mut self, what: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let mut add = |form: &str, needle: &[u8]| self.needles.push((format!("{what}, {form}"), needle.to_vec()));
        add("raw", bytes);
        add("hex", hex.as_bytes());
        add("upper-case hex", hex.to_uppercase().as_bytes());
        add("numbers", list.join(", ").as_bytes());
        add("numbers without spaces", list.join(",").as_bytes());
        for (form, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            let encoded = engine.encode(bytes);
            // The last character depends on what follows.
            add(form, &encoded.as_bytes()[..encoded.len().saturating_sub(1)]);
        }
    }

    /// Looks for a session token: its text, all of its bytes, and each of its secret halves. Not for the id in it, which is
    /// public. Anything that is not a token is an error.
    ///
    /// # Errors
    /// If `text` is not base64url of 48 bytes.
    pub fn add_token(&mut self, text: &str) -> Result<(), &'static str> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url")?;
        if bytes.len() != 48 {
            return Err("not 48 bytes");
        }
        self.add_text("a token", text);
        self.add_bytes("a token", &bytes);
        self.add_bytes("the family half of a token", &bytes[16..32]);
        self.add_bytes("the secret half of a token", &bytes[32..]);
        Ok(())
    }

    /// What was found in `haystack`, and in which spelling. Never the secret itself.
    #[must_use]
    pub fn found_in(&self, haystack: impl AsRef<[u8]>) -> Vec<&str> {
        let haystack = haystack.as_ref();
        let contains = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
        self.needles.iter().filter(|(_, needle)| contains(needle)).map(|(what, _)| what.as_str()).collect()
    }
}
