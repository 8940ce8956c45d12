//! What happens while statements hang: the most backends of ours, whether another application can connect, loads and
//! logins that succeeded, sessions that nobody has the token of.
//!
//! `cargo bench -p session-postgres --bench hang -- [--seconds NUMBER]`
#![allow(clippy::unwrap_used, reason = "the scene is that of a test")]

#[path = "../tests/postgres/scene.rs"]
mod scene;

use std::time::Duration;

use scene::{Hang, run};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs this too, without the flag.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = arguments.iter().skip_while(|argument| *argument != "--seconds").nth(1);
    let seconds = seconds.map_or(30, |seconds| seconds.parse().unwrap());
    for hang in [Hang::LockedTable, Hang::DeadStandby, Hang::Network, Hang::ImpatientClients] {
        println!("{}", run(hang, Duration::from_secs(seconds)).await);
    }
}
