//! [`Secrets`]: a search for secrets where they must not be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What must not appear in a log, a `Debug` text or a store, in every encoding in which it might.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// A description, and one encoding of the secret.
    needles: Vec<(String, Vec<u8>)>,
}

impl Secrets {
    /// Without secrets yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text, searched for as it is.
    pub fn add_text(&mut self, what: &str, text: &str) {
        self.needles.push((what.to_owned(), text.as_bytes().to_vec()));
    }

    /// Adds bytes, searched for raw, in hex, in base64, and as a list of numbers.
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
            // The last character depends on the next byte.
            add(form, &encoded.as_bytes()[..encoded.len().saturating_sub(1)]);
        }
    }

    /// Adds a session token: its text, its bytes, and each of its two secrets. Not its id, which is public.
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
        self.add_bytes("the family secret of a token", &bytes[16..32]);
        self.add_bytes("the secret of a token", &bytes[32..]);
        Ok(())
    }

    /// The descriptions of what was found in `haystack`; never the secret itself.
    #[must_use]
    pub fn found_in(&self, haystack: impl AsRef<[u8]>) -> Vec<&str> {
        let haystack = haystack.as_ref();
        let contains = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
        self.needles.iter().filter(|(_, needle)| contains(needle)).map(|(what, _)| what.as_str()).collect()
    }
}
