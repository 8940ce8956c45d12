//! What each command does, on each kind of store.

use std::collections::BTreeSet;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::{Clock as _, SessionId, SystemClock, UserId};
use session_testbed::records::user;

use crate::bed::{Bed, DAY, On};

/// Runs each of these tests on every kind of store.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        on_every_store!(@ sqlite Sqlite $($test)+);
        on_every_store!(@ redis Redis $($test)+);
        on_every_store!(@ sentinel Sentinel $($test)+);
        on_every_store!(@ cluster Cluster $($test)+);
        on_every_store!(@ postgres Postgres $($test)+);
    };
    (@ $module:ident $on:ident $($test:ident)+) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(crate::bed::On::$on).await; })+
        }
    };
}

on_every_store![
    a_list_has_what_matches,
    a_session_is_shown_without_its_values,
    sessions_are_counted,
    a_dry_run_changes_nothing,
    a_filter_ends_what_matches_and_nothing_else,
    several_sessions_end_only_if_that_is_meant,
    a_user_and_an_id_end_what_they_name,
    what_has_expired_is_swept,
    a_check_says_what_there_is,
];

fn set(ids: &[SessionId]) -> BTreeSet<SessionId> {
    ids.iter().copied().collect()
}

async fn a_list_has_what_matches(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let [browser, idle, bot] = filled.visitors;
    assert_eq!(bed.shown(&["list"]).await, filled.all());
    assert_eq!(bed.shown(&["list", "--user", "alice"]).await, set(&filled.alice));
    assert_eq!(bed.shown(&["list", "--users"]).await, filled.without(&filled.visitors));
    assert_eq!(bed.shown(&["list", "--visitors"]).await, set(&filled.visitors));
    assert_eq!(bed.shown(&["list", "--kind", "refresh"]).await, set(&filled.alice[2..]));
    assert_eq!(bed.shown(&["list", "--user", "alice", "--kind", "cookie"]).await, set(&filled.alice[..2]));
    assert_eq!(bed.shown(&["list", "--seen-before", "30d"]).await, set(&[filled.bob, idle]));
    assert_eq!(bed.shown(&["list", "--idle-since", "45d"]).await, set(&[]));
    assert_eq!(bed.shown(&["list", "--created-before", "45d", "--visitors"]).await, set(&[idle]));
    assert_eq!(bed.shown(&["list", "--user-agent", "badbot"]).await, set(&[bot]));
    assert_eq!(bed.shown(&["list", "--user", "carol"]).await, set(&[]));
    assert_eq!(bed.json(&["list", "--limit", "2"]).await.len(), 2);

    let bob = &bed.json(&["list", "--user", "bob"]).await[0];
    assert_eq!((bob["user"].as_str(), bob["kind"].as_str()), (Some("bob"), Some("cookie")));
    assert_eq!(bob["proofs"][0]["methods"][0], "pwd");
    let table = bed.done(&["list"]).await;
    assert!(table.starts_with("ID "), "{table}");
    assert_eq!(table.lines().count(), 8, "{table}");
    for id in [filled.bob, browser, bot] {
        assert!(table.contains(&id.to_string()), "{table}");
    }
}

async fn a_session_is_shown_without_its_values(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let id = filled.alice[0].to_string();
    let shown = &bed.json(&["show", &id]).await[0];
    assert_eq!((shown["id"].as_str(), shown["user"].as_str()), (Some(id.as_str()), Some("alice")));
    assert_eq!(shown["values"], serde_json::json!([{ "name": "cart", "bytes": 12 }]));
    assert_eq!(shown["is_expired"], false);
    let text = bed.done(&["show", &id]).await;
    assert!(text.contains("alice") && text.contains("cart: 12 bytes"), "{text}");
}

async fn sessions_are_counted(on: On) {
    let bed = Bed::open(on).await;
    bed.fill().await;
    let count = &bed.json(&["count"]).await[0];
    assert_eq!(count["namespace"], bed.namespace.as_str());
    // Where there are more keys than a few, those of other tests among them, it is an estimate.
    if count["is_exact"] == true {
        assert_eq!(count["sessions"], 7);
    }
    let kinds = &bed.json(&["count", "--by", "kind"]).await[0];
    assert_eq!(kinds["sessions"], 7);
    let expected = serde_json::json!({
        "users_with_cookie": 3, "users_with_refresh_token": 1, "visitors_with_cookie": 3,
        "visitors_with_refresh_token": 0, "unreadable": 0,
    });
    assert_eq!(kinds["by_kind"], expected);
}

async fn a_dry_run_changes_nothing(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let before = bed.snapshot().await;
    let id = filled.bob.to_string();
    for (args, would_end) in [
        (vec!["--all"], filled.all()),
        (vec!["--user", "alice"], set(&filled.alice)),
        (vec!["--id", &id], set(&[filled.bob])),
        (vec!["--visitors", "--idle-since", "30d"], set(&filled.visitors[1..2])),
    ] {
        let args = [&["revoke", "--dry-run"], &args[..]].concat();
        assert_eq!(bed.shown(&args).await, would_end, "{args:?}");
        let text = bed.done(&[&args[..], &["--yes"]].concat()).await;
        assert!(text.contains(&format!("{} sessions would end", would_end.len())), "{text}");
    }
    bed.done(&["sweep", "--dry-run"]).await;
    assert_eq!(bed.snapshot().await, before);
}

