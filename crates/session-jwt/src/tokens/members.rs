//! [`Members`]: the claims of other software, of which each occurs once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use session_core::Timestamp;

use super::claims::LAST_SECOND;
use super::error::VerifyError;
use super::payload::{Audience, Text};
use super::policy::TokenPolicy;

/// The members of a payload, each of which is read when it is asked for. One that is `null` counts as missing.
pub(crate) struct Members<'a>(BTreeMap<Text<'a>, &'a RawValue>);

/// When a token was issued, and when it expires.
pub(super) struct Times {
    pub(super) issued_at: Option<Timestamp>,
    pub(super) expires_at: Timestamp,
}

impl<'a> Members<'a> {
    /// Those of exactly one object. A name that occurs twice is an error, however it is written.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, VerifyError> {
        let Entries(entries) = serde_json::from_slice(json).map_err(|_| VerifyError::Payload)?;
        let mut members = BTreeMap::new();
        for (name, value) in entries {
            if members.insert(name, value).is_some() {
                return Err(VerifyError::Duplicate);
            }
        }
        Ok(Self(members))
    }

    /// Whether there is one of this name, `null` included.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The one of this name, if it is there.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &'static str) -> Result<Option<T>, VerifyError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => serde_json::from_str(value.get()).map_err(|_| VerifyError::Invalid(name)),
        }
    }

    /// A text, if it is there and not empty.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, VerifyError> {
        Ok(self.get::<String>(name)?.filter(|text| !text.is_empty()))
    }

    /// Whether it is the policy's issuer who says so, to the policy's audience.
    pub(super) fn check_names(&self, policy: &TokenPolicy) -> Result<(), VerifyError> {
        let issuer: Text<'_> = self.get("iss")?.ok_or(VerifyError::Missing("iss"))?;
        if *issuer != *policy.issuer() {
            return Err(VerifyError::Issuer);
        }
        let audience: Audience<'_> = self.get("aud")?.ok_or(VerifyError::Missing("aud"))?;
        if audience.includes(policy.audience()) { Ok(()) } else { Err(VerifyError::Audience) }
    }

    /// Its times, if the token is valid now and no longer than the policy allows. Without `iat`, it is what is left of its
    /// life that must not be longer.
    pub(super) fn check_times(&self, policy: &TokenPolicy, now: Timestamp) -> Result<Times, VerifyError> {
        let expires_at = self.time("exp")?.ok_or(VerifyError::Missing("exp"))?;
        let issued_at = self.time("iat")?;
        let latest = now + policy.ahead();
        if now - policy.leeway() >= expires_at {
            return Err(VerifyError::Expired);
        }
        if self.time("nbf")?.is_some_and(|nbf| nbf > latest) {
            return Err(VerifyError::NotYetValid);
        }
        if issued_at.is_some_and(|issued_at| issued_at > latest) {
            return Err(VerifyError::IssuedInFuture);
        }
        let begins = issued_at.unwrap_or(latest);
        if expires_at.since(begins) > policy.lifetime() || issued_at.is_some_and(|begins| expires_at <= begins) {
            return Err(VerifyError::Lifetime);
        }
        Ok(Times { issued_at, expires_at })
    }

    /// A `NumericDate`, which may have a fraction (RFC 7519, section 2).
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, VerifyError> {
        let Some(seconds) = self.get::<f64>(name)? else { return Ok(None) };
        if !(0.0..=LAST_SECOND as f64).contains(&seconds) {
            return Err(VerifyError::Invalid(name));
        }
        Ok(Some(Timestamp::from_millis((seconds * 1000.0) as i64)))
    }
}

/// In the order of the text, also those that are repeated.
struct Entries<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
