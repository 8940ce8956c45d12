//! OAuth's wire, on bytes and plain types: what adapters to HTTP frameworks put between their requests and a
//! [`TokenService`](crate::TokenService).

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod backchannel;
pub(crate) mod clients;
pub(crate) mod endpoint;
pub(crate) mod fields;
pub(crate) mod introspection;
pub(crate) mod metadata;
pub(crate) mod requirement;
pub(crate) mod source;
mod used_tokens;
