//! Start and end of the process, and its options.

use std::time::Duration;

use serde_json::json;

use crate::support::{Demo, assert_refused};

#[tokio::test]
async fn signals_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let demo = Demo::start(&[]);
        demo.logged_in("alice").await;
        demo.signal(signal);
        demo.wait();
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
    demo.wait();
}

#[tokio::test]
async fn invalid_options_are_refused() {
    for (options, message) in [
        (&["--idle", "9h"][..], "exceeds their absolute timeout"),
        (&["--limit", "0"], "session limit must be between"),
        (&["--limit", "101"], "session limit must be between"),
        (&["--max-visitors", "0"], "the number of visitors must be between"),
        (&["--absolute", "9999d"], "400 days"),
        (&["--idle", "soon"], "--idle"),
        (&["--policy", "none"], "--policy"),
        (&["--on-limit", "shrug"], "--on-limit"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--namespace", ""], "--namespace"),
        (&["--namespace", "Shop"], "a namespace has 1 to 63 characters"),
        (&["--namespace", "public"], "a namespace has 1 to 63 characters"),
        (&["--embedded-by", "portal.example.org"], "a trusted origin is written as scheme://host"),
        (&["--embedded-by", "https://*.example.org"], "a trusted origin is written as scheme://host"),
        (&["--embedded-by", "app://portal"], "a trusted origin is written as scheme://host"),
        (&["--embedded-by", "https://a.example/; script-src *"], "a trusted origin is written as scheme://host"),
        (&["--embedded-by", "https://a.example/x"], "an origin has no user, path or query"),
        (&["--embedded-by", "https://a.example", "--insecure-cookies"], "cannot be used with"),
        (&["--keys", "/nonexistent"], "nothing is signed with --mode cookie"),
        (&["--mode", "hybrid", "--idle", "5s"], "shorter than the idle timeout"),
        (&["--mode", "client", "--idle", "60d", "--absolute", "60d"], "verify_for is shorter than the time for which"),
    ] {
        assert_refused(options, &[message]).await;
    }
}

#[tokio::test]
async fn an_address_in_use_is_reported() {
    let demo = Demo::start(&[]);
    assert_refused(&["--listen", demo.base.strip_prefix("http://").unwrap()], &["cannot listen on 127.0.0.1:"]).await;
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
