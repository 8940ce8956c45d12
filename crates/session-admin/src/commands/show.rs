//! `show`

use serde::Serialize;
use session_core::store::{Freshness, Record, SessionStore};
use session_core::{RecordFormat, SessionId, StoreErrorKind};

use crate::args::Show;
use crate::error::Error;
use crate::output::Output;
use crate::pages::{again, is_empty};
use crate::target::{Target, now};
use crate::view::{Session, printable};

/// A record: what is known of it, without values, digests and binding.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    session: Session,
    is_expired: bool,
    /// How often it was updated, and one.
    version: u32,
    format: u8,
    values: Vec<Value>,
    /// Of all names and values, those of the library itself included.
    bytes: usize,
}

#[derive(Serialize)]
struct Value {
    name: String,
    bytes: usize,
}

pub(crate) async fn run(args: &Show, target: &Target, output: &mut Output) -> Result<(), Error> {
    let id = args.id.parse().map_err(|_| Error::NotAnId)?;
    let store = target.open().await?.into_shared();
    let record = find(&*store, &id, target).await?;
    let names = record.data.names().map(|name| Value {
        // The one name that no application can have: that of all values, encrypted.
        name: if name.is_empty() { "(encrypted)".to_owned() } else { name.to_owned() },
        bytes: record.data.get(name.as_bytes()).map_or(0, |value| value.len()),
    });
    let shown = Shown {
        session: Session::new(&record.summary),
        is_expired: record.is_expired(now()),
        version: record.version.number,
        format: RecordFormat::byte(record.format),
        values: names.collect(),
        bytes: record.data.size(),
    };
    let mut lines = shown.session.lines();
    if shown.is_expired {
        lines.push(("state", "expired, and not deleted yet".to_owned()));
    }
    lines.push(("stored", format!("version {}, format {}", shown.version, shown.format)));
    lines.push(("values", format!("{}, {} bytes in all", shown.values.len(), shown.bytes)));
    for value in &shown.values {
        lines.push(("", format!("{}: {} bytes", value.name, value.bytes)));
    }
    output.either(&shown, lines.iter().map(|(name, text)| format!("{name:10}  {}", printable(text))))
}

/// The record of `id`, as it is stored.
///
/// # Errors
/// If there is none, or it cannot be read.
pub(super) async fn find(store: &dyn SessionStore, id: &SessionId, target: &Target) -> Result<Record, Error> {
    match again(|| store.load(id, Freshness::Latest)).await {
        Ok(Some(record)) => Ok(record),
        Ok(None) => {
            let is_empty = is_empty(store).await?;
            Err(Error::NoSuchSession { namespace: target.namespace.clone(), is_empty })
        }
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Err(Error::Unreadable(error)),
        Err(error) => Err(Error::at("load the session")(error)),
    }
}
