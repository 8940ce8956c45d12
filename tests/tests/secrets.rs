//! No token, digest, user or value reaches a log, an event or an error, and no token reaches the store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_conformance::ReferenceStore;
use session_core::{
    Assurance, Device, Error, Event, Key, Login, ManualClock, Policy, Record, Renewal, SessionManager, SessionObserver,
    StepUp, TracingObserver, UserId,
};
use session_testbed::{Client, RecordingStore, Secrets};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;
use zeroize::ZeroizeOnDrop;

const NOTE: Key<String> = Key::new("note");

const USER: &str = "user-8f3ac1";
const VALUE: &str = "value-51c0d2";
const AGENT: &str = "agent-77aa03";

/// Text that grows wherever somebody writes to a clone of it.
#[derive(Clone, Debug, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SessionObserver for Text {
    fn on_event(&self, event: &Event) {
        let line = format!("{event:?} {event:#?}\n");
        self.0.lock().unwrap().extend_from_slice(line.as_bytes());
    }
}

/// What a whole life of sessions left behind.
struct Traces {
    /// Everything that was logged, at every level.
    log: Vec<u8>,
    /// `Debug` of every event.
    events: Vec<u8>,
    /// `Display` and `Debug` of every error and what caused it.
    errors: String,
    /// Every token that was issued.
    tokens: Vec<String>,
    /// Every record that was written, encoded.
    written: Vec<bytes::Bytes>,
}

impl Traces {
    /// Every issued token.
    fn tokens(&self) -> Secrets {
        let mut secrets = Secrets::new();
        for token in &self.tokens {
            secrets.add_token(token).expect("a client holds tokens");
        }
        secrets
    }

    /// Everything that has no place outside the store: tokens, what the store keeps of them, ids, users, values.
    fn all(&self) -> Secrets {
        let mut secrets = self.tokens();
        for record in self.written.iter().map(|bytes| Record::decode(bytes).unwrap()) {
            for bytes in stored_secrets(&record) {
                secrets.add_bytes("a digest or nonce", &bytes);
            }
            secrets.add_bytes("a session id", record.id.as_bytes());
        }
        secrets.add_text("a user", USER);
        secrets.add_text("a value", VALUE);
        secrets.add_text("a device", AGENT);
        secrets
    }
}

/// Every byte string in the credential of `record`: digests and nonces.
fn stored_secrets(record: &Record) -> Vec<Vec<u8>> {
    fn collect(value: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
        match value {
            serde_json::Value::Array(numbers) => {
                found.push(numbers.iter().map(|number| u8::try_from(number.as_u64().unwrap()).unwrap()).collect());
            }
            serde_json::Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::to_value(&record.credential).unwrap(), &mut found);
    assert!(found.len() >= 2 && found.iter().all(|bytes| [16, 32].contains(&bytes.len())), "a credential has digests");
    found
}

/// A client, and the tokens and errors it met.
struct Visitor {
    client: Client,
    tokens: Vec<String>,
    errors: String,
}

impl Visitor {
    async fn request(&mut self, handler: impl AsyncFnOnce(&session_core::Session) -> Result<(), Error>) {
        let outcome = self.client.request(handler).await;
        if let Some(token) = self.client.token()
            && !self.tokens.iter().any(|known| known == token)
        {
            self.tokens.push(token.to_owned());
        }
        let mut cause: Option<&dyn StdError> = outcome.as_ref().err().map(|error| error as _);
        while let Some(error) = cause {
            self.errors.push_str(&format!("{error} {error:?}\n"));
            cause = error.source();
        }
    }

    async fn read(&mut self) {
        self.request(async |session| session.get(NOTE).map(drop)).await;
    }

    /// A request with another token than the client's own.
    async fn present(&mut self, token: &str) {
        let own = self.client.clone();
        self.client.set_token(token);
        let outcome = self.client.request(async |session| session.get(NOTE).map(drop)).await;
        self.errors.push_str(&format!("{outcome:?}\n"));
        self.client = own;
    }
}

/// A full life: a visitor's data, login, writes, renewal, the grace window, step-up, regeneration, reuse, a store that
/// fails, another device, logout, and cookies that are no session.
async fn life() -> Traces {
    let (log, events) = (Text::default(), Text::default());
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || sink.clone());
    let _guard = subscriber.finish().set_default();

    let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };
    let store = RecordingStore::new(ReferenceStore::new());
    let clock = ManualClock::default();
    let manager = SessionManager::builder(Arc::new(store.clone()))
        .policy(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap())
        .clock(clock.clone())
        .observer(TracingObserver)
        .observer(events.clone())
        .build();
    let user = UserId::new(USER).unwrap();
    let login = || {
        let device = Device::new().with_label(AGENT).with_user_agent(AGENT).with_ip([192, 0, 2, 77].into());
        Login::new(user.clone()).method("pwd").device(device).carry_over(NOTE)
    };
    let mut visitor = Visitor { client: Client::new(&manager), tokens: Vec::new(), errors: String::new() };

    visitor.request(async |session| session.insert(NOTE, &VALUE.to_owned())).await;
    visitor.request(async |session| session.login(login())).await;
    visitor.request(async |session| session.update(NOTE, |note| note.push_str(VALUE))).await;

    clock.advance(renewal.timeout);
    let kept = visitor.client.token().unwrap().to_owned();
    visitor.read().await;
    visitor.present(&kept).await; // in the grace window
    visitor.read().await;
    visitor.present(&kept).await; // the loser of the race
    let stepped_up = StepUp::new(user.clone()).method("otp").level(Assurance::Aal2);
    visitor.request(async |session| session.step_up(stepped_up)).await;
    visitor.request(async |session| session.regenerate()).await;

    clock.advance(renewal.timeout);
    let kept = visitor.client.token().unwrap().to_owned();
    visitor.read().await;
    clock.advance(Duration::from_secs(60));
    visitor.present(&kept).await; // reuse
    visitor.read().await; // the session is gone

    visitor.request(async |session| session.login(login())).await;
    store.set_failing(true);
    visitor.read().await;
    store.set_failing(false);
    let device = manager.list(&user).await.unwrap()[0].id;
    let _ = manager.revoke(&user, &device).await.unwrap();
    visitor.request(async |session| session.login(login())).await;
    visitor.request(async |session| session.step_up(StepUp::new(UserId::new("somebody else").unwrap()))).await;
    visitor.request(async |session| session.insert(NOTE, &VALUE.repeat(100_000))).await;
    visitor.request(async |session| session.logout()).await;

    visitor.present(&kept).await; // of a session that ended
    visitor.present("nonsense").await;
    visitor.present(&format!("{kept}; __Host-id={}", "A".repeat(64))).await;

    let Visitor { tokens, errors, .. } = visitor;
    Traces { log: log.bytes(), events: events.bytes(), errors, tokens, written: store.written() }
}

