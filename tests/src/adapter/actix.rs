//! [`Actix`]: `session-actix`, with an application of actix-web.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, mpsc as blocking};

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{ContentType, HeaderName, HeaderValue};
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, HttpResponse, Route, rt, web};
use async_trait::async_trait;
use serde::de::IgnoredAny;
use session_actix::{Authenticator, Rejection, Session, SessionMiddleware, TokenRoutes};
use session_conformance::{AdapterHarness, Failure, Handler, HttpRequest, HttpResponse as Answer, TokenRequest};
use session_core::SessionManager;
use session_jwt::{AccountsError, Attempt};
use tokio::sync::{mpsc, oneshot};

use super::application::{Application, path_and_form, token_service};

/// The middleware, the extractor [`Session`], and [`TokenRoutes`].
#[derive(Clone, Copy, Debug)]
pub struct Actix;

#[async_trait]
impl AdapterHarness for Actix {
    fn adapter(&self) -> &'static str {
        "actix"
    }

    async fn send(
        &self,
        manager: SessionManager,
        request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<Answer, Failure> {
        on_a_worker(|| call(manager, request, handler)).await
    }

    fn has_token_routes(&self) -> bool {
        true
    }

    async fn send_token_request(&self, manager: SessionManager, request: TokenRequest) -> Result<Answer, Failure> {
        on_a_worker(|| call_token_route(manager, request)).await
    }
}

/// The answer of `serve`, on a thread of actix-web; ends it there if the future is dropped.
async fn on_a_worker<F>(serve: impl FnOnce() -> F + Send + 'static) -> Result<Answer, Failure>
where
    F: Future<Output = Result<Answer, Failure>> + 'static,
{
    let (answer, answered) = oneshot::channel();
    let (running, ended) = blocking::channel();
    let serve = async move || {
        let mut answer = answer;
        let answered = tokio::select! {
            answered = serve() => Some(answered),
            // Nobody waits for it any more.
            () = answer.closed() => None,
        };
        drop::<blocking::Sender<()>>(running);
        answered.map(|answered| answer.send(answered))
    };
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let worker = &WORKERS[NEXT.fetch_add(1, Ordering::Relaxed) % WORKERS.len()];
    let _ = worker.send(Box::new(|| drop(rt::spawn(async { drop(serve().await) }))));
    let mut in_flight = InFlight { answered, ended };
    (&mut in_flight.answered).await.map_err(|_| Failure::new("the request was dropped"))?
}

/// A request, which ends with this at the latest.
struct InFlight {
    answered: oneshot::Receiver<Result<Answer, Failure>>,
    ended: blocking::Receiver<()>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.answered.close();
        // Nothing is ever sent: this waits for the other end to be dropped, which is another thread's.
        let _ = self.ended.recv();
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Where requests are served: futures of actix-web stay on the thread where they were made.
static WORKERS: LazyLock<[mpsc::UnboundedSender<Work>; 4]> = LazyLock::new(|| {
    [(); 4].map(|()| {
        let (sender, mut works) = mpsc::unbounded_channel::<Work>();
        std::thread::spawn(move || {
            rt::System::new().block_on(async {
                while let Some(work) = works.recv().await {
                    work();
                }
            });
        });
        sender
    })
});

async fn call(manager: SessionManager, request: HttpRequest, handler: Option<Handler>) -> Result<Answer, Failure> {
    let app = App::new().wrap(SessionMiddleware::new(manager)).route(request.path, route(handler));
    let app = init_service(app).await;
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| Failure::new(error.to_string()))?;
    let mut built = TestRequest::default().method(method).uri(request.path);
    for (name, value) in request.headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| Failure::new(error.to_string()))?;
        built = built.append_header((HeaderName::from_static(name), value));
    }
    Ok(to_answer(actix_web::test::call_service(&app, built.to_request()).await).await)
}

async fn call_token_route(manager: SessionManager, request: TokenRequest) -> Result<Answer, Failure> {
    let application = Application::of(&request);
    let routes = TokenRoutes::new(token_service(manager, application.clone())?, application);
    let (path, form) = path_and_form(request);
    let app = init_service(App::new().configure(routes.configure())).await;
    let request = TestRequest::post().uri(path).insert_header(ContentType::form_url_encoded()).set_payload(form);
    Ok(to_answer(actix_web::test::call_service(&app, request.to_request()).await).await)
}

#[async_trait(?Send)]
impl Authenticator for Application {
    type Credentials = IgnoredAny;

    async fn authenticate(
        &self,
        _credentials: IgnoredAny,
        _request: &actix_web::HttpRequest,
    ) -> Result<Attempt, AccountsError> {
        Ok(self.attempt())
    }
}

async fn to_answer(response: ServiceResponse<impl MessageBody>) -> Answer {
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    Answer { status, headers, body: read_body(response).await.to_vec() }
}

fn route(handler: Option<Handler>) -> Route {
    match handler {
        Some(handler) => web::route().to(move |session: Session| {
            let handler = handler.clone();
            async move {
                let session: &session_core::Session = &session;
                handler.run(session.clone()).await.map(|()| HttpResponse::Ok().finish()).map_err(Rejection::from)
            }
        }),
        None => web::route().to(HttpResponse::Ok),
    }
}
