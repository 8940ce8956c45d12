//! Request cases are tested: an adapter that breaks a rule fails some of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{
    AdapterHarness, CoreAdapter, Failure, Handler, HttpRequest, HttpResponse, Options, ReferenceHarness, matching, run,
};
use session_core::SessionManager;

/// The adapter of core with one broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Forgets(&'static str),
    AnswersErrorsWith(u16),
    LoadsEverySession,
    ReadsOneCookieHeader,
    NeverResponds,
}

#[async_trait]
impl AdapterHarness for Broken {
    fn adapter(&self) -> &'static str {
        "broken"
    }

    async fn send(
        &self,
        manager: SessionManager,
        mut request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure> {
        let mut cookies = 0;
        request.headers.retain(|(name, _)| {
            cookies += usize::from(*name == "cookie");
            *name != "cookie" || cookies == 1 || *self != Self::ReadsOneCookieHeader
        });
        if *self == Self::LoadsEverySession && handler.is_none() {
            let cookie = request.headers.iter().find(|(name, _)| *name == "cookie");
            manager.open(&manager.read_cookie(cookie.map(|(_, value)| value.as_bytes()))).await.unwrap();
        }
        let mut response = CoreAdapter.send(manager, request, handler).await?;
        match self {
            Self::Forgets(forgotten) => response.headers.retain(|(name, _)| name != forgotten),
            Self::AnswersErrorsWith(status) if response.status >= 400 => response.status = *status,
            Self::NeverResponds => return Err("the connection was closed".into()),
            Self::AnswersErrorsWith(_) | Self::LoadsEverySession | Self::ReadsOneCookieHeader => {}
        }
        Ok(response)
    }
}

async fn failing(adapter: Broken) -> Vec<&'static str> {
    let harness = Arc::new(ReferenceHarness::through(Arc::new(adapter)));
    let reports = run(harness, &matching("request/*"), Options::default()).await;
    reports.into_iter().filter(|report| report.result.is_failure()).map(|report| report.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_forgets_a_header_fails() {
    let vary = failing(Broken::Forgets("vary")).await;
    assert_eq!(vary, ["request/dead-tokens-look-alike", "request/consulted-means-vary"]);
    for header in ["set-cookie", "cache-control"] {
        let failing = failing(Broken::Forgets(header)).await;
        assert!(failing.contains(&"request/fixation"), "{header}: {failing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_hides_errors_fails() {
    for status in [200, 500] {
        let failing = failing(Broken::AnswersErrorsWith(status)).await;
        for case in ["request/slow-writer-gets-gone", "request/unreadable-is-not-logged-out"] {
            assert!(failing.contains(&case), "{status}: {failing:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_misreads_requests_fails() {
    assert_eq!(failing(Broken::LoadsEverySession).await, ["request/nobody-asks-nothing-is-loaded"]);
    let expected = [
        "request/two-different-cookies-are-nobodys",
        "request/of-two-cookies-the-later-login-counts",
        "request/cookie-is-found-in-any-header",
    ];
    assert_eq!(failing(Broken::ReadsOneCookieHeader).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_never_responds_passes_no_case() {
    assert_eq!(failing(Broken::NeverResponds).await.len(), matching("request/*").len());
}
