//! Start and end of the process, and its options.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::support::Demo;

#[tokio::test]
async fn signals_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let demo = Demo::start(&[]);
        demo.logged_in("alice").await;
        demo.signal(signal);
        assert_eq!(demo.wait().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn requests_in_flight_are_finished_first() {
    let demo = Demo::start(&[]);
    let browser = demo.browser();
    browser.put("/api/data/a", &json!(1)).await.assert(204);
    let slow = browser.send("PUT", "/api/data/b?delay_ms=1000", &[], "2");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        demo.signal("TERM");
    };
    tokio::join!(slow, stop).0.assert(204);
    assert_eq!(demo.wait().code(), Some(0));
}

fn run(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_session-demo")).args(options).output().unwrap()
}

#[tokio::test]
async fn invalid_options_are_refused() {
    for (options, message) in [
        (&["--idle", "9h"][..], "exceeds their absolute timeout"),
        (&["--limit", "0"], "session limit must be between"),
        (&["--limit", "101"], "session limit must be between"),
        (&["--absolute", "9999d"], "400 days"),
        (&["--idle", "soon"], "--idle"),
        (&["--store", "paper"], "--store"),
        (&["--policy", "none"], "--policy"),
        (&["--on-limit", "shrug"], "--on-limit"),
        (&["--listen", "nowhere"], "--listen"),
    ] {
        let output = run(options);
        assert!(!output.status.success(), "{options:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{options:?}: {output:?}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_reported() {
    let demo = Demo::start(&[]);
    let output = run(&["--listen", demo.base.strip_prefix("http://").unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on 127.0.0.1:"), "{output:?}");
}

#[tokio::test]
async fn presets_differ() {
    let deadline = async |options: &[&str], of: &str, from: &str| {
        let demo = Demo::start(options);
        let me = demo.logged_in("alice").await.get("/api/me").await.json();
        (me[of].as_i64().unwrap() - me[from].as_i64().unwrap()) / 60_000
    };
    let idle = async |options: &[&str]| deadline(options, "idle_deadline", "last_seen").await;
    assert_eq!(idle(&[]).await, 30);
    assert_eq!(idle(&["--policy", "standard"]).await, 30);
    assert_eq!(idle(&["--policy", "high-assurance"]).await, 10);
    assert_eq!(idle(&["--policy", "consumer"]).await, 7 * 24 * 60);
    assert_eq!(idle(&["--policy", "consumer", "--idle", "5m"]).await, 5);
    assert_eq!(deadline(&["--absolute", "45m"], "absolute_deadline", "created_at").await, 45);
}

#[tokio::test]
async fn sessions_end_when_idle() {
    let demo = Demo::start(&["--idle", "2s"]);
    let (alice, anonymous) = (demo.logged_in("alice").await, demo.browser());
    anonymous.put("/api/data/a", &json!(1)).await.assert(204);
    assert_eq!(alice.user().await.as_deref(), Some("alice"));
    // The demo runs on the clock of the system.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(alice.user().await, None);
    anonymous.get("/api/data/a").await.assert_error(404, "not_found");
}
