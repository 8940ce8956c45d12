//! Request cases are tested: each rule of an adapter that is broken makes some of them fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{
    AdapterHarness, Capabilities, CaseReport, CoreAdapter, Failure, Handler, Harness, HttpRequest, HttpResponse,
    Options, ReferenceHarness, matching, run,
};
use session_core::SessionManager;
use session_core::store::SessionStore;

/// The adapter of core with one broken rule.
#[derive(Clone, Copy, Debug)]
enum Broken {
    ForgetsVary,
    ForgetsSetCookie,
    ForgetsCacheControl,
    AnswersErrorsWith500,
    AnswersEverythingWith200,
    LoadsEverySession,
    ReadsFirstCookieHeader,
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
        mut handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure> {
        let mut first = true;
        match self {
            Self::LoadsEverySession if handler.is_none() => {
                let header =
                    request.headers.iter().find(|(name, _)| *name == "cookie").map(|(_, value)| value.as_bytes());
                let _ = manager.open(&manager.read_cookie(header)).await;
            }
            Self::ReadsFirstCookieHeader => {
                request.headers.retain(|(name, _)| *name != "cookie" || std::mem::take(&mut first));
            }
            Self::NeverResponds => return Err("the connection was closed".into()),
            _ => {}
        }
        let mut response = CoreAdapter.send(manager, request, handler.take()).await?;
        let forgotten = match self {
            Self::ForgetsVary => "vary",
            Self::ForgetsSetCookie => "set-cookie",
            Self::ForgetsCacheControl => "cache-control",
            _ => "",
        };
        response.headers.retain(|(name, _)| name != forgotten);
        match (self, response.status) {
            (Self::AnswersErrorsWith500, 400..) => response.status = 500,
            (Self::AnswersEverythingWith200, _) => response.status = 200,
            _ => {}
        }
        Ok(response)
    }
}

/// The reference store behind a broken adapter.
#[derive(Debug)]
struct Behind {
    adapter: Broken,
    store: ReferenceHarness,
}

#[async_trait]
impl Harness for Behind {
    fn backend(&self) -> &'static str {
        self.store.backend()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        self.store.open(namespace).await
    }

    fn adapter(&self) -> Arc<dyn AdapterHarness> {
        Arc::new(self.adapter)
    }
}

async fn failing(adapter: Broken) -> Vec<&'static str> {
    let harness = Behind { adapter, store: ReferenceHarness::default() };
    let reports = run(Arc::new(harness), &matching("request/*"), Options::default()).await;
    reports.into_iter().filter(|report| report.result.is_failure()).map(|report: CaseReport| report.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_forgets_a_header_fails() {
    assert_eq!(failing(Broken::ForgetsVary).await, ["request/dead-tokens-look-alike", "request/consulted-means-vary"]);
    assert!(failing(Broken::ForgetsSetCookie).await.contains(&"request/fixation"));
    assert!(failing(Broken::ForgetsCacheControl).await.contains(&"request/cookie-attributes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_hides_errors_fails() {
    for adapter in [Broken::AnswersErrorsWith500, Broken::AnswersEverythingWith200] {
        let failing = failing(adapter).await;
        for case in ["request/slow-writer-gets-gone", "request/unreadable-is-not-logged-out"] {
            assert!(failing.contains(&case), "{adapter:?}: {failing:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_misreads_requests_fails() {
    assert_eq!(failing(Broken::LoadsEverySession).await, ["request/nobody-asks-nothing-is-loaded"]);
    let expected = ["request/two-different-cookies-are-nobodys", "request/cookie-is-found-in-any-header"];
    assert_eq!(failing(Broken::ReadsFirstCookieHeader).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_never_responds_passes_no_case() {
    assert_eq!(failing(Broken::NeverResponds).await.len(), matching("request/*").len());
}
