//! Typed values, and notices that are shown once, by the page behind a redirect ("flash").

use axum::response::Redirect;
use axum::routing::get;
use axum::{Form, Router};
use serde::{Deserialize, Serialize};
use session_kit::axum::{Rejection, Session, SessionLayer};
use session_kit::{Key, SessionManager};

const SETTINGS: Key<Settings> = Key::new("settings");
const NOTICE: Key<Notice> = Key::new("notice");

/// A value of your own. It is stored as JSON: with a default for what is missing, the next version of your program reads what
/// this one wrote.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Settings {
    language: String,
    page_size: u8,
}

#[derive(Deserialize, Serialize)]
enum Notice {
    Saved { what: String },
    Unchanged,
}

async fn save(session: Session, Form(new): Form<Settings>) -> Result<Redirect, Rejection> {
    let old = session.get(SETTINGS)?.unwrap_or_default();
    let notice = if old.language == new.language && old.page_size == new.page_size {
        Notice::Unchanged
    } else {
        session.insert(SETTINGS, &new)?;
        Notice::Saved { what: "settings".to_owned() }
    };
    session.insert(NOTICE, &notice)?;
    Ok(Redirect::to("/")) // the session is written before this is sent: the next page finds it
}

async fn page(session: Session) -> Result<String, Rejection> {
    let notice = match session.take(NOTICE)? {
        Some(Notice::Saved { what }) => format!("Your {what} are saved. "),
        Some(Notice::Unchanged) => "There was nothing to save. ".to_owned(),
        None => String::new(), // and nothing was written
    };
    let settings = session.get(SETTINGS)?.unwrap_or_default();
    Ok(format!("{notice}Language: {}, {} a page", settings.language, settings.page_size))
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/", get(page).post(save)).layer(SessionLayer::new(sessions))
}
