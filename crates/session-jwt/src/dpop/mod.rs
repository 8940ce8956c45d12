//! Proofs of possession (DPoP, RFC 9449): a token is good only together with a signature of the request by the key that it
//! is bound to.

pub(crate) mod key;
mod nonces;
pub(crate) mod policy;
pub(crate) mod proof;
pub(crate) mod replays;
mod target;
