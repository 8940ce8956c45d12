//! What a token says: the claims, as they are written and as they are read.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use session_core::{Assurance, SessionId, Timestamp, UserId};

use crate::policy::TokenPolicy;
use crate::verify::VerifyError;

/// The last second of the year 9999. A larger `NumericDate` is not a time.
const LAST_SECOND: u64 = 253_402_300_799;
/// The longest `jti`, in bytes.
const MAX_ID_LEN: usize = 128;

/// What a verified access token says. Only verification makes one: to hold it is to know that every check has passed.
///
/// `Debug` hides who and which.
///
/// ```compile_fail
/// fn forge(mut claims: session_jwt::Claims) -> session_jwt::Claims {
///     session_jwt::Claims { ..claims }
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Claims {
    /// The session the token belongs to (`sid`).
    pub session: SessionId,
    /// Who is logged in (`sub`).
    pub user: UserId,
    /// When the user last proved who they are (`auth_time`), in whole seconds.
    pub authenticated_at: Timestamp,
    /// How (`amr`).
    pub methods: Vec<String>,
    /// How strongly (`acr`). `None` if the token does not say so in our words: take it for the weakest.
    pub level: Option<Assurance>,
    /// The name of this one token (`jti`).
    pub token_id: String,
    /// The application the session was opened with (`client_id`).
    pub client: Option<String>,
    /// When the token was issued (`iat`), in whole seconds.
    pub issued_at: Timestamp,
    /// From when it is expired (`exp`), in whole seconds; a verifier allows the leeway on top.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("authenticated_at", &self.authenticated_at)
            .field("methods", &self.methods)
            .field("level", &self.level)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The payload as we write it.
#[derive(Serialize)]
pub(crate) struct Payload<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) aud: &'a str,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) jti: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) sid: SessionId,
    pub(crate) auth_time: u64,
    pub(crate) acr: &'a str,
    pub(crate) amr: &'a [String],
}

/// The `acr` of a level.
pub(crate) const fn acr(level: Assurance) -> &'static str {
    match level {
        Assurance::Aal1 => "aal1",
        Assurance::Aal2 => "aal2",
        Assurance::Aal3 => "aal3",
    }
}

/// Reads a signed payload and checks it: the only way to [`Claims`].
pub(crate) fn read(json: &[u8], policy: &TokenPolicy, now: Timestamp) -> Result<Claims, VerifyError> {
    let why = Cell::new(VerifyError::Payload);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let raw = deserializer.deserialize_map(RawVisitor(&why)).map_err(|_| why.get())?;
    deserializer.end().map_err(|_| VerifyError::Payload)?;

    if *require(raw.iss, "iss")?.0 != *policy.issuer() {
        return Err(VerifyError::Issuer);
    }
    if !require(raw.aud, "aud")?.includes(policy.audience()) {
        return Err(VerifyError::Audience);
    }
    let (issued_at, expires_at) = (time(raw.iat, "iat")?, time(raw.exp, "exp")?);
    let authenticated_at = time(raw.auth_time, "auth_time")?;
    let (earliest, latest) = (now - policy.leeway(), now + policy.leeway());
    if earliest >= expires_at {
        return Err(VerifyError::Expired);
    }
    if raw.nbf.is_some() && time(raw.nbf, "nbf")? > latest {
        return Err(VerifyError::NotYetValid);
    }
    if issued_at > latest {
        return Err(VerifyError::IssuedInFuture);
    }
    if expires_at <= issued_at || expires_at.since(issued_at) > policy.lifetime() {
        return Err(VerifyError::Timeouts);
    }
    if authenticated_at > issued_at + policy.leeway() {
        return Err(VerifyError::Invalid("auth_time"));
    }
    let token_id = require(raw.jti, "jti")?;
    if token_id.is_empty() || token_id.len() > MAX_ID_LEN {
        return Err(VerifyError::Invalid("jti"));
    }
    Ok(Claims {
        session: require(raw.sid, "sid")?,
        user: UserId::new(&*require(raw.sub, "sub")?.0).map_err(|_| VerifyError::Invalid("sub"))?,
        authenticated_at,
        methods: require(raw.amr, "amr")?,
        level: raw.acr.and_then(|text| {
            [Assurance::Aal1, Assurance::Aal2, Assurance::Aal3].into_iter().find(|level| acr(*level) == text.0)
        }),
        token_id,
        client: raw.client_id,
        issued_at,
        expires_at,
    })
}