async fn a_filter_ends_what_matches_and_nothing_else(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let before = bed.snapshot().await;
    let [_, idle, bot] = filled.visitors;
    // Of the one session that matches, nobody asks.
    assert_eq!(bed.json(&["revoke", "--user-agent", "BADBOT"]).await, [serde_json::json!({ "revoked": 1 })]);
    assert_eq!(bed.ids().await, filled.without(&[bot]));
    bed.done(&["revoke", "--idle-since", "30d", "--yes"]).await;
    assert_eq!(bed.ids().await, filled.without(&[bot, idle, filled.bob]));
    bed.done(&["revoke", "--user", "alice", "--kind", "refresh", "--yes"]).await;
    let mut left = bed.snapshot().await;
    assert_eq!(
        left.keys().copied().collect::<BTreeSet<_>>(),
        set(&[filled.alice[0], filled.alice[1], filled.visitors[0]])
    );
    // And the others are as they were.
    left.retain(|id, record| before[id] != *record);
    assert!(left.is_empty());
    assert_eq!(bed.json(&["revoke", "--idle-since", "30d"]).await, [serde_json::json!({ "revoked": 0 })]);
    bed.done(&["revoke", "--all", "--yes"]).await;
    assert_eq!(bed.ids().await, set(&[]));
}

async fn several_sessions_end_only_if_that_is_meant(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let before = bed.snapshot().await;
    let ids = filled.alice.map(|id| id.to_string());
    for args in [
        vec!["revoke", "--visitors"],
        vec!["revoke", "--user", "alice"],
        vec!["revoke", "--all"],
        vec!["revoke", "--id", &ids[0], "--id", &ids[1]],
        // What to end is not said.
        vec!["revoke"],
        vec!["revoke", "--yes"],
    ] {
        let run = bed.run(&args).await;
        assert_eq!(run.code, 2, "{args:?}: {}{}", run.out, run.err);
    }
    let asked = bed.run(&["revoke", "--visitors"]).await.err;
    assert!(asked.contains("3 sessions would end: add --yes"), "{asked}");
    assert_eq!(bed.snapshot().await, before);
}

async fn a_user_and_an_id_end_what_they_name(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    bed.done(&["revoke", "--user", "alice", "--yes"]).await;
    assert_eq!(bed.ids().await, filled.without(&filled.alice));
    let [visitor, ..] = filled.visitors;
    bed.done(&["revoke", "--id", &visitor.to_string()]).await;
    assert_eq!(bed.ids().await, filled.without(&[&filled.alice[..], &[visitor]].concat()));
    let again = bed.run(&["revoke", "--id", &visitor.to_string()]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("no session of `") && !again.err.contains("no session at all"), "{}", again.err);
    // One of two is gone; the other ends.
    let (gone, there) = (visitor.to_string(), filled.bob.to_string());
    let some = bed.run(&["revoke", "--yes", "--id", &gone, "--id", &there]).await;
    assert_eq!(some.code, 1);
    assert!(some.err.contains("1 of 2 ids"), "{}", some.err);
    assert_eq!(bed.ids().await, set(&filled.visitors[1..]));
}

async fn what_has_expired_is_swept(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let before = bed.snapshot().await;
    let long_ago = SystemClock.now() - 10 * DAY;
    let users: Vec<Option<UserId>> = vec![None, Some(user("alice")), Some(user("carol"))];
    for user in &users {
        let builder = RecordBuilder::new(long_ago).timeouts(Duration::from_secs(60), DAY);
        let builder = user.iter().fold(builder, RecordBuilder::of);
        bed.store_at(&builder.build().unwrap(), long_ago).await;
    }
    let expected = if on.keeps_expired() { 3 } else { 0 };
    assert_eq!(bed.json(&["sweep", "--dry-run"]).await[0]["would_delete"], expected);
    assert_eq!(bed.shown(&["list"]).await, filled.all(), "what has expired is no session");
    assert_eq!(bed.json(&["sweep"]).await[0]["deleted"], expected);
    assert_eq!(bed.json(&["sweep", "--dry-run"]).await[0]["would_delete"], 0);
    assert_eq!(bed.snapshot().await, before);
}

async fn a_check_says_what_there_is(on: On) {
    let bed = Bed::open(on).await;
    bed.fill().await;
    let checked = &bed.json(&["check"]).await[0];
    let (software, schema) = match on {
        On::Sqlite => ("SQLite", "current"),
        On::Redis | On::Sentinel | On::Cluster => ("Redis", "not needed"),
        On::Postgres => ("PostgreSQL", "current"),
    };
    assert_eq!(
        (checked["namespace"].as_str(), checked["schema"].as_str()),
        (Some(bed.namespace.as_str()), Some(schema))
    );
    let servers = checked["servers"].as_array().unwrap();
    assert_eq!(servers.len(), if on == On::Cluster { 3 } else { 1 }, "{checked}");
    for server in servers {
        assert!([software, "Valkey"].contains(&server["software"].as_str().unwrap()), "{checked}");
        assert!(server["version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()), "{checked}");
    }
    let [p50, p99] = ["round_trip_p50_us", "round_trip_p99_us"].map(|name| checked[name].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99, "{checked}");
    assert_eq!(checked["expired"].as_u64(), on.keeps_expired().then_some(0));
    assert_eq!(checked["warnings"], serde_json::json!([]), "{checked}");
    let text = bed.done(&["check"]).await;
    assert!(text.contains(software) || text.contains("Valkey"), "{text}");
}
