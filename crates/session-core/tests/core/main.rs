//! What session-core promises, through its public items. One program: each is linked for itself.

mod adapter;
mod assurance;
mod binding;
mod codec;
mod constant_time;
mod cookie;
mod copies;
mod correlation;
mod credentials;
mod events;
mod fails_closed;
mod feed_queue;
mod grants;
mod handle;
mod login_page;
mod manager;
mod opaque;
mod ping;
#[path = "../plain/mod.rs"]
mod plain;
mod policy;
mod provider_sessions;
mod replays;
mod responses;
mod revoke;
mod several;
mod skew;
mod store;
mod sweep;
mod testing;
mod tickets;
mod transport;
mod user_id;
mod values;
mod visitors;
