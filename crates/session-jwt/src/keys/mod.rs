//! Keys: what signs, what verifies, and how both are rotated, stored and published. Knows nothing of tokens.

pub(crate) mod error;
pub(crate) mod external;
mod jwk;
pub(crate) mod jwks;
pub(crate) mod ring;
pub(crate) mod rotation;
mod rsa;
mod secret;
pub(crate) mod signing_key;
mod stored_ring;
pub(crate) mod verifying_key;
