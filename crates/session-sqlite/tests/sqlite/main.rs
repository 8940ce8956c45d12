//! What the suite does not cover: the file itself, and how it is shared.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backup;
mod common;
mod files;
mod full;
mod moved;
mod runtimes;
mod space;
mod table;
