//! SQLite session store for `session-core`, through [sqlx](https://docs.rs/sqlx).

mod builder;
mod link;
mod operation;
mod row;
mod statements;
mod store;

pub use self::builder::SqliteStoreBuilder;
pub use self::store::SqliteStore;
