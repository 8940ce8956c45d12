//! Keys that are fetched: a verifier whose keys come from the URL of another issuer's JWKS document.

mod cache_control;
pub(crate) mod fetch;
mod flight;
pub(crate) mod limits;
pub(crate) mod verifier;
