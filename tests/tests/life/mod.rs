//! A whole life of sessions, and what it left behind.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::store::{Record, SessionStore};
use session_core::{
    Assurance, Device, Error, Event, Key, Login, ManualClock, Policy, PresentedToken, Renewal, SessionId,
    SessionManager, SessionObserver, StepUp, TracingObserver, UserId,
};
use session_testbed::{Client, RecordingStore, Secrets};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

const NOTE: Key<String> = Key::new("note");

pub(crate) const USER: &str = "user-8f3ac1";
pub(crate) const VALUE: &str = "value-51c0d2";
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
pub(crate) struct Traces {
    /// Everything that was logged, at every level.
    pub(crate) log: Vec<u8>,
    /// `Debug` of every event.
    pub(crate) events: Vec<u8>,
    /// `Display` and `Debug` of every error and what caused it.
    pub(crate) errors: String,
    /// Every token that was issued.
    pub(crate) tokens: Vec<String>,
    /// Every record that was written: its id, and the rest encoded.
    pub(crate) written: Vec<(SessionId, bytes::Bytes)>,
}

impl Traces {
    /// Every issued token.
    pub(crate) fn tokens(&self) -> Secrets {
        let mut secrets = Secrets::new();
        for token in &self.tokens {
            secrets.add_token(token).expect("a client holds tokens");
        }
        secrets
    }

    /// Everything that has no place outside the store: tokens, what the store keeps of them, ids, users, values.
    pub(crate) fn all(&self) -> Secrets {
        let mut secrets = self.tokens();
        for record in self.written.iter().map(|(id, bytes)| Record::decode(*id, bytes).unwrap()) {
            for bytes in stored_secrets(&record) {
                secrets.add_bytes("a digest or nonce", &bytes);
            }
            secrets.add_bytes("a session id", record.summary.id.as_bytes());
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

/// A client, and the tokens and errors it met.
struct Visitor<L> {
    client: Client,
    tokens: Vec<String>,
    errors: String,
    look: L,
}

impl<L: AsyncFnMut()> Visitor<L> {
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

    /// A client with refresh tokens: login, two refreshes, and the first token once more, which is reuse.
    async fn refresh(&mut self, manager: &SessionManager, login: Login) {
        let mut token = manager.issue_refresh_token(login, None).await.unwrap().token.encode().expose().to_owned();
        let first = PresentedToken::parse(token.as_bytes()).unwrap();
        self.tokens.push(token.clone());
        (self.look)().await;
        for _ in 0..2 {
            let refresh =
                manager.verify_refresh_token(&PresentedToken::parse(token.as_bytes()).unwrap()).await.unwrap();
            let grant = manager.rotate(refresh.unwrap()).await.unwrap().unwrap();
            self.errors.push_str(&format!("{grant:?}\n"));
            token = grant.token.encode().expose().to_owned();
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

/// A full life: a visitor's data, login, writes, renewal, the grace window, step-up, regeneration, reuse, a store that
/// fails, refresh tokens, another device, logout, and cookies that are no session. Calls `look` after each request.
pub(crate) async fn life(store: impl SessionStore, look: impl AsyncFnMut()) -> Traces {
    let (log, events) = (Text::default(), Text::default());
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || sink.clone());
    let _guard = subscriber.finish().set_default();

    let renewal = Renewal { timeout: Duration::from_secs(600), grace: Duration::from_secs(10) };
    let store = RecordingStore::new(store);
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
    let mut visitor = Visitor { client: Client::new(&manager), tokens: Vec::new(), errors: String::new(), look };

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

    visitor.refresh(&manager, login()).await;

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
