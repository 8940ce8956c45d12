//! The site while its server is down, does not answer, or breaks off in the middle of an answer; and afterwards.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use serde_json::json;
use session_testbed::proxy::{Mode, Proxy};

use crate::server::{Backend, Nodes, Server, on_both};
use crate::support::{Browser, Demo};

on_both!(
    the_server_is_stopped,
    the_server_does_not_answer,
    connections_break_in_the_middle_of_a_reply,
    a_demo_ends_although_the_server_does_not_answer,
);

/// The longest an answer may take: the store timeout of the policies, and a busy machine.
const ANSWER: Duration = Duration::from_secs(2 + 4);

/// The longest until requests succeed again: two seconds, and a busy machine.
const RECOVERY: Duration = Duration::from_secs(2 + 4);

async fn the_server_is_stopped(backend: Backend) {
    let server = Server::launch(backend).await;
    let nodes = Nodes::on(&server.url(), &[]);
    let site = Site::open(&nodes).await;
    let before = server.records().await;
    site.outage(async || server.process().stop().await.unwrap()).await;
    server.process().start().await.unwrap();
    site.recovers(backend, "stopped").await;
    assert_eq!(server.records().await, before);
}

async fn the_server_does_not_answer(backend: Backend) {
    let server = Server::launch(backend).await;
    let nodes = Nodes::on(&server.url(), &[]);
    let site = Site::open(&nodes).await;
    let before = server.records().await;
    site.outage(async || server.process().pause().await.unwrap()).await;
    server.process().resume().await.unwrap();
    site.recovers(backend, "paused").await;
    // What a server that is paused was asked to do, it does later. That may be the logins of visitors: sessions of which
    // nobody has a token.
    assert!((before..=before + STRANGERS).contains(&server.records().await));
}

async fn connections_break_in_the_middle_of_a_reply(backend: Backend) {
    let server = Server::launch(backend).await;
    let proxy = Proxy::start(server.process().address()).await.unwrap();
    let direct = server.process().address().to_string();
    let nodes = Nodes::on(&server.url().replace(&direct, &proxy.address().to_string()), &[]);
    let site = Site::open(&nodes).await;
    for bytes in [0, 3] {
        let before = server.records().await;
        site.outage(async || proxy.set(Mode::CutReply(bytes))).await;
        proxy.set(Mode::Pass);
        site.recovers(backend, "cut off").await;
        assert!((before..=before + STRANGERS).contains(&server.records().await), "see above");
    }
}

async fn a_demo_ends_although_the_server_does_not_answer(backend: Backend) {
    let server = Server::launch(backend).await;
    let demo = Demo::start(&["--store", &server.url()]);
    let alice = demo.logged_in("alice").await;
    server.process().pause().await.unwrap();
    let begin = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        demo.signal("TERM");
    };
    tokio::join!(alice.get("/api/me"), stop).0.assert(503);
    assert_eq!(demo.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5 + 4), "{:?}", begin.elapsed());
}

/// What is asked during an outage, by everybody.
const REQUESTS: [(&str, &str, &str); 8] = [
    ("GET", "/", ""),
    ("GET", "/api/me", ""),
    ("GET", "/api/devices", ""),
    ("PUT", "/api/data/a", "1"),
    ("POST", "/api/counter/n", ""),
    ("POST", "/api/logout", ""),
    ("POST", "/api/devices/revoke-all", ""),
    ("POST", "/api/login", LOGIN),
];

const LOGIN: &str = r#"{"username":"bob","password":"correct-horse"}"#;

/// How many visitors log in during an outage who had no session before: one on each node, in each of two rounds.
const STRANGERS: usize = 4;

/// Two users and a visitor, who have a session.
struct Site<'n> {
    nodes: &'n Nodes,
    people: [Browser<'n>; 3],
}

