//! A scenario with every event in the life of a session, and the traces it leaves.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use session_core::store::{Record, SessionStore};
use session_core::{
    Assurance, Device, Error, Event, Key, Login, ManualClock, Policy, PresentedToken, Renewal, SessionId,
    SessionManager, SessionObserver, StepUp, TracingObserver, UserId,
};
use session_testbed::{Client, Recorder, RecordingStore, Secrets};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

const NOTE: Key<String> = Key::new("note");

pub(crate) const USER: &str = "user-8f3ac1";
pub(crate) const VALUE: &str = "value-51c0d2";
const AGENT: &str = "agent-77aa03";

/// A buffer whose clones all write to the same text.
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

/// The traces of the scenario.
pub(crate) struct Traces {
    /// Everything that was logged, at every level.
    pub(crate) log: Vec<u8>,
    /// All metrics, as Prometheus is given them.
    pub(crate) metrics: String,
    /// `Debug` of every event.
    pub(crate) events: Vec<u8>,
    /// `Display` and `Debug` of every error and what caused it.
    pub(crate) errors: String,
    /// Every token that was issued.
    pub(crate) tokens: Vec<String>,
    /// Every record that was written: its id, and its encoding.
    pub(crate) written: Vec<(SessionId, bytes::Bytes)>,
}

impl Traces {
    /// The tokens.
    pub(crate) fn tokens(&self) -> Secrets {
        let mut secrets = Secrets::new();
        for token in &self.tokens {
            secrets.add_token(token).expect("a client holds tokens");
        }
        secrets
    }

    /// Everything that must not leave the store: tokens, their digests and nonces, ids, users, values.
    pub(crate) fn all(&self) -> Secrets {
        let mut secrets = self.tokens();
        for record in self.written.iter().map(|(id, bytes)| Record::decode(*id, bytes).unwrap()) {
            for bytes in stored_secrets(&record) {
                secrets.add_bytes("a digest or nonce", &bytes);
            }
            secrets.add_bytes("a session id", record.id().as_bytes());
        }
        secrets.add_text("a user", USER);
        secrets.add_text("a value", VALUE);
        secrets.add_text("a device", AGENT);
        secrets
    }
}

/// Every byte string in the credential of `record`: digests and nonces.
pub(crate) fn stored_secrets(record: &Record) -> Vec<Vec<u8>> {
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
    assert!(!found.is_empty() && found.iter().all(|bytes| bytes.len() == 16), "a credential has digests");
    found
}

/// A client, and the tokens and errors that it has seen.
struct Browser<L> {
    client: Client,
    tokens: Vec<String>,
    errors: String,
    look: L,
}

impl<L: AsyncFnMut()> Browser<L> {
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
        (self.look)().await;
    }

    async fn read(&mut self) {
        self.request(async |session| session.get(NOTE).map(drop)).await;
    }

    /// A client with refresh tokens: a login, two refreshes, and the reuse of the first token.
    async fn refresh(&mut self, manager: &SessionManager, login: Login) {
        let mut token = manager.issue_refresh_token(login, None).await.unwrap().token.encode().expose().to_owned();
        let first = PresentedToken::parse(token.as_bytes()).unwrap();
        self.tokens.push(token.clone());
        (self.look)().await;
        for _ in 0..2 {
            let presented = PresentedToken::parse(token.as_bytes()).unwrap();
            let verified = manager.verify_refresh_token(&presented).await.unwrap().unwrap();
            let issued = manager.rotate(verified).await.unwrap().unwrap();
            self.errors.push_str(&format!("{issued:?}\n"));
            token = issued.token.encode().expose().to_owned();
            self.tokens.push(token.clone());
            (self.look)().await;
        }
        assert!(manager.verify_refresh_token(&first).await.unwrap().is_none());
    }

    /// A request with another token than the client's own.
    async fn present(&mut self, token: &str) {
        let own = self.client.clone();
        self.client.set_token(token);
        let outcome = self.client.request(async |session| session.get(NOTE).map(drop)).await;
        self.errors.push_str(&format!("{outcome:?}\n"));
        self.client = own;
        (self.look)().await;
    }
}

/// Anonymous data, login, writes, renewal, the grace window, step-up, regeneration, reuse, refresh tokens, a failing
/// store, revocation, logout, and cookies without a session. Calls `look` after each request.
pub(crate) async fn life(store: impl SessionStore, look: impl AsyncFnMut()) -> Traces {
    let (log, events) = (Text::default(), Text::default());
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || sink.clone());
    // With the fields of spans, when they begin and end.
    let subscriber = subscriber.with_span_events(FmtSpan::FULL);
    let _guard = subscriber.finish().set_default();

    let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };
    let store = Arc::new(RecordingStore::new(store, Recorder::default()));
    let clock = ManualClock::default();
    let builder = SessionManager::builder(store.clone())
        .policy(Policy::standard().to_builder().renewal(Some(renewal)).build().unwrap())
        .clock(clock.clone())
        .observer(TracingObserver)
        .observer(events.clone());
    let prometheus = PrometheusBuilder::new().build_recorder();
    let manager = metrics::with_local_recorder(&prometheus, || builder.metrics().build());
    let user = UserId::new(USER).unwrap();
    let login = || {
        let device = Device::new().with_label(AGENT).with_user_agent(AGENT).with_ip([192, 0, 2, 77].into());
        Login::new(user.clone()).method("pwd").device(device).carry_over(NOTE)
    };
    let mut browser = Browser { client: Client::new(&manager), tokens: Vec::new(), errors: String::new(), look };

    browser.request(async |session| session.insert(NOTE, &VALUE.to_owned())).await;
    browser.request(async |session| session.login(login())).await;
    browser.request(async |session| session.update(NOTE, |note| note.push_str(VALUE))).await;

    clock.advance(renewal.timeout);
    let kept = browser.client.token().unwrap().to_owned();
    browser.read().await;
    browser.present(&kept).await; // in the grace window
    browser.read().await;
    browser.present(&kept).await; // after the successor was used
    let stepped_up = StepUp::new(user.clone()).method("otp").level(Assurance::Aal2);
    browser.request(async |session| session.step_up(stepped_up)).await;
    browser.request(async |session| session.regenerate()).await;

    clock.advance(renewal.timeout);
    let kept = browser.client.token().unwrap().to_owned();
    browser.read().await;
    clock.advance(Duration::from_secs(60));
    browser.present(&kept).await; // reuse
    browser.read().await; // the session is gone

    browser.refresh(&manager, login()).await;

    browser.request(async |session| session.login(login())).await;
    store.hook().set_failing(true);
    browser.read().await;
    store.hook().set_failing(false);
    let device = manager.list(&user).await.unwrap()[0].id;
    let _ = manager.revoke(&user, &device).await.unwrap();
    browser.request(async |session| session.login(login())).await;
    browser.request(async |session| session.step_up(StepUp::new(UserId::new("another user").unwrap()))).await;
    browser.request(async |session| session.insert(NOTE, &VALUE.repeat(100_000))).await;
    browser.request(async |session| session.logout()).await;

    browser.present(&kept).await; // of an ended session
    browser.present("nonsense").await;
    browser.present(&format!("{kept}; __Host-id={}", "A".repeat(64))).await;

    let Browser { tokens, errors, .. } = browser;
    let metrics = prometheus.handle().render();
    Traces { log: log.bytes(), metrics, events: events.bytes(), errors, tokens, written: store.hook().written() }
}
