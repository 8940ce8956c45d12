//! The protected header: the one that we write, and a strict parser for those of other issuers.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::VerifyError;
use crate::algorithm::Algorithm;
use crate::encoding;

/// The kind of a token (`typ`). Each kind has its own value, so that none is accepted as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// An access token (RFC 9068).
    Access,
    /// A client-side session.
    Session,
    /// An encrypted one: no claims, but bytes.
    EncryptedSession,
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Session => "session+jwt",
            Self::EncryptedSession => "encrypted-session",
        }
    }
}

/// Which values of `typ` a verifier for another issuer accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptedTypes {
    /// `at+jwt`, as RFC 9068 demands of access tokens.
    AccessToken,
    /// Also `JWT`, and none.
    AlsoGeneric,
    /// `logout+jwt`, as OpenID Connect Back-Channel Logout asks of logout tokens.
    LogoutToken,
    /// Also `JWT`, and none.
    LogoutAlsoGeneric,
    /// `dpop+jwt`, to the letter, as RFC 9449 demands of proofs of possession.
    Proof,
    /// `dbsc+jwt`, to the letter, as the draft of device-bound sessions has it.
    #[cfg(feature = "experimental-dbsc")]
    BoundSession,
}

/// The longest header segment of another issuer: some write a certificate there.
const MAX_SEGMENT_LEN: usize = 4096;
/// The most members of a header.
const MAX_MEMBERS: usize = 32;
/// They change what the rest means, so a verifier that does not implement them must not go on: extensions that must be
/// understood (`crit`), a payload that is not encoded (RFC 7797), compressed or encrypted (RFC 7516).
const REFUSED_MEMBERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// The header segment that we write for a key.
pub(super) fn segment(typ: TokenType, alg: &str, kid: &str) -> String {
    #[derive(Serialize)]
    struct Written<'a> {
        alg: &'a str,
        kid: &'a str,
        typ: &'a str,
    }

    let Ok(json) = serde_json::to_vec(&Written { alg, kid, typ: typ.as_str() }) else {
        unreachable!("a struct of strings is JSON")
    };
    encoding::encode(json)
}

/// The header of another issuer. Only these members are interpreted. Others are skipped, as RFC 7515 asks; so nothing that
/// brings or names a key by itself (`jku`, `jwk`, `x5u`, `x5c`) is ever followed, but for the `jwk` of a proof of possession. A member that occurs twice is an error.
pub(crate) struct Header {
    alg: String,
    kid: Option<String>,
}

impl Header {
    /// Reads the header segment of a token of another issuer.
    pub(crate) fn read(segment: &[u8], types: AcceptedTypes) -> Result<Self, VerifyError> {
        Self::parse(&decode(segment)?, types)
    }

    /// The same, and the JWK in it: of what proves nothing but that its maker has that key.
    pub(crate) fn read_with_key(segment: &[u8], types: AcceptedTypes) -> Result<(Self, String), VerifyError> {
        #[derive(Deserialize)]
        struct WithKey<'a> {
            #[serde(borrow)]
            jwk: &'a RawValue,
        }

        let json = decode(segment)?;
        let header = Self::parse(&json, types)?;
        let WithKey { jwk } = serde_json::from_slice(&json).map_err(|_| VerifyError::Key)?;
        Ok((header, jwk.get().to_owned()))
    }

    fn parse(json: &[u8], types: AcceptedTypes) -> Result<Self, VerifyError> {
        let Members { alg, kid, typ } = serde_json::from_slice(json).map_err(|_| VerifyError::Header)?;
        if !types.include(typ.as_deref()) {
            return Err(VerifyError::Type);
        }
        Ok(Self { alg, kid })
    }

    /// `None` if it is none that verifies anything here.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_name(&self.alg)
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}

fn decode(segment: &[u8]) -> Result<Vec<u8>, VerifyError> {
    if segment.len() > MAX_SEGMENT_LEN {
        return Err(VerifyError::Header);
    }
    encoding::decode(segment).ok_or(VerifyError::Header)
}

impl AcceptedTypes {
    /// For a logout token what these are for an access token.
    pub(super) const fn for_logout(self) -> Self {
        match self {
            Self::AccessToken | Self::LogoutToken => Self::LogoutToken,
            Self::AlsoGeneric | Self::LogoutAlsoGeneric => Self::LogoutAlsoGeneric,
            Self::Proof => Self::Proof,
            #[cfg(feature = "experimental-dbsc")]
            Self::BoundSession => Self::BoundSession,
        }
    }

    fn include(self, typ: Option<&str>) -> bool {
        let (own, also_generic) = match self {
            Self::AccessToken => (TokenType::Access.as_str(), false),
            Self::AlsoGeneric => (TokenType::Access.as_str(), true),
            Self::LogoutToken => ("logout+jwt", false),
            Self::LogoutAlsoGeneric => ("logout+jwt", true),
            Self::Proof => return typ == Some("dpop+jwt"),
            #[cfg(feature = "experimental-dbsc")]
            Self::BoundSession => return typ == Some("dbsc+jwt"),
        };
        let Some(typ) = typ else { return also_generic };
        // A media type: its case is irrelevant (RFC 2045), and the prefix is optional (RFC 7515, 4.1.9).
        let prefix = "application/";
        let name = match typ.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => &typ[prefix.len()..],
            Some(_) | None => typ,
        };
        name.eq_ignore_ascii_case(own) || also_generic && name.eq_ignore_ascii_case("JWT")
    }
}

/// What is interpreted of a header.
struct Members {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.len() == MAX_MEMBERS || seen.contains(&name) || REFUSED_MEMBERS.contains(&&*name) {
                return Err(A::Error::custom("a member that is refused"));
            }
            match &*name {
                "alg" => alg = Some(map.next_value::<String>()?),
                "kid" => kid = Some(map.next_value::<String>()?),
                "typ" => typ = Some(map.next_value::<String>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            seen.push(name);
        }
        Ok(Members { alg: alg.ok_or_else(|| A::Error::missing_field("alg"))?, kid, typ })
    }
}
