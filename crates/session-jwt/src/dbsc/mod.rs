//! Device Bound Session Credentials, as the W3C draft of 2026-02-17 has them: a cookie that is good together with a second one,
//! which lives for minutes and is renewed by a signature of a key that never leaves the device. Experimental: the draft changes,
//! and this with it. Feature `experimental-dbsc`.

pub(crate) mod binding;
mod header;
mod response;
mod state;
