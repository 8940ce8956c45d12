//! Tokens: the signing sequence and the gate, which access tokens and client-side sessions share; access tokens and their
//! claims; logout tokens of OpenID providers.

pub(crate) mod access_tokens;
pub(crate) mod account_claims;
mod as_written;
pub(crate) mod claims;
pub(crate) mod error;
pub(crate) mod gate;
pub(crate) mod header;
pub(crate) mod issuer_claims;
pub(crate) mod logout_claims;
pub(crate) mod members;
pub(crate) mod payload;
pub(crate) mod policy;
pub(crate) mod signer;
pub(crate) mod verifier;
pub(crate) mod verifying_keys;
