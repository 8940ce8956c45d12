//! Events and measurements as metrics, through the facade `metrics`. All series are there from the start, at zero: the first
//! failure is then a change, which an alert sees. So a count is one addition, and no label depends on what a client sends.

use std::collections::HashMap;
use std::fmt;

use ::metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::error::StoreErrorKind;
use crate::event::{Event, EventKind, Expiry, OriginRefusal, SessionObserver, Termination};
use crate::measurement::Measurement;

/// Counts what a manager tells.
pub(crate) struct Meter {
    /// By metric, and the value of its label.
    counters: HashMap<(&'static str, &'static str), Counter>,
    /// By operation and kind.
    errors: HashMap<(&'static str, StoreErrorKind), Counter>,
    /// By operation, and whether it failed.
    durations: HashMap<(&'static str, bool), Histogram>,
    live: Gauge,
}

/// A counter with one label at most.
struct Family {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    /// All values of the label. One that is empty: there is no label.
    values: &'static [&'static str],
}

const OPENED: &str = "session_opened_total";
const BEGUN: &str = "session_begun_total";
const ENDED: &str = "session_ended_total";
const TOKENS_CHANGED: &str = "session_tokens_changed_total";
const TOKENS_REPLAYED: &str = "session_tokens_replayed_total";
const TOKENS_REFUSED: &str = "session_tokens_refused_total";
const LOGINS_REFUSED: &str = "session_logins_refused_total";
const VISITORS_REFUSED: &str = "session_visitors_refused_total";
const REQUESTS_REFUSED: &str = "session_requests_refused_total";
const AMBIGUOUS_COOKIES: &str = "session_ambiguous_cookies_total";
const NEW_DEVICES: &str = "session_new_devices_total";
const ABANDONED: &str = "session_abandoned_total";
const CONFLICTS: &str = "session_conflicts_total";
const DELETED: &str = "session_expired_deleted_total";
const ERRORS: &str = "session_store_errors_total";
const DURATION: &str = "session_store_operation_duration_seconds";
const LIVE: &str = "session_live";

const NONE: &[&str] = &[""];

const FAMILIES: [Family; 14] = [
    Family {
        name: OPENED,
        help: "Requests that asked for their session, by what they found",
        label: "found",
        values: &["user", "visitor", "nothing", "failed"],
    },
    Family {
        name: BEGUN,
        help: "Sessions that began: logins, and first writes of visitors",
        label: "kind",
        values: &["user", "visitor"],
    },
    Family {
        name: ENDED,
        help: "Sessions that were ended before their deadline, by reason",
        label: "reason",
        values: &["logout", "replaced", "revoked", "evicted", "reuse", "unreceived", "cookie_removed"],
    },
    Family {
        name: TOKENS_CHANGED,
        help: "Tokens that were replaced by a successor, by cause",
        label: "cause",
        values: &["renewal", "step_up", "regeneration"],
    },
    Family {
        name: TOKENS_REPLAYED,
        help: "Tokens that were presented again within their grace window, and accepted",
        label: "",
        values: NONE,
    },
    Family {
        name: TOKENS_REFUSED,
        help: "Tokens that were presented and gave access to nothing, by reason",
        label: "reason",
        values: &[
            "expired_idle",
            "expired_absolute",
            "not_before",
            "unknown",
            "malformed",
            "raced",
            "replayed",
            "reused",
            "access_token",
            "proof",
            "device",
            "logout_token",
        ],
    },
    Family {
        name: LOGINS_REFUSED,
        help: "Logins that were refused: too many sessions, or wrong credentials at the token routes",
        label: "reason",
        values: &["limit", "credentials"],
    },
    Family {
        name: VISITORS_REFUSED,
        help: "Visitors whose values were not stored, by reason",
        label: "reason",
        values: &["gate", "cookie_unknown"],
    },
    Family {
        name: REQUESTS_REFUSED,
        help: "Requests that were refused as coming from another origin, or going to another host",
        label: "reason",
        values: &["other_site", "other_host", "opaque", "missing", "unreadable", "host_not_allowed"],
    },
    Family {
        name: AMBIGUOUS_COOKIES,
        help: "Requests with several different cookies of the session's name",
        label: "",
        values: NONE,
    },
    Family { name: NEW_DEVICES, help: "Logins from a device that is new to the user", label: "", values: NONE },
    Family { name: ABANDONED, help: "Work in the background that was given up", label: "", values: NONE },
    Family {
        name: CONFLICTS,
        help: "Writes that met another one of the same session, and began again",
        label: "operation",
        values: &["create", "update"],
    },
    Family { name: DELETED, help: "Expired records that were deleted from the store", label: "", values: NONE },
];

/// What may be asked of a store.
const OPERATIONS: [&str; 10] = [
    "load",
    "create",
    "update",
    "touch",
    "delete",
    "list_by_user",
    "delete_by_user",
    "list_all",
    "count",
    "delete_expired",
];

impl Meter {
    /// Describes the metrics of a manager with this store, and registers them with the recorder that is installed now.
    pub(crate) fn new(store: &'static str) -> Self {
        let mut counters = HashMap::new();
        for Family { name, help, label, values } in FAMILIES {
            describe_counter!(name, Unit::Count, help);
            for value in values {
                let counter = if value.is_empty() { counter!(name) } else { counter!(name, label => *value) };
                counters.insert((name, *value), counter);
            }
        }
        describe_counter!(ERRORS, Unit::Count, "Failures of the store, by operation and kind");
        // A session that its client keeps is sealed.
        let failing = OPERATIONS.into_iter().chain(["seal"]);
        let failures = failing.flat_map(|operation| StoreErrorKind::ALL.map(|kind| (operation, kind)));
        let error = |(operation, kind): (&'static str, StoreErrorKind)| {
            let labels = [("store", store), ("operation", operation), ("kind", kind.as_str())];
            ((operation, kind), counter!(ERRORS, &labels))
        };
        describe_histogram!(DURATION, Unit::Seconds, "How long operations of the store take");
        let durations = OPERATIONS.into_iter().flat_map(|operation| [(operation, false), (operation, true)]);
        let duration = |(operation, has_failed): (&'static str, bool)| {
            let outcome = if has_failed { "failed" } else { "ok" };
            let labels = [("store", store), ("operation", operation), ("outcome", outcome)];
            ((operation, has_failed), histogram!(DURATION, &labels))
        };
        describe_gauge!(LIVE, Unit::Count, "Live sessions in the store, when they were last counted; NaN before");
        let live = gauge!(LIVE);
        // Not known yet, which is not zero.
        live.set(f64::NAN);
        Self { counters, errors: failures.map(error).collect(), durations: durations.map(duration).collect(), live }
    }

