//! Tabs of one browser, which share the refresh cookie and tell each other nothing.

use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use session_core::{EventKind, Termination};
use session_testbed::browser::Context;

use super::{Options, Server, Tab, cookie};
use crate::bed::bed;

const MINUTE: Duration = Duration::from_secs(60);
const REFRESH: &str = "'/api/token/refresh'";
const LOGIN: &str = "'/api/token', json(alice)";

/// What a tab does when its access token expires: it refreshes, beside the other tabs; if it is refused, once more, when those
/// have their answers and so the browser the newest cookie. It uses the new token. Resolves to the status of the last refresh,
/// the number of refreshes, and the answer to the use of the token.
const TURN: &str = "(async () => {
    const refresh = () => call('/api/token/refresh');
    await moment(10);
    let refreshes = 1;
    let [status, body] = await navigator.locks.request('refresh', { mode: 'shared' }, refresh);
    if (status === 400) {
        refreshes = 2;
        [status, body] = await navigator.locks.request('refresh', refresh);
    }
    return [status, refreshes, await call('/api/me', bearer(body.access_token))];
})()";

/// A person with some tabs of an application, signed in.
async fn signed_in(name: &str, tabs: usize) -> (Server, Context, Vec<Tab>) {
    let server = Server::start(name, Options::COOKIE).await;
    let person = bed().await.person().await;
    let tabs = join_all((0..tabs).map(|_| Tab::open(&person, &server.origin))).await;
    let (status, body) = tabs[0].call(LOGIN).await;
    assert_eq!((status, &body["refresh_token"]), (200, &Value::Null));
    server.events.take();
    (server, person, tabs)
}

fn count(events: &[EventKind], kind: &EventKind) -> usize {
    events.iter().filter(|other| *other == kind).count()
}

/// Each round is the end of an access token of five minutes, in both tabs at about the same moment.
#[tokio::test]
async fn two_tabs_that_refresh_at_once_each_time_stay_signed_in() {
    const ROUNDS: usize = 40;
    let (server, person, tabs) = signed_in("two-tabs", 2).await;
    let mut repeated = 0;
    for round in 1..=ROUNDS {
        server.clock.advance(5 * MINUTE);
        for turn in join_all(tabs.iter().map(|tab| tab.run(TURN))).await {
            assert_eq!((&turn[0], &turn[2]), (&200.into(), &json!([200, "alice"])), "round {round}: {turn}");
            repeated += usize::from(turn[1] == 2);
        }
    }
    let events = server.events.take();
    let [renewed, replayed, refused] =
        [EventKind::Renewed, EventKind::Replayed, EventKind::ReplayRefused].map(|kind| count(&events, &kind));
    println!("{ROUNDS} rounds: {renewed} renewed, {replayed} replayed, {refused} refused, {repeated} repeated");
    assert_eq!(renewed + replayed + refused, events.len(), "no alarm, and no end: {events:?}");
    assert_eq!(refused, repeated, "who is refused is so once");
    assert!(replayed > 0, "they did refresh at the same moment");
    assert_eq!(server.sessions().await, 1);
    cookie(&person).await;
    for tab in &tabs {
        assert_eq!(tab.run("document.cookie").await, "", "no script sees it");
    }
}

/// With one cookie: one of them rotates, all of them get its successor, and that is one replay, of twenty.
#[tokio::test]
async fn five_tabs_that_wake_up_together_get_the_same_successor() {
    let (server, person, tabs) = signed_in("five-tabs", 5).await;
    for round in 1..=20 {
        server.clock.advance(MINUTE);
        tabs.iter().for_each(|_| server.gate.keep_next());
        let release = async {
            for _ in &tabs {
                server.gate.kept().await;
            }
            tabs.iter().for_each(|_| server.gate.release());
        };
        let (answers, ()) = join(join_all(tabs.iter().map(|tab| tab.call(REFRESH))), release).await;
        for (tab, (status, body)) in tabs.iter().zip(answers) {
            assert_eq!(status, 200, "round {round}");
            let me = format!("'/api/me', bearer({})", body["access_token"]);
            assert_eq!(tab.call(&me).await, (200, "alice".into()), "round {round}");
        }
        let events = server.events.take();
        assert_eq!((count(&events, &EventKind::Renewed), count(&events, &EventKind::Replayed)), (1, 4));
        assert_eq!(events.len(), 5, "round {round}: {events:?}");
    }
    cookie(&person).await;
    assert_eq!(server.sessions().await, 1);
}

