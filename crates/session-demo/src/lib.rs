//! A site with login, several devices, revocation and logout everywhere, to try the session library.
//!
//! `cargo run -p session-demo`, then open <http://127.0.0.1:3000>. The pages work without JavaScript; `/api` offers the
//! same as JSON. What to read before building a site of your own:
//!
//! - [`build_router`]: where the session layer goes, once with pages and once with JSON for its rejections;
//! - `actions.rs`: what a site does with sessions, one function each;
//! - `api/` and `pages/`: handlers, which read and write a session like a map;
//! - [`args`]: how options become a policy;
//! - [`store`]: how a URL becomes a store;
//! - [`sessions`]: the three kinds of sessions: cookies, access and refresh tokens, or the whole session in the cookie;
//! - `live.rs`: a WebSocket and a stream of events, which go on after their response and end with their session;
//! - [`server`]: how long a client may take, and how much it may send;
//! - [`bound`]: sessions that are bound to the device they began on;
//! - `counts.rs`: how many sessions there are, over time and by kind, for an administrator;
//! - [`history`]: what happened to a session, for a picture of its life;
//! - [`metrics`]: what the site counts, for Prometheus;
//! - [`keys`]: a key ring in a file that several processes share.
//!
//! Not shown, because they are not about sessions: hashing passwords, and limiting the rate of login attempts. A real
//! site needs both.

pub mod accounts;
mod actions;
mod api;
mod app;
pub mod args;
pub mod bound;
mod caller;
mod counts;
pub mod history;
pub mod keys;
mod live;
pub mod metrics;
mod pages;
pub mod server;
pub mod sessions;
pub mod store;

pub use app::build_router;