impl<'n> Site<'n> {
    async fn open(nodes: &'n Nodes) -> Self {
        let people = [nodes.a.logged_in("alice").await, nodes.b.logged_in("carol").await, nodes.a.browser()];
        for (number, person) in people.iter().enumerate() {
            person.put("/api/data/kept", &json!(number)).await.assert(204);
        }
        Self { nodes, people }
    }

    /// Begins an outage, and sees what requests get: those that are under way, and those that come then.
    async fn outage(&self, begin: impl AsyncFnOnce()) {
        let [alice, ..] = &self.people;
        let slow = join_all([&self.nodes.a, &self.nodes.b].map(|node| {
            let tab = alice.copy().at(node);
            async move { refused(&tab, "PUT", "/api/data/slow?delay_ms=2000", "1", Duration::from_secs(2)).await }
        }));
        let outage = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            begin().await;
            for _ in 0..2 {
                self.ask().await;
            }
        };
        join(slow, outage).await;
    }

    /// Everybody asks everything of both nodes at once.
    async fn ask(&self) {
        let requests = [&self.nodes.a, &self.nodes.b].into_iter().flat_map(|node| {
            let of_people = self.people.iter().flat_map(move |person| {
                let copy = move || person.copy().at(node);
                REQUESTS.map(move |(method, path, body)| (copy(), method, path, body))
            });
            of_people.chain([(node.browser(), "POST", "/api/login", LOGIN)])
        });
        join_all(requests.map(async |(browser, method, path, body)| {
            refused(&browser, method, path, body, Duration::ZERO).await;
        }))
        .await;
        for node in [&self.nodes.a, &self.nodes.b] {
            self.people[0].at(node).get("/api/ping").await.assert(200);
        }
    }

    /// Waits until requests succeed on both nodes, and sees that nothing was lost.
    async fn recovers(&self, backend: Backend, after: &str) {
        let begin = Instant::now();
        let measured = join_all([&self.nodes.a, &self.nodes.b].map(async |node| {
            let alice = self.people[0].copy().at(node);
            succeeds(&alice, "GET", "/api/me", begin).await;
            let read = begin.elapsed();
            succeeds(&alice, "PUT", "/api/data/again", begin).await;
            format!("{} ms, writes after {} ms", read.as_millis(), begin.elapsed().as_millis())
        }));
        println!("{backend:?}, {after}: reads succeed again after {}", measured.await.join("; after "));
        for turn in 0..20 {
            let node = self.nodes.turn(turn);
            for (number, person) in self.people.iter().enumerate() {
                let person = person.at(node);
                assert_eq!(person.get("/api/data/kept").await.assert(200).json(), number);
                person.put("/api/data/again", &json!(turn)).await.assert(204);
                let user = person.user().await;
                assert_eq!(user.as_deref(), [Some("alice"), Some("carol"), None][number]);
            }
            assert_eq!(self.people[0].at(node).get("/api/devices").await.json().as_array().unwrap().len(), 1);
        }
    }
}

/// Asserts that a request gets no more than the answer that sessions are not available, in time.
async fn refused(browser: &Browser<'_>, method: &str, path: &str, body: &'static str, delay: Duration) {
    let begin = Instant::now();
    let answer = browser.send(method, path, &[], body).await;
    let time = begin.elapsed();
    answer.assert(503);
    assert!(time < delay + ANSWER, "{method} {path}: {time:?}");
    assert_eq!(answer.header("set-cookie"), None, "{method} {path}");
    let said = if path == "/" { "You are still signed in" } else { "session_store_unavailable" };
    assert!(answer.text().contains(said), "{method} {path}: {answer:?}");
}

/// Repeats a request until it succeeds. Until then it is refused.
async fn succeeds(browser: &Browser<'_>, method: &str, path: &str, begin: Instant) {
    loop {
        let answer = browser.send(method, path, &[], "1").await;
        if answer.status.is_success() {
            return;
        }
        answer.assert_error(503, "session_store_unavailable");
        assert!(begin.elapsed() < RECOVERY, "{method} {path}: no recovery after {:?}", begin.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
