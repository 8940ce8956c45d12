//! A running demo, and browsers that talk to it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::program;

/// The demo, on a free port, until it is dropped.
pub(crate) struct Demo {
    child: Child,
    pub(crate) base: String,
    client: Client<HttpConnector, Body>,
}

impl Demo {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, |command| command)
    }

    /// Started by a command with changes.
    pub(crate) fn start_with(options: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(program::path());
        command.args(["--listen", "127.0.0.1:0"]).args(options).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = change(&mut command).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").expect("the first line").to_owned();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, base, client }
    }

    /// Sends a signal, with the `kill` command.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for a clean end, and returns what was written to standard error, if that is piped.
    pub(crate) fn wait(mut self) -> String {
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut errors).unwrap();
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        errors
    }

    /// Ends it.
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        self.wait()
    }

    /// A browser without a cookie.
    pub(crate) fn browser(&self) -> Browser<'_> {
        self.browser_with(Cookies::default())
    }

    /// A browser with these cookies.
    pub(crate) fn browser_with(&self, cookies: Cookies) -> Browser<'_> {
        Browser { demo: self, cookies }
    }

    /// A browser in which `user` is logged in.
    pub(crate) async fn logged_in(&self, user: &str) -> Browser<'_> {
        let browser = self.browser();
        browser.login(user).await.assert(200);
        browser
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that a demo with these options ends with an error that has these messages, and not the password.
pub(crate) async fn assert_refused(options: &[&str], messages: &[&str]) {
    let mut command = tokio::process::Command::new(program::path());
    let output = command.args(options).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(30), output).await.expect("an end").unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // 1 with a message of ours, 2 with one about the command line.
    let is_ours = text.lines().any(|line| line.starts_with(&format!("{}: ", program::NAME)));
    assert_eq!(output.status.code(), Some(if is_ours { 1 } else { 2 }), "{options:?}: {text}");
    assert!(messages.iter().all(|message| text.contains(message)), "{options:?}: {text}");
    assert!(!text.contains("hunter2"), "{options:?}: {text}");
}

/// By name.
type Cookies = Arc<Mutex<BTreeMap<String, String>>>;

/// Keeps cookies, as a browser does: by name, whatever the port. Clones share them, as tabs do.
#[derive(Clone)]
pub(crate) struct Browser<'d> {
    demo: &'d Demo,
    cookies: Cookies,
}

impl<'d> Browser<'d> {
    /// Another browser with the current cookies of this one: a stolen copy, or a request in flight.
    pub(crate) fn copy(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { demo: self.demo, cookies: Arc::new(Mutex::new(cookies)) }
    }

    /// Its cookies, which outlive the demo: for [`Demo::browser_with`].
    pub(crate) fn into_cookies(self) -> Cookies {
        self.cookies
    }

    /// This browser, sent to another demo, by a load balancer or an address: the two share their cookies.
    pub(crate) fn at<'o>(&self, demo: &'o Demo) -> Browser<'o> {
        Browser { demo, cookies: Arc::clone(&self.cookies) }
    }

    /// `name=value`, if there is a cookie; for several, as they are sent.
    pub(crate) fn cookie(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.demo.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = self.cookie() {
            request = request.header("cookie", cookie);
        }
        let response = self.demo.client.request(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let answer =
            Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() };
        for set in answer.headers.get_all("set-cookie") {
            let (pair, attributes) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            match attributes.contains("Max-Age=0") {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.json("PUT", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], Body::empty()).await
    }

    /// Submits a form, as a browser without JavaScript does.
    pub(crate) async fn submit(&self, path: &str, form: &str) -> Answer {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("origin", &*self.demo.base),
            ("user-agent", "Test/1.0 (<script>alert(1)</script>)"),
        ];
        self.send("POST", path, &headers, form.to_owned()).await
    }

    pub(crate) async fn login(&self, user: &str) -> Answer {
        self.post("/api/login", &json!({ "username": user, "password": "correct-horse" })).await
    }

    /// Who is logged in.
    pub(crate) async fn user(&self) -> Option<String> {
        self.get("/api/me").await.json()["user"].as_str().map(str::to_owned)
    }

    /// The public id of its session.
    pub(crate) async fn session_id(&self) -> String {
        self.get("/api/me").await.json()["session_id"].as_str().unwrap().to_owned()
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string()).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn assert(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Asserts an error of the API.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        self.assert(status);
        let body = self.json();
        assert_eq!(body["error"], code, "{body}");
        // The token routes describe it, as OAuth's clients expect.
        assert!(body.as_object().is_some_and(|members| members.keys().all(|it| it.starts_with("error"))), "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
    }

    /// Asserts a redirect after a form.
    #[track_caller]
    pub(crate) fn assert_leads_to(&self, location: &str) {
        self.assert(303);
        assert_eq!(self.header("location"), Some(location));
    }
}
