//! A notice that the page behind a redirect shows, once ("flash").

use maud::{Markup, html};
use serde_json::Value;
use session_core::Key;
use session_tower::{Rejection, Session};

/// Of any shape, because the API stores any value under any key.
const NOTICE: Key<Value> = Key::new("notice");

/// For the next page. What it is about was done already, so a session that is full is no reason to fail: then nothing is said.
pub(super) fn leave(session: &Session, text: String) {
    let _ = session.insert(NOTICE, &Value::from(text));
}

/// What was left for this page.
pub(super) fn take(session: &Session) -> Result<Markup, Rejection> {
    let notice = session.take(NOTICE)?;
    Ok(html! {
        @if let Some(text) = notice.as_ref().and_then(Value::as_str) { p.notice role="status" { (text) } }
    })
}
