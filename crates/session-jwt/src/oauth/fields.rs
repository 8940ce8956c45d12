//! [`Fields`]: the parameters of a token request.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::Refused;

/// The parameters of a token request: a form (RFC 6749, appendix B), or a JSON object. Names that nobody asks for are ignored;
/// a parameter without a value counts as omitted (RFC 6749, section 3.1). `Debug` shows the names only.
#[derive(Clone)]
pub struct Fields {
    format: Format,
    body: Zeroizing<Vec<u8>>,
    entries: Vec<(String, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Form,
    Json,
}

impl Fields {
    /// Reads a body. What it is says its media type, whatever its parameters, and its first character: no form begins with `{`,
    /// and `curl -d` calls everything a form.
    pub(super) fn parse(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, Refused> {
        let format = format(content_type, body);
        let entries = match format {
            Format::Form => {
                let pairs: Vec<(String, String)> =
                    serde_html_form::from_bytes(body).map_err(|_| Refused::UNREADABLE)?;
                pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
            }
            Format::Json => serde_json::from_slice::<Entries>(body).map_err(|_| Refused::UNREADABLE)?.0,
        };
        Ok(Self { format, body: Zeroizing::new(body.to_vec()), entries })
    }

    /// Whether it is a form, and not JSON.
    pub(super) fn is_form(&self) -> bool {
        self.format == Format::Form
    }

    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        let mut values = self.entries.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, Value::String(text))), None) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            (Some((_, Value::Null)), None) => Ok(None),
            (Some(_), None) => Err(Refused::UNREADABLE),
            (Some(_), Some(_)) => Err(Refused::REPEATED),
        }
    }

    /// All of them, as the application wants to have them: its credentials, or what proves a second factor. The values of a form
    /// are texts, of which numbers and `true` and `false` can be read.
    ///
    /// `None` if one is missing, is repeated, or has the wrong type.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        match self.format {
            Format::Form => serde_html_form::from_bytes(&self.body).ok(),
            Format::Json => serde_json::from_slice(&self.body).ok(),
        }
    }
}

fn format(content_type: Option<&[u8]>, body: &[u8]) -> Format {
    let media_type = content_type.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
    let media_type = media_type.trim_ascii().to_ascii_lowercase();
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    if is_object || media_type == b"application/json" { Format::Json } else { Format::Form }
}

/// The members of an object, also those that are repeated.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|(name, _)| name);
        f.debug_struct("Fields")
            .field("format", &self.format)
            .field("names", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