/// The tab that was second gets the successor too, twenty times. After that it is refused until the browser has the cookie of
/// the first, however often it asks; nothing ends.
#[tokio::test]
async fn beyond_the_budget_a_tab_is_refused_until_the_newer_cookie_is_there() {
    let (server, person, tabs) = signed_in("budget", 2).await;
    let [first, second] = &tabs[..] else { unreachable!() };
    for round in 1..=24 {
        server.clock.advance(MINUTE);
        server.gate.keep_next();
        let beside = async {
            server.gate.kept().await;
            let mut early = vec![second.call(REFRESH).await];
            if early[0].0 == 400 {
                early.push(second.call(REFRESH).await);
            }
            server.gate.release();
            early
        };
        let (answer, early) = join(first.call(REFRESH), beside).await;
        assert_eq!(answer.0, 200, "round {round}");
        let events = server.events.take();
        if round <= 20 {
            assert_eq!(early[0].0, 200, "round {round}");
            assert_eq!(events, [EventKind::Renewed, EventKind::Replayed], "round {round}");
        } else {
            for (status, body) in early {
                assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()), "round {round}");
            }
            assert_eq!(events, [EventKind::Renewed, EventKind::ReplayRefused, EventKind::ReplayRefused]);
            assert_eq!(second.call(REFRESH).await.0, 200, "round {round}: with the newer cookie, which stays");
            assert_eq!(server.events.take(), []);
        }
    }
    cookie(&person).await;
    assert_eq!(server.sessions().await, 1);
}

/// In the window it brings the cookie that is there: what was just replaced is not replaced again. One that comes after that
/// takes the browser back to a cookie that has been used up since; that is made good as long as its own window is open, and then
/// it is as if the answer to the latest refresh was lost. A lock, or a limit of time for each refresh, avoids it.
#[tokio::test]
async fn an_answer_that_comes_late_takes_the_browser_back_to_an_older_cookie() {
    for (name, between, wait, last) in [
        ("overtaken", 0, 9, None),
        ("overtaken-by-much", 11, 9, Some(EventKind::Replayed)),
        ("overtaken-for-good", 11, 11, Some(EventKind::RenewalRaced)),
    ] {
        let (server, person, tabs) = signed_in(name, 2).await;
        server.gate.keep_next();
        let beside = async {
            server.gate.kept().await;
            assert_eq!(tabs[1].call(REFRESH).await.0, 200);
            let older = cookie(&person).await.value;
            server.clock.advance(Duration::from_secs(between));
            assert_eq!(tabs[1].call(REFRESH).await.0, 200, "after a reload, say");
            assert_eq!(cookie(&person).await.value == older, between == 0, "{name}");
            server.gate.release();
            older
        };
        let (answer, older) = join(tabs[0].call(REFRESH), beside).await;
        assert_eq!(answer.0, 200);
        assert_eq!(cookie(&person).await.value, older, "the browser takes the one that came last");
        let events = server.events.take();
        assert_eq!(events[..2], [EventKind::Renewed, EventKind::Replayed], "{name}");
        assert_eq!(events[2..].len(), usize::from(between > 0), "{name}: {events:?}");

        server.clock.advance(Duration::from_secs(wait));
        let (status, _) = tabs[0].call(REFRESH).await;
        assert_eq!(status == 200, last != Some(EventKind::RenewalRaced), "{name}");
        assert_eq!(server.events.take(), Vec::from_iter(last), "{name}");
        if status == 200 {
            assert_eq!(tabs[1].run(TURN).await, json!([200, 1, [200, "alice"]]), "{name}");
        }
        assert_eq!(server.sessions().await, 1);
    }
}