    fn add(&self, name: &'static str, value: &'static str, count: u64) {
        if let Some(counter) = self.counters.get(&(name, value)) {
            counter.increment(count);
        }
    }
}

impl SessionObserver for Meter {
    fn on_event(&self, event: &Event) {
        if let EventKind::StoreFailed { operation, kind } = &event.kind {
            if let Some(counter) = self.errors.get(&(*operation, *kind)) {
                counter.increment(1);
            }
        } else if let Some((name, value)) = counted(&event.kind) {
            self.add(name, value, 1);
        }
    }

    fn on_measurement(&self, measurement: &Measurement) {
        match *measurement {
            Measurement::Opened(found) => self.add(OPENED, found.as_str(), 1),
            Measurement::StoreCall { operation, failure, took, .. } => {
                if let Some(histogram) = self.durations.get(&(operation, failure.is_some())) {
                    histogram.record(took);
                }
            }
            Measurement::Conflict { operation } => self.add(CONFLICTS, operation, 1),
            Measurement::Deleted { records } => self.add(DELETED, "", records),
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            Measurement::Counted { sessions } => self.live.set(sessions as f64),
        }
    }

    fn wants_measurements(&self) -> bool {
        true
    }
}

/// The counter of an event, and the value of its label.
fn counted(kind: &EventKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        EventKind::Created => (BEGUN, "visitor"),
        EventKind::LoggedIn => (BEGUN, "user"),
        EventKind::NewDevice => (NEW_DEVICES, ""),
        EventKind::SteppedUp => (TOKENS_CHANGED, "step_up"),
        EventKind::Regenerated => (TOKENS_CHANGED, "regeneration"),
        EventKind::Renewed => (TOKENS_CHANGED, "renewal"),
        EventKind::Terminated(why) => (ENDED, ended(*why)),
        EventKind::CookieRemoved => (ENDED, "cookie_removed"),
        EventKind::Replayed => (TOKENS_REPLAYED, ""),
        EventKind::ReplayRefused => (TOKENS_REFUSED, "replayed"),
        EventKind::Expired(Expiry::Idle) => (TOKENS_REFUSED, "expired_idle"),
        EventKind::Expired(Expiry::Absolute) => (TOKENS_REFUSED, "expired_absolute"),
        EventKind::Expired(Expiry::NotBefore) => (TOKENS_REFUSED, "not_before"),
        EventKind::TokenReuse => (TOKENS_REFUSED, "reused"),
        EventKind::RenewalRaced => (TOKENS_REFUSED, "raced"),
        EventKind::UnknownToken => (TOKENS_REFUSED, "unknown"),
        EventKind::MalformedToken => (TOKENS_REFUSED, "malformed"),
        EventKind::InvalidAccessToken => (TOKENS_REFUSED, "access_token"),
        EventKind::InvalidProof => (TOKENS_REFUSED, "proof"),
        EventKind::DeviceNotProved => (TOKENS_REFUSED, "device"),
        EventKind::InvalidLogoutToken => (TOKENS_REFUSED, "logout_token"),
        EventKind::LimitReached => (LOGINS_REFUSED, "limit"),
        EventKind::LoginRefused => (LOGINS_REFUSED, "credentials"),
        EventKind::AmbiguousCookie => (AMBIGUOUS_COOKIES, ""),
        EventKind::NotStored => (VISITORS_REFUSED, "cookie_unknown"),
        EventKind::VisitorRefused => (VISITORS_REFUSED, "gate"),
        EventKind::CrossOrigin(refusal) => (REQUESTS_REFUSED, refused(*refusal)),
        EventKind::Abandoned => (ABANDONED, ""),
        EventKind::StoreFailed { .. } => return None,
    })
}

fn ended(why: Termination) -> &'static str {
    match why {
        Termination::Logout => "logout",
        Termination::Replaced => "replaced",
        Termination::Revoked => "revoked",
        Termination::Evicted => "evicted",
        Termination::Reuse => "reuse",
        Termination::Unreceived => "unreceived",
    }
}

fn refused(why: OriginRefusal) -> &'static str {
    match why {
        OriginRefusal::OtherSite => "other_site",
        OriginRefusal::OtherHost => "other_host",
        OriginRefusal::Opaque => "opaque",
        OriginRefusal::Missing => "missing",
        OriginRefusal::Unreadable => "unreadable",
        OriginRefusal::HostNotAllowed => "host_not_allowed",
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}
