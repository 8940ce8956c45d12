//! [`State`]: what a session is bound to, and what each step makes of it. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_core::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::encoding;

/// The first byte of the binding of a session: this protocol, and the same before a browser has used a key.
const PROTOCOL: u8 = 2;
const PENDING: u8 = 0x80 | PROTOCOL;

/// For how long a cookie is accepted that its browser has forgotten: its answer was under way, and clocks of servers differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// A value of the bound cookie that is accepted: its digest, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    #[serde(rename = "d")]
    digest: String,
    #[serde(rename = "u")]
    until: i64,
}

/// A key that was registered, and the cookies that it renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    /// The public key.
    #[serde(rename = "k")]
    pub(super) jwk: String,
    #[serde(rename = "c")]
    cookie: Accepted,
    /// The one before, which requests that are under way may have.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    previous: Option<Accepted>,
    /// Whether a request has shown a bound cookie. Until then the browser may not have got the answer to its registration.
    #[serde(rename = "f", default)]
    is_confirmed: bool,
}

/// What a session is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What the browser signs next.
    #[serde(rename = "n")]
    pub(super) challenge: String,
    /// Whether that is the offer of a login, to register a key. What a renewal is asked to sign registers none.
    #[serde(rename = "r", default)]
    is_offered: bool,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(super) bound: Option<Bound>,
}

/// A cookie, and the challenge after it: what a registration or a renewal hands out.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) digest: String,
    pub(super) challenge: String,
    pub(super) until: Timestamp,
}

/// What a request shows of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing is bound yet.
    Unbound,
    /// A key is registered, and no request has had its cookie yet.
    Registered,
    /// It has the cookie; the digest of that, if no request had it before.
    Bound { news: Option<String> },
    /// It has not.
    Missing,
}

impl State {
    /// Unreadable is not unbound.
    pub(super) fn decode(binding: &[u8]) -> Option<Self> {
        let (&(PROTOCOL | PENDING), json) = binding.split_first()? else { return None };
        serde_json::from_slice(json).ok()
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = vec![if self.is_confirmed() { PROTOCOL } else { PENDING }];
        // Strings, numbers and a flag are JSON, and memory takes any number of bytes.
        let _ = serde_json::to_writer(&mut bytes, self);
        bytes.into()
    }

    /// A registration is offered, unless a key is in use. One that is registered stays until another is.
    pub(super) fn offered(before: Option<&Self>, challenge: &str) -> Self {
        match before {
            Some(before) if before.is_confirmed() => before.clone(),
            Some(_) | None => {
                let bound = before.and_then(|before| before.bound.clone());
                Self { challenge: challenge.to_owned(), is_offered: true, bound }
            }
        }
    }

    /// A key is registered that has signed `challenge`. `None` if that is not what was offered, or another key is in use.
    pub(super) fn registered(&self, challenge: &str, jwk: &str, fresh: &Fresh) -> Option<Self> {
        if self.challenge != challenge || !self.is_offered || self.is_confirmed() {
            return None;
        }
        let bound = Bound { jwk: jwk.to_owned(), cookie: fresh.accepted(), previous: None, is_confirmed: false };
        Some(Self { challenge: fresh.challenge.clone(), is_offered: false, bound: Some(bound) })
    }

    /// The cookie is renewed by who has signed `challenge`, which shows that the registration was answered. `None` if that is not
    /// the one to sign now: another tab was faster, or an answer was lost.
    pub(super) fn renewed(&self, challenge: &str, fresh: &Fresh) -> Option<Self> {
        let bound = self.bound.as_ref().filter(|_| self.challenge == challenge)?;
        let previous = Some(bound.cookie.clone());
        let bound = Bound { cookie: fresh.accepted(), previous, is_confirmed: true, ..bound.clone() };
        Some(Self { challenge: fresh.challenge.clone(), is_offered: false, bound: Some(bound) })
    }

    /// A request has shown the cookie with this digest: from now on each must show one. `None` if that is not of the key that is
    /// registered now.
    pub(super) fn confirmed(&self, digest: &str) -> Option<Self> {
        let bound = self.bound.as_ref().filter(|bound| bound.accepted().any(|accepted| accepted.digest == digest))?;
        let bound = Some(Bound { is_confirmed: true, ..bound.clone() });
        Some(Self { challenge: self.challenge.clone(), is_offered: false, bound })
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.is_confirmed)
    }

    /// Whether a cookie with this digest was handed out last.
    pub(super) fn has_handed_out(&self, digest: &str) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.cookie.digest == digest)
    }

    /// What a request shows that has these values of the bound cookie.
    pub(super) fn shown<'v>(&self, values: impl IntoIterator<Item = &'v [u8]>, now: Timestamp) -> Shown {
        let Some(bound) = &self.bound else { return Shown::Unbound };
        let is_accepted = |digest: &String| {
            bound.accepted().any(|accepted| now.as_millis() < accepted.until && accepted.digest == *digest)
        };
        match values.into_iter().map(digest).find(is_accepted) {
            Some(_) if bound.is_confirmed => Shown::Bound { news: None },
            Some(digest) => Shown::Bound { news: Some(digest) },
            None if bound.is_confirmed => Shown::Missing,
            None => Shown::Registered,
        }
    }
}

impl Bound {
    fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        [Some(&self.cookie), self.previous.as_ref()].into_iter().flatten()
    }
}

impl Fresh {
    pub(super) fn new(cookie: &str, challenge: String, now: Timestamp, lifetime: Duration) -> Self {
        Self { digest: digest(cookie.as_bytes()), challenge, until: now + lifetime + LEEWAY }
    }

    fn accepted(&self) -> Accepted {
        Accepted { digest: self.digest.clone(), until: self.until.as_millis() }
    }
}

/// What is kept of a cookie: 128 random bits need no key. Where two digests differ tells nothing of a value.
fn digest(cookie: &[u8]) -> String {
    encoding::encode(&Sha256::digest(cookie)[..16])
}