/// No lock, no order: what a page does that was written for one tab. Each takes whatever cookie the browser has when it asks, and
/// asks once more a moment after it was refused.
#[tokio::test]
async fn five_tabs_without_a_lock_are_no_thieves() {
    let (server, person, tabs) = signed_in("five-without-a-lock", 5).await;
    let turn = "(async () => {
        await moment(10);
        let [status, body] = await call('/api/token/refresh');
        for (let more = 0; status === 400 && more < 5; more++) {
            await moment(200);
            [status, body] = await call('/api/token/refresh');
        }
        return [status, await call('/api/me', bearer(body.access_token))];
    })()";
    for round in 1..=40 {
        server.clock.advance(5 * MINUTE);
        for turn in join_all(tabs.iter().map(|tab| tab.run(turn))).await {
            assert_eq!(turn, json!([200, [200, "alice"]]), "round {round}: {:?}", server.events.take());
        }
    }
    let events = server.events.take();
    assert_eq!(count(&events, &EventKind::Renewed), 40, "one rotation a round: {events:?}");
    let others =
        [EventKind::Replayed, EventKind::ReplayRefused].map(|kind| count(&events, &kind)).iter().sum::<usize>();
    assert_eq!(events.len(), 40 + others, "no alarm, and no end: {events:?}");
    cookie(&person).await;
    assert_eq!(server.sessions().await, 1);
}

/// A refresh that was given up changes no cookie, should its answer come after all.
#[tokio::test]
async fn an_answer_to_a_refresh_that_was_given_up_takes_nothing_back() {
    let (server, person, tabs) = signed_in("given-up", 1).await;
    lose_an_answer(&server, &person, GivesUp::Aborted).await;
    assert_eq!(tabs[0].call(REFRESH).await.0, 200);
    assert_eq!(tabs[0].call(REFRESH).await.0, 200);
    let newest = cookie(&person).await.value;
    server.gate.release();
    assert_eq!(tabs[0].call("'/api/me', bearer('x')").await.0, 401, "a round trip later");
    assert_eq!(cookie(&person).await.value, newest);
    assert_eq!(server.events.take()[..2], [EventKind::Replayed, EventKind::InvalidAccessToken]);
}

/// One of them at a time: each has the cookie of the one before it, which stays.
#[tokio::test]
async fn tabs_that_take_a_lock_replay_nothing() {
    let (server, person, tabs) = signed_in("locks", 5).await;
    let turn = "(async () => {
        await moment(10);
        const [status, body] = await navigator.locks.request('refresh', () => call('/api/token/refresh'));
        return [status, await call('/api/me', bearer(body.access_token))];
    })()";
    for round in 1..=40 {
        server.clock.advance(5 * MINUTE);
        for turn in join_all(tabs.iter().map(|tab| tab.run(turn))).await {
            assert_eq!(turn, json!([200, [200, "alice"]]), "round {round}");
        }
    }
    let events = server.events.take();
    assert_eq!((count(&events, &EventKind::Renewed), events.len()), (40, 40), "{events:?}");
    cookie(&person).await;
    assert_eq!(server.sessions().await, 1);
}

/// How a page gives up a refresh whose answer is under way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum GivesUp {
    Closed,
    Reloaded,
    Aborted,
}

/// A tab whose refresh is done, and which gives up before it has the answer.
async fn lose_an_answer(server: &Server, person: &Context, how: GivesUp) {
    let tab = Tab::open(person, &server.origin).await;
    server.gate.keep_next();
    let script = "globalThis.stop = new AbortController(); \
                  globalThis.gone = call('/api/token/refresh', { signal: stop.signal }); true";
    tab.run(script).await;
    server.gate.kept().await;
    match how {
        GivesUp::Closed => tab.0.close().await.unwrap(),
        GivesUp::Reloaded => tab.load(&server.origin).await,
        GivesUp::Aborted => assert_eq!(tab.run("(stop.abort(), gone)").await[0], 0),
    }
    assert_eq!(server.events.take(), [EventKind::Renewed]);
}

