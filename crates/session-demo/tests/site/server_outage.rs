//! The site while its server is down, frozen, or cuts connections in the middle of a reply; and its recovery.

use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use serde_json::json;
use session_testbed::proxy::{Mode, Proxy};

use crate::backend::Backend;
use crate::program::HAS_PAGES;
use crate::server::{Nodes, Server, on_both};
use crate::support::{Browser, Demo};

on_both!(every_outage_is_answered_and_overcome, a_demo_ends_although_the_server_does_not_answer);

/// How long an answer may take: the store timeout of the policies, and a margin for a busy machine.
const ANSWER: Duration = Duration::from_secs(2 + 4);

/// How long until requests succeed again: two seconds, and a margin for a busy machine.
const RECOVERY: Duration = Duration::from_secs(2 + 4);

#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Paused,
    /// Connections break after so many bytes of a reply.
    Cut(usize),
}

async fn every_outage_is_answered_and_overcome(backend: Backend) {
    let server = Server::launch(backend).await;
    let process = server.process();
    let proxy = Proxy::start(process.address()).await.unwrap();
    let store = server.url().replace(&process.address().to_string(), &proxy.address().to_string());
    let nodes = Nodes::on(&store, &[]);
    let site = Site::open(&nodes).await;
    for outage in [Outage::Stopped, Outage::Paused, Outage::Cut(0), Outage::Cut(3)] {
        let before = server.records().await;
        let start = async || match outage {
            Outage::Stopped => process.stop().await.unwrap(),
            Outage::Paused => process.pause().await.unwrap(),
            Outage::Cut(bytes) => proxy.set(Mode::CutReply(bytes)),
        };
        site.outage(start).await;
        // A server that was not stopped applies the requests that it received meanwhile. They may include logins:
        // sessions whose tokens were never delivered.
        let mut delivered_nowhere = NEW_LOGINS;
        match outage {
            Outage::Stopped => {
                delivered_nowhere = 0;
                process.start().await.unwrap();
            }
            Outage::Paused => process.resume().await.unwrap(),
            Outage::Cut(_) => proxy.set(Mode::Pass),
        }
        site.recovers(backend, outage).await;
        let after = server.records().await;
        assert!((before..=before + delivered_nowhere).contains(&after), "{outage:?}: {before}, then {after}");
    }
}

async fn a_demo_ends_although_the_server_does_not_answer(backend: Backend) {
    let server = Server::launch(backend).await;
    let demo = Demo::start(&["--store", &server.url()]);
    let alice = demo.logged_in("alice").await;
    server.process().pause().await.unwrap();
    let start = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        demo.signal("TERM");
    };
    tokio::join!(alice.get("/api/me"), stop).0.assert(503);
    demo.wait();
    assert!(start.elapsed() < Duration::from_secs(5 + 4), "{:?}", start.elapsed());
}

/// What every browser requests during an outage.
const REQUESTS: [(&str, &str, &str); 11] = [
    ("GET", "/", ""),
    ("GET", "/devices", ""),
    ("POST", "/logout", ""),
    ("GET", "/api/sensitive", ""),
    ("GET", "/api/me", ""),
    ("GET", "/api/devices", ""),
    ("PUT", "/api/data/a", "1"),
    ("POST", "/api/counter/n", ""),
    ("POST", "/api/logout", ""),
    ("POST", "/api/devices/revoke-all", ""),
    ("POST", "/api/login", LOGIN),
];

const LOGIN: &str = r#"{"username":"bob","password":"correct-horse"}"#;

/// Logins of browsers without a session during an outage: one on each node, in each of two rounds.
const NEW_LOGINS: usize = 4;

/// Two users and an anonymous browser, each with a session.
struct Site<'n> {
    nodes: &'n Nodes,
    browsers: [Browser<'n>; 3],
}

impl<'n> Site<'n> {
    async fn open(nodes: &'n Nodes) -> Self {
        let browsers = [nodes.a.logged_in("alice").await, nodes.b.logged_in("carol").await, nodes.a.browser()];
        for (number, browser) in browsers.iter().enumerate() {
            browser.put("/api/data/kept", &json!(number)).await.assert(204);
        }
        Self { nodes, browsers }
    }

