//! Other libraries for axum, a file each. actix-session is in [`actix`](crate::actix).

pub mod axum_session;
pub mod ruts;
pub mod tower_sessions;