#[tokio::test]
async fn a_tab_that_is_closed_while_it_refreshes_ends_nothing() {
    let (server, person, tabs) = signed_in("closed", 1).await;
    for how in [GivesUp::Closed, GivesUp::Reloaded, GivesUp::Aborted] {
        server.clock.advance(5 * MINUTE);
        let before = cookie(&person).await.value;
        lose_an_answer(&server, &person, how).await;
        assert_eq!(cookie(&person).await.value, before, "{how:?}: the browser has the one that was used up");

        server.clock.advance(Duration::from_secs(9));
        assert_eq!(tabs[0].call(REFRESH).await.0, 200, "{how:?}");
        assert_ne!(cookie(&person).await.value, before);
        assert_eq!(server.events.take(), [EventKind::Replayed], "{how:?}");
        let turn = tabs[0].run(TURN).await;
        assert_eq!(turn, json!([200, 1, [200, "alice"]]), "{how:?}");
        assert_eq!(server.events.take(), [], "{how:?}");
    }
    assert_eq!(server.sessions().await, 1);
}

/// Nobody has the successor then. The login that follows takes the place of the session, whose cookie is still there.
#[tokio::test]
async fn after_the_window_a_lost_answer_costs_a_login_and_leaves_no_session_behind() {
    for (name, wait, event) in [("late", 11, EventKind::RenewalRaced), ("very-late", 61, EventKind::TokenReuse)] {
        let (server, person, tabs) = signed_in(name, 1).await;
        lose_an_answer(&server, &person, GivesUp::Closed).await;
        server.clock.advance(Duration::from_secs(wait));
        let (status, body) = tabs[0].call(REFRESH).await;
        assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()), "{name}");
        let events = server.events.take();
        assert!(events.contains(&event), "{name}: {events:?}");
        assert_eq!(tabs[0].call(LOGIN).await.0, 200, "{name}");
        assert_eq!(server.sessions().await, 1, "{name}");
        assert_eq!(tabs[0].run(TURN).await, json!([200, 1, [200, "alice"]]), "{name}");
    }
}

#[tokio::test]
async fn a_logout_in_one_tab_is_one_in_all() {
    let (server, person, tabs) = signed_in("logout", 2).await;
    let (_, body) = tabs[1].call(REFRESH).await;
    let access = body["access_token"].clone();
    let me = format!("'/api/me', bearer({access})");
    assert_eq!(tabs[1].call(&me).await, (200, "alice".into()));
    server.events.take();

    assert_eq!(tabs[0].call("'/api/token/revoke'").await.0, 200);
    assert_eq!(person.cookies().await.unwrap(), []);
    assert_eq!(tabs[1].call(&me).await.0, 401, "the store is asked");
    for tab in &tabs {
        let (status, body) = tab.call(REFRESH).await;
        assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    }
    let events = server.events.take();
    assert_eq!(events[0], EventKind::Terminated(Termination::Logout), "{events:?}");
    assert!(!events.contains(&EventKind::TokenReuse), "{events:?}");
    assert_eq!(person.cookies().await.unwrap(), []);
    assert_eq!(server.sessions().await, 0);
}

/// In whatever order they arrive, and their answers: the session has ended, and the next login works. Of a refresh that was
/// answered last a cookie may be left, which is worth nothing.
#[tokio::test]
async fn a_logout_beside_a_refresh_is_a_logout() {
    let (server, person, tabs) = signed_in("logout-races", 2).await;
    let mut left_over = 0;
    for round in 0..20 {
        let refresh = tabs[0].run("moment(10).then(() => call('/api/token/refresh'))");
        let revoke = tabs[1].run("moment(10).then(() => call('/api/token/revoke'))");
        let (refreshed, revoked) = join(refresh, revoke).await;
        assert!(refreshed[0] == 200 || refreshed[1]["error"] == "invalid_grant", "round {round}: {refreshed}");
        assert_eq!(revoked[0], 200, "round {round}: {revoked}");
        assert_eq!(server.sessions().await, 0, "round {round}");
        left_over += person.cookies().await.unwrap().len();
        for tab in &tabs {
            assert_eq!(tab.call(REFRESH).await.1["error"], "invalid_grant", "round {round}");
        }
        assert_eq!(tabs[round % 2].call(LOGIN).await.0, 200, "round {round}");
        assert_eq!(server.sessions().await, 1, "round {round}");
    }
    let events = server.events.take();
    println!("{left_over} cookies were left over");
    assert!(!events.contains(&EventKind::TokenReuse), "{events:?}");
    assert_eq!(tabs[0].run(TURN).await[0], 200);
}