fn require<T>(claim: Option<T>, name: &'static str) -> Result<T, VerifyError> {
    claim.ok_or(VerifyError::Missing(name))
}

fn time(claim: Option<u64>, name: &'static str) -> Result<Timestamp, VerifyError> {
    match i64::try_from(require(claim, name)?) {
        Ok(seconds) if seconds.unsigned_abs() <= LAST_SECOND => Ok(Timestamp::from_millis(seconds * 1000)),
        Ok(_) | Err(_) => Err(VerifyError::Invalid(name)),
    }
}

/// The payload as it is read: of the right types, nothing twice, but not complete yet.
#[derive(Default)]
struct Raw<'a> {
    iss: Option<Text<'a>>,
    sub: Option<Text<'a>>,
    aud: Option<Audience<'a>>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: Option<String>,
    sid: Option<SessionId>,
    auth_time: Option<u64>,
    acr: Option<Text<'a>>,
    amr: Option<Vec<String>>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Iss,
    Sub,
    Aud,
    Exp,
    Nbf,
    Iat,
    Jti,
    Sid,
    AuthTime,
    Acr,
    Amr,
    ClientId,
    Other(String),
}

/// Errors of serde are text only, so what went wrong is left in the cell.
struct RawVisitor<'c>(&'c Cell<VerifyError>);

impl RawVisitor<'_> {
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

impl<'de> Visitor<'de> for RawVisitor<'_> {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
        let mut raw = Raw::default();
        let mut others = BTreeSet::new();
        while let Some(name) = map.next_key()? {
            match name {
                Name::Iss => self.take(&mut raw.iss, "iss", &mut map)?,
                Name::Sub => self.take(&mut raw.sub, "sub", &mut map)?,
                Name::Aud => self.take(&mut raw.aud, "aud", &mut map)?,
                Name::Exp => self.take(&mut raw.exp, "exp", &mut map)?,
                Name::Nbf => self.take(&mut raw.nbf, "nbf", &mut map)?,
                Name::Iat => self.take(&mut raw.iat, "iat", &mut map)?,
                Name::Jti => self.take(&mut raw.jti, "jti", &mut map)?,
                Name::Sid => self.take(&mut raw.sid, "sid", &mut map)?,
                Name::AuthTime => self.take(&mut raw.auth_time, "auth_time", &mut map)?,
                Name::Acr => self.take(&mut raw.acr, "acr", &mut map)?,
                Name::Amr => self.take(&mut raw.amr, "amr", &mut map)?,
                Name::ClientId => self.take(&mut raw.client_id, "client_id", &mut map)?,
                Name::Other(name) => {
                    if !others.insert(name) {
                        self.duplicate()?;
                    }
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(raw)
    }
}

/// `aud`: one string, or an array of strings (RFC 7519, 4.1.3).
enum Audience<'a> {
    One(Cow<'a, str>),
    Several(Vec<Cow<'a, str>>),
}

impl Audience<'_> {
    fn includes(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => *one == audience,
            Self::Several(all) => all.iter().any(|one| *one == audience),
        }
    }
}

impl<'de> Deserialize<'de> for Audience<'de> {
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
        while let Some(Text(one)) = sequence.next_element()? {
            all.push(one);
        }
        if all.is_empty() { Err(A::Error::custom("no audience")) } else { Ok(Audience::Several(all)) }
    }
}
