//! Spans: their names, fields and parents, and that nobody pays for them who does not ask.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use session_core::{Key, UserId};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::bed::{Bed, login};

const COUNT: Key<u32> = Key::new("count");

/// A span that was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) parent: Option<&'static str>,
    /// All that it may have, whether or not it was recorded.
    pub(crate) fields: Vec<&'static str>,
    values: BTreeMap<&'static str, String>,
}

#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Spans {
    pub(crate) fn keep(level: LevelFilter) -> (Self, DefaultGuard) {
        let spans = Self::default();
        (spans.clone(), tracing_subscriber::registry().with(spans.with_filter(level)).set_default())
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        self.0.lock().unwrap().drain(..).map(|(_, seen)| seen).collect()
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        if metadata.target() != "session" {
            return;
        }
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.name());
        let fields = metadata.fields().iter().map(|field| field.name()).collect();
        let mut seen = Seen { name: metadata.name(), parent, fields, values: BTreeMap::new() };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        if let Some((_, seen)) = spans.iter_mut().rev().find(|(known, _)| *known == id.into_u64()) {
            values.record(seen);
        }
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.values.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.insert(field.name(), value.to_owned());
    }
}

/// `name parent key=value …`, without what says the same in other words.
fn told(seen: &[Seen]) -> Vec<String> {
    let line = |seen: &Seen| {
        let values = seen.values.iter().filter(|(key, _)| !key.starts_with("otel."));
        let values = values.map(|(key, value)| format!(" {key}={value}"));
        format!("{} < {}{}", seen.name, seen.parent.unwrap_or("-"), values.collect::<String>())
    };
    seen.iter().map(line).collect()
}

#[tokio::test]
async fn a_request_is_seen_with_all_that_it_asks_of_the_store() {
    let bed = Bed::new();
    let mut client = bed.logged_in().await;
    let (spans, _guard) = Spans::keep(LevelFilter::DEBUG);
    let request = tracing::info_span!("GET /");
    client.request(async |session| session.insert(COUNT, &1)).instrument(request).await.unwrap();
    let seen = spans.take();
    let expected = [
        "session.open < GET / session.found=user",
        "session.store < session.open db.operation.name=load db.system.name=reference",
        "session.commit < GET /",
        "session.store < session.commit db.operation.name=update db.system.name=reference",
    ];
    assert_eq!(told(&seen), expected);
    assert_eq!((&*seen[1].values["otel.name"], &*seen[1].values["otel.kind"]), ("load", "client"));
}

#[tokio::test]
async fn a_failure_says_of_what_kind_it_is() {
    let bed = Bed::new();
    let mut client = bed.logged_in().await;
    let (spans, _guard) = Spans::keep(LevelFilter::DEBUG);
    bed.store.hook().set_failing(true);
    client.request(async |session| session.get(COUNT)).await.unwrap_err();
    bed.store.hook().set_failing(false);
    let expected = [
        "session.open < - error.type=unavailable session.found=failed",
        "session.store < session.open db.operation.name=load db.system.name=reference error.type=unavailable",
    ];
    assert_eq!(told(&spans.take()), expected);
    let alice = UserId::new("alice").unwrap();
    let revoke = async |session: &session_core::Session| {
        bed.manager.revoke_all(&alice).await?;
        session.insert(COUNT, &1)
    };
    client.request(revoke).await.unwrap_err();
    let lines = told(&spans.take());
    assert!(lines.iter().any(|line| line == "session.commit < - error.type=gone"), "{lines:?}");
}

#[tokio::test]
async fn at_info_there_are_none() {
    let bed = Bed::new();
    let (spans, _guard) = Spans::keep(LevelFilter::INFO);
    let mut client = bed.client();
    client.request(async |session| session.login(login())).await.unwrap();
    assert!(spans.take().is_empty());
}
