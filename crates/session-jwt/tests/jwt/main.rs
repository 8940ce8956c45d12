//! What session-jwt promises, through its public items. One program: each is linked for itself.

mod backchannel;
mod client_side;
#[path = "../common/mod.rs"]
mod common;
mod dpop;
mod encrypted;
mod external;
mod foreign;
mod formats;
mod headers;
mod jwks;
mod keys;
mod logout;
mod malicious;
mod mutations;
mod names;
mod rotation;
mod rsa;
mod time;
mod token_service;
