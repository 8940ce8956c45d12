//! [`Pipe`]: the DevTools protocol. Each message is JSON, and ends with a NUL.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::servers::ServerError;

/// How long an answer or an event may take: long, because the machine may be busy.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Both ends of the pipe. Usable from any runtime: answers come from a thread of its own.
pub(super) struct Pipe {
    commands: Mutex<Option<ChildStdin>>,
    next: AtomicU64,
    incoming: Arc<Incoming>,
}

/// What Chromium says, for those who wait for it.
struct Incoming {
    calls: Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>,
    pages: Mutex<HashMap<String, Arc<Events>>>,
    running: watch::Sender<bool>,
}

/// The events of a page, in order: the method and its parameters.
pub(super) struct Events {
    list: Mutex<Vec<(String, Value)>>,
    count: watch::Sender<usize>,
}

impl Pipe {
    pub(super) fn new(commands: ChildStdin, answers: ChildStdout) -> Self {
        let (calls, pages) = (Mutex::default(), Mutex::default());
        let incoming = Arc::new(Incoming { calls, pages, running: watch::Sender::new(true) });
        let reader = Arc::clone(&incoming);
        std::thread::spawn(move || reader.read(answers));
        Self { commands: Mutex::new(Some(commands)), next: AtomicU64::new(1), incoming }
    }

    /// Calls a method of the browser, or of a page's session.
    pub(super) async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, ServerError> {
        let failed = |why: &str| ServerError::new(format!("Chromium: {method}: {why}"));
        if !*self.incoming.running.borrow() {
            return Err(failed("it does not run"));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.incoming.calls).insert(id, sender);
        self.send(id, session, method, params)?;
        match timeout(LIMIT, answer).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(why))) => Err(failed(&why)),
            Ok(Err(_)) => Err(failed("it ended")),
            Err(_) => Err(failed("no answer")),
        }
    }

    /// Calls a method of the browser, and does not wait for its answer.
    pub(super) fn tell(&self, method: &str, params: Value) {
        // Nobody could do anything about an error.
        let _ = self.send(0, None, method, params);
    }

    /// What happens in a session from now on.
    pub(super) fn events(&self, session: &str) -> Arc<Events> {
        let events = Arc::new(Events { list: Mutex::default(), count: watch::Sender::new(0) });
        lock(&self.incoming.pages).insert(session.to_owned(), Arc::clone(&events));
        events
    }

    /// Waits until the process has ended, and starts it again.
    pub(super) async fn again(&self) -> Result<(), ServerError> {
        let mut running = self.incoming.running.subscribe();
        match timeout(LIMIT, running.wait_for(|running| !running)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(ServerError::new("Chromium still runs")),
        }
        lock(&self.incoming.pages).clear();
        self.incoming.running.send_replace(true);
        self.write("\n")
    }

    /// Ends the process.
    pub(super) fn close(&self) {
        drop(lock(&self.commands).take());
    }

    fn send(&self, id: u64, session: Option<&str>, method: &str, params: Value) -> Result<(), ServerError> {
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.write(&format!("{message}\0"))
    }

    fn write(&self, text: &str) -> Result<(), ServerError> {
        let mut commands = lock(&self.commands);
        let commands = commands.as_mut().ok_or_else(|| ServerError::new("Chromium: the pipe is closed"))?;
        let written = commands.write_all(text.as_bytes());
        written.map_err(|error| ServerError::new(format!("Chromium: the pipe: {error}")))
    }
}

impl Incoming {
    /// Until the end of the process and its wrapper.
    fn read(&self, answers: ChildStdout) {
        let (mut answers, mut message) = (BufReader::new(answers), Vec::new());
        while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
            match message.strip_suffix(b"\0") {
                Some(b"ended") | None => self.end(),
                Some(text) => self.take(serde_json::from_slice(text).unwrap_or_default()),
            }
            message.clear();
        }
        self.end();
    }

    fn take(&self, mut message: Value) {
        if let Some(id) = message["id"].as_u64() {
            if let Some(call) = lock(&self.calls).remove(&id) {
                let error = &message["error"];
                let why = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
                let answer = if error.is_null() { Ok(message["result"].take()) } else { Err(why) };
                // Whoever called may have given up.
                let _ = call.send(answer);
            }
        } else if let (Some(session), Some(method)) = (message["sessionId"].as_str(), message["method"].as_str()) {
            let page = lock(&self.pages).get(session).cloned();
            if let Some(page) = page {
                let method = method.to_owned();
                page.add(method, message["params"].take());
            }
        }
    }

    /// No call is answered any more.
    fn end(&self) {
        self.running.send_replace(false);
        lock(&self.calls).clear();
    }
}

impl Events {
    fn add(&self, method: String, params: Value) {
        let mut list = lock(&self.list);
        list.push((method, params));
        self.count.send_replace(list.len());
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits for the first of the events from the `from`-th on from which `found` makes something.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        from: usize,
        found: impl Fn(&str, &Value) -> Option<T>,
    ) -> Result<T, ServerError> {
        let (mut count, mut seen) = (self.count.subscribe(), from);
        let search = async {
            loop {
                let upto = *count.borrow_and_update();
                if let Some(value) = self.all(seen, &found).into_iter().next() {
                    return Some(value);
                }
                seen = seen.max(upto);
                if count.changed().await.is_err() {
                    return None;
                }
            }
        };
        let failed = || ServerError::new(format!("Chromium: {what}: not within {} s", LIMIT.as_secs()));
        timeout(LIMIT, search).await.ok().flatten().ok_or_else(failed)
    }

    /// What `found` makes of the events from the `from`-th on.
    pub(super) fn all<T>(&self, from: usize, found: impl Fn(&str, &Value) -> Option<T>) -> Vec<T> {
        lock(&self.list).iter().skip(from).filter_map(|(method, params)| found(method, params)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