#[tokio::test]
async fn the_scenario_leaves_traces() {
    let traces = life().await;
    let log = String::from_utf8(traces.log.clone()).unwrap();
    for event in [
        "Created",
        "LoggedIn",
        "Renewed",
        "RenewalRaced",
        "SteppedUp",
        "Regenerated",
        "TokenReuse",
        "Terminated(Reuse)",
        "Terminated(Replaced)",
        "Terminated(Revoked)",
        "Terminated(Logout)",
        "StoreFailed",
        "UnknownToken",
        "MalformedToken",
        "AmbiguousCookie",
    ] {
        assert!(log.contains(event), "the log lacks {event}:\n{log}");
    }
    assert!(traces.errors.contains("told to fail"), "{}", traces.errors);
    assert!(traces.tokens.len() >= 8, "{} tokens", traces.tokens.len());
    // What is looked for can be found where it is.
    assert!(!traces.tokens().found_in(&traces.tokens[0]).is_empty());
    assert!(!traces.all().found_in(&traces.written[0]).is_empty());
}

#[tokio::test]
async fn log_holds_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.log), [""; 0]);
}

#[tokio::test]
async fn events_show_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.events), [""; 0]);
}

#[tokio::test]
async fn errors_show_no_secret_id_user_or_value() {
    let traces = life().await;
    assert_eq!(traces.all().found_in(&traces.errors), [""; 0]);
}

#[tokio::test]
async fn store_holds_no_token() {
    let traces = life().await;
    let tokens = traces.tokens();
    assert!(traces.written.len() >= 10, "{} records", traces.written.len());
    for (number, record) in traces.written.iter().enumerate() {
        assert_eq!(tokens.found_in(record), [""; 0], "record {number}");
    }
}

#[tokio::test]
async fn what_the_store_holds_cannot_be_presented() {
    let store = RecordingStore::new(ReferenceStore::new());
    let manager = SessionManager::builder(Arc::new(store.clone())).build();
    let mut owner = Client::new(&manager);
    owner.request(async |session| session.login(Login::new(UserId::new(USER).unwrap()))).await.unwrap();
    let record = Record::decode(&store.written()[0]).unwrap();
    let digests = stored_secrets(&record);
    assert_eq!(digests.len(), 2, "a new credential has two digests");

    let mut thief = Client::new(&manager);
    let halves = digests.iter().flat_map(|digest| [&digest[..16], &digest[16..]]);
    let pairs = halves.clone().flat_map(|first| halves.clone().map(move |second| [first, second].concat()));
    let guesses = pairs.map(|pair| URL_SAFE_NO_PAD.encode([record.id.as_bytes(), &pair[..]].concat()));
    let texts = digests.iter().map(|digest| URL_SAFE_NO_PAD.encode(digest));
    for guess in guesses.chain(texts).chain([record.id.to_string()]) {
        thief.set_token(&guess);
        let anonymous = async |session: &session_core::Session| {
            assert!(session.user().is_none() && session.id().is_none());
            Ok(())
        };
        thief.request(anonymous).await.unwrap();
    }
    let still_there = async |session: &session_core::Session| {
        assert_eq!(session.user().unwrap().as_str(), USER, "a guess ends nothing");
        Ok(())
    };
    owner.request(still_there).await.unwrap();
}

#[test]
fn tokens_are_wiped_when_they_are_dropped() {
    fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<session_core::SessionToken>();
    is_wiped::<session_core::PresentedToken>();
    is_wiped::<session_core::EncodedToken>();
}
