//! Other people's clients and gateways with our tokens.
//!
//! The clients are scripts in `tests/interop`; the gateway is Apache with mod_auth_openidc.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod clients;
mod dpop;
mod gateway;
mod site;
