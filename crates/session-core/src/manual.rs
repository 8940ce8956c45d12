//! The manual: what the library promises, why its defaults are what they are, and how to extend it.
//!
//! - [`lifecycle`]: what a session goes through, what each step costs, what a handler can rely on
//! - [`defaults`]: each default, with its reason and its source
//! - [`kinds`]: a cookie, access and refresh tokens, or everything in the cookie
//! - [`possession`]: tokens that are bound to a key of the client (DPoP), sessions that are bound to a device
//! - [`browsers`]: which cookie, two cookies of one name, proxies, sockets
//! - [`threats`]: what is defended against, how, and what is not
//! - [`stores`]: choosing a backend, what it costs, how to operate it
//! - [`moving`]: from one store to another, while people use the site
//! - [`cache`]: reads without a round trip, what they may miss, and for how long
//! - [`observing`]: metrics, spans and log lines, and what to be woken by
//! - [`operating`]: counting, listing and ending sessions from a shell
//! - [`sizing`]: memory, servers, and what to choose at which size
//! - [`backends`]: writing a storage backend
//! - [`guides`]: coming from another library

#[doc = include_str!("manual/lifecycle.md")]
pub mod lifecycle {}

#[doc = include_str!("manual/defaults.md")]
pub mod defaults {}

#[doc = include_str!("manual/kinds.md")]
pub mod kinds {}

#[doc = include_str!("manual/possession.md")]
pub mod possession {}

#[doc = include_str!("manual/browsers.md")]
pub mod browsers {}

#[doc = include_str!("manual/threats.md")]
pub mod threats {}

#[doc = include_str!("manual/stores.md")]
pub mod stores {}

#[doc = include_str!("manual/moving.md")]
pub mod moving {}

#[doc = include_str!("manual/cache.md")]
pub mod cache {}

#[doc = include_str!("manual/observing.md")]
pub mod observing {}
#[doc = include_str!("manual/operating.md")]
pub mod operating {}

#[doc = include_str!("manual/sizing.md")]
pub mod sizing {}

#[doc = include_str!("manual/backends.md")]
pub mod backends {}

#[doc = include_str!("manual/guides/index.md")]
pub mod guides {
    #[doc = include_str!("manual/guides/tower_sessions.md")]
    pub mod tower_sessions {}

    #[doc = include_str!("manual/guides/axum_session.md")]
    pub mod axum_session {}

    #[doc = include_str!("manual/guides/actix_session.md")]
    pub mod actix_session {}

    #[doc = include_str!("manual/guides/express_session.md")]
    pub mod express_session {}
}