    /// Starts an outage, and checks the answers to requests in flight and to new ones.
    async fn outage(&self, start: impl AsyncFnOnce()) {
        let [alice, ..] = &self.browsers;
        let slow = join_all([&self.nodes.a, &self.nodes.b].map(|node| {
            let tab = alice.copy().at(node);
            async move { refused(&tab, "POST", "/api/counter/slow?delay_ms=2000", "", Duration::from_secs(2)).await }
        }));
        let outage = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            start().await;
            for _ in 0..2 {
                self.send_all().await;
            }
        };
        join(slow, outage).await;
    }

    /// Every browser sends every request to both nodes at once.
    async fn send_all(&self) {
        let requests = [&self.nodes.a, &self.nodes.b].into_iter().flat_map(|node| {
            let of_browsers = self.browsers.iter().flat_map(move |browser| {
                let copy = move || browser.copy().at(node);
                let requests = REQUESTS.iter().filter(|(_, path, _)| HAS_PAGES || path.starts_with("/api"));
                requests.map(move |(method, path, body)| (copy(), *method, *path, *body))
            });
            of_browsers.chain([(node.browser(), "POST", "/api/login", LOGIN)])
        });
        join_all(requests.map(async |(browser, method, path, body)| {
            refused(&browser, method, path, body, Duration::ZERO).await;
        }))
        .await;
        for node in [&self.nodes.a, &self.nodes.b] {
            self.browsers[0].at(node).get("/api/ping").await.assert(200);
        }
    }

    /// Waits until requests succeed on both nodes, and checks that nothing was lost.
    async fn recovers(&self, backend: Backend, after: Outage) {
        let start = Instant::now();
        let measured = join_all([&self.nodes.a, &self.nodes.b].map(async |node| {
            let alice = self.browsers[0].copy().at(node);
            succeeds(&alice, "GET", "/api/me", start).await;
            let read = start.elapsed();
            succeeds(&alice, "PUT", "/api/data/again", start).await;
            format!("{} ms, writes after {} ms", read.as_millis(), start.elapsed().as_millis())
        }));
        println!("{backend:?}, {after:?}: reads succeed again after {}", measured.await.join("; after "));
        for turn in 0..20 {
            let node = self.nodes.turn(turn);
            for (number, browser) in self.browsers.iter().enumerate() {
                let browser = browser.at(node);
                assert_eq!(browser.get("/api/data/kept").await.assert(200).json(), number);
                browser.put("/api/data/again", &json!(turn)).await.assert(204);
                let user = browser.user().await;
                assert_eq!(user.as_deref(), [Some("alice"), Some("carol"), None][number]);
            }
            assert_eq!(self.browsers[0].at(node).get("/api/devices").await.json().as_array().unwrap().len(), 1);
        }
    }
}

/// Asserts that the answer to a request is in time, and that sessions are unavailable.
async fn refused(browser: &Browser<'_>, method: &str, path: &str, body: &'static str, delay: Duration) {
    let start = Instant::now();
    let answer = browser.send(method, path, &[], body).await;
    let time = start.elapsed();
    answer.assert(503);
    assert!(time < delay + ANSWER, "{method} {path}: {time:?}");
    assert_eq!(answer.header("set-cookie"), None, "{method} {path}");
    let message = if path.starts_with("/api") { "session_store_unavailable" } else { "You are still signed in" };
    assert!(answer.text().contains(message), "{method} {path}: {answer:?}");
}

/// Retries a request until it succeeds. Until then, the answer must be that sessions are unavailable.
async fn succeeds(browser: &Browser<'_>, method: &str, path: &str, start: Instant) {
    loop {
        let answer = browser.send(method, path, &[], "1").await;
        if answer.status.is_success() {
            return;
        }
        answer.assert_error(503, "session_store_unavailable");
        assert!(start.elapsed() < RECOVERY, "{method} {path}: no recovery after {:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
