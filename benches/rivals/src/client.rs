//! The [`Client`]s of one thread, and a [`round`] of their requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;

use crate::app::{Answer, App, USER_TEXT};
use crate::case::Request;
use crate::cpu::{self, Server};
use crate::sample::Sample;

/// A browser: its cookies, and the header that they make.
#[derive(Default)]
pub struct Client {
    cookies: BTreeMap<String, String>,
    header: String,
}

impl Client {
    /// With a session, if requests have one.
    pub async fn new(app: &App, request: Request) -> Self {
        let mut client = Self::default();
        if request != Request::Untouched {
            client.keep(&app("/seed", None).await);
        }
        client
    }

    /// What a page answers, whose cookies are not kept: those of another tab.
    pub async fn get(&self, app: &App, path: &str) -> String {
        let answer = app(path, Some(&self.header)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn keep(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.body);
        for cookie in &answer.cookies {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if !answer.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.header = pairs.join("; ");
        }
    }

    async fn send(&mut self, app: &App, request: Request) {
        let cookie = (request != Request::Untouched).then_some(self.header.as_str());
        let answer = app(request.path(), cookie).await;
        if request == Request::Login {
            self.keep(&answer);
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(request != Request::Read || answer.body == USER_TEXT, "{}", answer.body);
    }
}

/// All clients send requests until the time is up.
pub async fn round(
    app: &App,
    request: Request,
    clients: Vec<Client>,
    length: Duration,
    server: Option<&Server>,
) -> (Sample, Vec<Client>) {
    let server_before = Server::computed(server).await;
    let (start, before) = (Instant::now(), cpu::own());
    let end = start + length;
    let tasks = clients.into_iter().map(|mut client| {
        let app = App::clone(app);
        spawn_local(async move {
            let mut latencies = Vec::with_capacity(4096);
            let mut now = Instant::now();
            while now < end {
                client.send(&app, request).await;
                let after = Instant::now();
                latencies.push((after - now).as_nanos() as u32);
                // In this process, no request waits for anything.
                tokio::task::yield_now().await;
                now = Instant::now();
            }
            (client, latencies)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let (mut clients, mut latencies) = (Vec::new(), Vec::new());
    for task in tasks {
        let (client, mut own) = task.await.unwrap();
        clients.push(client);
        latencies.append(&mut own);
    }
    let (elapsed, computed_here) = (start.elapsed(), cpu::own() - before);
    let server_computed = Server::computed(server).await - server_before;
    latencies.sort_unstable();
    let requests = latencies.len() as f64;
    let sample = Sample {
        ops_per_s: requests / elapsed.as_secs_f64(),
        ratio_to_floor: 1.0,
        p50_us: f64::from(latencies[latencies.len() / 2]) / 1e3,
        client_us: computed_here * 1e6 / requests,
        server_us: server_computed * 1e6 / requests,
    };
    (sample, clients)
}
