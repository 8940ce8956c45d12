//! Proofs of possession (DPoP, RFC 9449), at the items that adapters are made of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod attack;
mod proofs;
mod thief;
mod vectors;

use async_trait::async_trait;
use session_core::adapter::RequestHead;
use session_core::{RequestContext, SessionSummary, UserId};
use session_jwt::{AccountStatus, Accounts, AccountsError};

use crate::common::{Forge, NOW, encode};

const BASE: &str = "https://api.example";

/// Accounts that are all in order.
#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Accounts for Everybody {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
struct Head {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
}

impl Head {
    fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn authority(&self) -> Option<&[u8]> {
        None
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_bytes())
    }

    fn describe(&self, _: &mut RequestContext) {}
}

/// A proof as text, member by member, so that a test can write what no client does.
#[derive(Clone)]
struct Proof {
    header: Vec<(String, String)>,
    claims: Vec<(String, String)>,
}

impl Proof {
    /// One that is accepted at [`NOW`], by `forge`.
    fn new(forge: &Forge, method: &str, uri: &str, jti: &str) -> Self {
        let header = [("typ", "\"dpop+jwt\"".to_owned()), ("alg", quoted(forge.alg())), ("jwk", jwk(forge))];
        let claims = [("jti", quoted(jti)), ("htm", quoted(method)), ("htu", quoted(uri)), ("iat", NOW.to_string())];
        let owned = |members: &[(&str, String)]| {
            members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Vec<_>>()
        };
        Self { header: owned(&header), claims: owned(&claims) }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    fn claim(mut self, name: &str, value: impl Into<String>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.header.retain(|(other, _)| other != name);
        self.claims.retain(|(other, _)| other != name);
        self
    }

    fn also_header(mut self, name: &str, value: &str) -> Self {
        self.header.push((name.to_owned(), value.to_owned()));
        self
    }

    fn also_claim(mut self, name: &str, value: &str) -> Self {
        self.claims.push((name.to_owned(), value.to_owned()));
        self
    }

    /// About this access token.
    fn about(self, token: &str) -> Self {
        use sha2::Digest as _;
        self.claim("ath", quoted(&encode(sha2::Sha256::digest(token))))
    }

    fn signed(&self, forge: &Forge) -> String {
        forge.token(json(&self.header), json(&self.claims))
    }
}

fn set(members: &mut Vec<(String, String)>, name: &str, value: String) {
    members.retain(|(other, _)| other != name);
    members.push((name.to_owned(), value));
}

fn json(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The public half, as a client writes it.
fn jwk(forge: &Forge) -> String {
    match forge {
        Forge::Hs256(bytes) => format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(bytes)),
        Forge::EdDsa(key) => {
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, encode(key.verifying_key().as_bytes()))
        }
        Forge::Es256(key) => {
            let point = key.verifying_key().to_sec1_point(false);
            let (x, y) = point.as_bytes()[1..].split_at(32);
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, encode(x), encode(y))
        }
    }
}
