//! The payload of an access token as JSON: written, and read strictly.

use std::borrow::{Borrow, Cow};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use session_core::{Assurance, SessionId, Timestamp};
use smallvec::SmallVec;

use super::error::VerifyError;

/// The payload as we write it.
#[derive(Serialize)]
pub(super) struct WrittenPayload<'a> {
    pub(super) iss: &'a str,
    pub(super) sub: &'a str,
    pub(super) aud: WrittenAudience<'a>,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) jti: &'a str,
    pub(super) client_id: &'a str,
    pub(super) sid: SessionId,
    pub(super) auth_time: u64,
    pub(super) acr: &'a str,
    pub(super) amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cnf: Option<WrittenConfirmation>,
    /// None of the names above.
    #[serde(flatten)]
    pub(super) extra: Option<&'a Map<String, Value>>,
}

/// The key that whoever presents the token must prove to have (RFC 7800, RFC 9449).
#[derive(Serialize)]
pub(super) struct WrittenConfirmation {
    pub(super) jkt: String,
}

/// One as a string, which every verifier understands; several as an array.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WrittenAudience<'a> {
    One(&'a str),
    Several(&'a [String]),
}

/// The claims that are not the application's to set.
pub(super) const RESERVED: [&str; 14] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "auth_time", "acr", "amr", "scope", "cnf"];

/// The level of an `acr`. `None` for one that is not ours.
pub(super) fn level(text: &str) -> Option<Assurance> {
    [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3].into_iter().find(|level| level.as_str() == text)
}

/// Whole seconds since the epoch (`NumericDate`). A clock before 1970 yields the epoch.
pub(crate) fn numeric_date(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0) / 1000
}

/// The payload as it is read: every claim has the right JSON type and occurs at most once, but any may be missing.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct ReadPayload<'a> {
    pub(super) iss: Option<Text<'a>>,
    pub(super) sub: Option<Text<'a>>,
    pub(super) aud: Option<Audience<'a>>,
    pub(super) exp: Option<u64>,
    pub(super) nbf: Option<u64>,
    pub(super) iat: Option<u64>,
    pub(super) jti: Option<Text<'a>>,
    pub(super) sid: Option<SessionId>,
    pub(super) auth_time: Option<u64>,
    pub(super) acr: Option<Text<'a>>,
    pub(super) amr: Option<SmallVec<[Text<'a>; 2]>>,
    pub(super) client_id: Option<Text<'a>>,
    pub(super) scope: Option<Text<'a>>,
    pub(super) cnf: Option<Confirmation<'a>>,
}

impl<'a> ReadPayload<'a> {
    pub(super) fn parse(json: &'a str) -> Result<Self, VerifyError> {
        let why = Cell::new(VerifyError::Payload);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let payload = deserializer.deserialize_map(PayloadVisitor(&why)).map_err(|_| why.get())?;
        deserializer.end().map_err(|_| VerifyError::Payload)?;
        Ok(payload)
    }
}

/// A string, borrowed unless it has escapes.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    pub(super) fn into_inner(self) -> Cow<'a, str> {
        self.0
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Errors of serde are only text, so the visitor leaves the reason in the cell.
struct PayloadVisitor<'c>(&'c Cell<VerifyError>);

impl PayloadVisitor<'_> {
    fn take<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
        &self,
        slot: &mut Option<T>,
        name: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if slot.is_some() {
            return self.duplicate();
        }
        *slot = Some(map.next_value().inspect_err(|_| self.0.set(VerifyError::Invalid(name)))?);
        Ok(())
    }

    fn duplicate<E: serde::de::Error>(&self) -> Result<(), E> {
        self.0.set(VerifyError::Duplicate);
        Err(E::custom("a claim occurs twice"))
    }
}

impl<'de> Visitor<'de> for PayloadVisitor<'_> {
    type Value = ReadPayload<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReadPayload<'de>, A::Error> {
        let mut payload = ReadPayload::default();
        let mut others = BTreeSet::new();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match &*name {
                "iss" => self.take(&mut payload.iss, "iss", &mut map)?,
                "sub" => self.take(&mut payload.sub, "sub", &mut map)?,
                "aud" => self.take(&mut payload.aud, "aud", &mut map)?,
                "exp" => self.take(&mut payload.exp, "exp", &mut map)?,
                "nbf" => self.take(&mut payload.nbf, "nbf", &mut map)?,
                "iat" => self.take(&mut payload.iat, "iat", &mut map)?,
                "jti" => self.take(&mut payload.jti, "jti", &mut map)?,
                "sid" => self.take(&mut payload.sid, "sid", &mut map)?,
                "auth_time" => self.take(&mut payload.auth_time, "auth_time", &mut map)?,
                "acr" => self.take(&mut payload.acr, "acr", &mut map)?,
                "amr" => self.take(&mut payload.amr, "amr", &mut map)?,
                "client_id" => self.take(&mut payload.client_id, "client_id", &mut map)?,
                "scope" => self.take(&mut payload.scope, "scope", &mut map)?,
                "cnf" => self.take(&mut payload.cnf, "cnf", &mut map)?,
                _ => {
                    if !others.insert(name) {
                        self.duplicate()?;
                    }
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(payload)
    }
}

/// `aud`: one string, or an array of strings (RFC 7519, 4.1.3). Not `untagged`, which copies what it reads first: that took
/// as long as everything else here.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) enum Audience<'a> {
    One(Cow<'a, str>),
    Several(Vec<Text<'a>>),
}

impl Audience<'_> {
    pub(super) fn any(&self, is_ours: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(one) => is_ours(one),
            Self::Several(all) => all.iter().any(|one| is_ours(one)),
        }
    }

    pub(super) fn includes(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => *one == audience,
            Self::Several(all) => all.iter().any(|one| **one == *audience),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Audience<'de>, E> {
        Ok(Audience::One(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience<'de>, E> {
        Ok(Audience::One(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Audience<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = sequence.next_element()? {
            all.push(one);
        }
        if all.is_empty() { Err(A::Error::custom("no audience")) } else { Ok(Audience::Several(all)) }
    }
}

/// `cnf`: what whoever presents the token must prove (RFC 7800).
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Confirmation<'a> {
    /// To have the key with this thumbprint (`jkt`), and nothing else.
    Key(Text<'a>),
    /// Something that is not checked here: a client certificate, say. Such a token is good for nothing.
    Unknown,
}

impl<'de: 'a, 'a> Deserialize<'de> for Confirmation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ConfirmationVisitor)
    }
}

struct ConfirmationVisitor;

impl<'de> Visitor<'de> for ConfirmationVisitor {
    type Value = Confirmation<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of confirmations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Confirmation<'de>, A::Error> {
        let (mut key, mut is_known) = (None, true);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if *name == *"jkt" && key.is_none() {
                key = Some(map.next_value()?);
            } else {
                is_known = false;
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(key.filter(|_| is_known).map_or(Confirmation::Unknown, Confirmation::Key))
    }
}
