//! All sessions, for an administrator: how many, over time and by kind.

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{Markup, html};
use session_core::{SessionManager, Timestamp};
use session_tower::Authenticated;

use super::chart::{chart, peak};
use super::errors::PageError;
use super::layout::{Viewer, page};
use super::moment::moment;
use crate::accounts::is_administrator;
use crate::counts::{Counts, Kinds, PAGE, Report};

/// A user who may see the sessions of everybody. As an argument of a handler, it keeps all others out: visitors are led to the form,
/// other users are refused.
pub(super) struct Administrator(Authenticated);

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let session = Authenticated::from_request_parts(parts, state).await?;
        if is_administrator(session.user()) {
            Ok(Self(session))
        } else {
            Err(PageError::NotAdministrator(session.user().clone()))
        }
    }
}

pub(super) async fn show(
    Administrator(session): Administrator,
    Extension(counts): Extension<Counts>,
) -> Result<Markup, PageError> {
    let report = counts.look().await?;
    let manager: &SessionManager = session.manager();
    let content = content(&report, manager.now());
    Ok(page("All sessions", &Viewer::User(session.user().clone()), &content))
}

fn content(report: &Report, now: Timestamp) -> Markup {
    let latest = report.samples.last();
    let kinds = latest.and_then(|sample| sample.kinds);
    html! {
        section {
            h2 { "Live sessions" }
            @if let Some(latest) = latest {
                p.count { @if !latest.total.is_exact { "about " } (latest.total.sessions) }
            }
            (chart(&report.samples, now))
            p.quiet { "At most " (peak(&report.samples)) " in this time. " a href="/admin" { "Count again" } }
        }
        section {
            h2 { "By kind" }
            @if let Some(kinds) = kinds { (table(&kinds)) }
            p.quiet { (walked(report, now)) }
        }
        section {
            h2 { "What this costs" }
            p.quiet {
                "A count, which the store makes without listing anything, and one page of " (PAGE) " sessions: every ten seconds \
                 from the first look at this page until an hour after the last one. Before, nothing is counted."
            }
        }
        p { a href="/" { "Back to the start" } }
    }
}

fn table(kinds: &Kinds) -> Markup {
    html! {
        table.kinds {
            thead { tr { th scope="col" { "Kind" } th.number scope="col" { "Sessions" } } }
            tbody {
                @for (class, name, sessions) in [
                    ("refresh", "Users, with a refresh token", kinds.refresh),
                    ("cookies", "Users, with a cookie", kinds.cookies),
                    ("visitors", "Visitors, with a cookie", kinds.visitors),
                ] {
                    tr {
                        th scope="row" { span.swatch.(class) {} (name) }
                        td.number { (sessions) }
                    }
                }
            }
        }
    }
}

/// How old the kinds are, and when there will be newer ones.
fn walked(report: &Report, now: Timestamp) -> Markup {
    html! {
        @match report.kinds_at {
            Some(at) => { "As counted " (moment(at, now)) ". " }
            None => { "Not known yet. " }
        }
        @if report.looked_at > 0 {
            "There are more sessions than one page has. Since then, " (report.looked_at) " were looked at."
        }
    }
}

#[cfg(test)]
mod tests {
    use session_core::Timestamp;
    use session_core::store::Count;

    use super::content;
    use crate::counts::{Kinds, Report, Sample};

    #[test]
    fn what_is_not_exact_or_not_known_is_said() {
        let at = Timestamp::from_millis(1_000_000);
        let sample = Sample { at, total: Count::estimated(1_200_000), kinds: None };
        let mut report = Report { samples: vec![sample], kinds_at: None, looked_at: 1_000 };
        let text = content(&report, at).into_string();
        assert!(text.contains("<p class=\"count\">about 1200000</p>"), "{text}");
        assert!(text.contains("Not known yet. ") && text.contains("1000 were looked at"), "{text}");
        assert!(!text.contains("<table"), "{text}");

        report.samples[0].total = Count::exact(3);
        report.samples[0].kinds = Some(Kinds { visitors: 1, cookies: 2, refresh: 0 });
        (report.kinds_at, report.looked_at) = (Some(at), 0);
        let text = content(&report, at).into_string();
        assert!(text.contains("<p class=\"count\">3</p>") && !text.contains("looked at"), "{text}");
        assert!(text.contains("Users, with a cookie</th><td class=\"number\">2</td>"), "{text}");
    }
}
