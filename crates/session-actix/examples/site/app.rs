//! Which route is inside which middleware.

use std::future::ready;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::fn_guard;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, HttpMessage as _, HttpResponse};
use session_actix::{
    BearerAuth, Challenge, RequestInfo, Session, SessionMiddleware, TokenRoutes, device_binding, require_device,
};
use session_demo::args::Mode;
use session_demo::bound::Bound;
use session_demo::metrics::{self, Metrics};
use session_demo::sessions::Sessions;
use session_demo::store::Cache;

use crate::account::{self, Accounts};
use crate::body::read_body;
use crate::endpoint::at;
use crate::error::ApiError;
use crate::{data, devices, live};

/// What the workers share.
#[derive(Clone)]
pub(crate) struct Site {
    mode: Mode,
    sessions: SessionMiddleware,
    /// In hybrid mode.
    tokens: Option<(TokenRoutes<Accounts>, BearerAuth)>,
    /// Where the site is, without a slash at the end.
    address: String,
    /// With `--cache`.
    cache: Option<Cache>,
    metrics: Metrics,
    /// With `--bind`.
    bound: Option<Bound>,
}

impl Site {
    pub(crate) fn new(
        sessions: &Sessions,
        address: String,
        cache: Option<Cache>,
        metrics: Metrics,
        bound: Option<Bound>,
    ) -> Self {
        let tokens = match sessions {
            Sessions::Hybrid(service) => {
                let described = format!("{address}/.well-known/oauth-protected-resource");
                let challenge = Challenge::new().resource_metadata(described).unwrap_or_default();
                let auth = BearerAuth::new(service.clone()).challenge(challenge);
                Some((TokenRoutes::new(service.clone(), Accounts), auth))
            }
            Sessions::Cookie(_) | Sessions::Client(..) => None,
        };
        let middleware = SessionMiddleware::new(sessions.manager().clone());
        Self { mode: sessions.mode(), sessions: middleware, tokens, address, cache, metrics, bound }
    }

    /// The whole site. The body of a request is read first, whatever it is for.
    pub(crate) fn configure(&self, config: &mut ServiceConfig) {
        let site = web::scope("").wrap(from_fn(describe)).wrap(from_fn(read_body));
        // No browser takes an answer for something else than it says.
        let site = site.wrap(DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")));
        let site = site.service(at("/").get(async || "The API of session-demo, with actix-web."));
        let metrics = self.metrics.clone();
        let metrics = move || {
            let metrics = metrics.clone();
            async move { HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(metrics.render().await) }
        };
        let site = site.service(at("/metrics").get(metrics));
        config.service(site.configure(|config| self.routes(config)).default_service(web::to(not_found)));
    }

    fn routes(&self, config: &mut ServiceConfig) {
        if let Some(bound) = &self.bound {
            config.app_data(bound.clone());
            // The routes of the protocol, and no others.
            let is_protocol = fn_guard(|context| context.head().uri.path().starts_with("/session/"));
            let protocol = web::scope("").guard(is_protocol).wrap(self.sessions.clone());
            config.service(protocol.configure(device_binding(bound.binding().clone())));
        }
        let live = at("/ws").get(live::socket).into_resource().wrap(from_fn(on_device)).wrap(self.sessions.clone());
        let routes = |config: &mut ServiceConfig| {
            api(config, self.mode);
            if let Some(cache) = self.cache.clone() {
                // Does not ask for its session either.
                config.service(at("/cache").get(move || ready(web::Json(cache.describe()))));
            }
        };
        let api = web::scope("").wrap(from_fn(on_device)).wrap(self.sessions.clone());
        let api = api.configure(routes).default_service(web::to(not_found));
        let Some((tokens, auth)) = &self.tokens else {
            config.service(live).service(web::scope("/api").service(api));
            return;
        };
        let api = api.wrap(auth.clone()).wrap(from_fn(uncached));
        config
            .service(live)
            // The token routes are outside of the session middleware: their clients have no session cookie.
            .service(web::scope("/api").configure(tokens.configure()).service(api))
            .service(tokens.jwks())
            .service(tokens.metadata(format!("{}/api", self.address), &self.address))
            .service(tokens.resource_metadata());
    }
}

/// In hybrid mode, `/me` and `/devices` take access tokens too, and look up the session in the store; `/whoami` does not.
fn api(config: &mut ServiceConfig, mode: Mode) {
    match mode {
        Mode::Cookie => config.configure(devices),
        Mode::Hybrid => config.configure(devices).service(at("/whoami").get(account::whoami)),
        Mode::Client => config
            .service(web::resource("/devices").to(devices::unsupported))
            .service(web::resource("/devices/{rest:.*}").to(devices::unsupported)),
    };
    config
        .app_data(mode)
        // Does not ask for its session, and so makes no store call, whatever the cookie.
        .service(at("/ping").get(async || "pong"))
        .service(at("/events").get(live::events))
        .service(at("/login").post(account::login))
        .service(at("/logout").post(account::logout))
        .service(at("/me").get(account::me))
        .service(at("/binding").get(account::binding))
        .service(at("/reauthenticate").post(account::reauthenticate))
        .service(at("/sensitive").get(account::sensitive))
        .service(at("/data").get(data::keys))
        .service(at("/data/{key}").put(data::store).get(data::load).delete(data::remove))
        .service(at("/counter/{key}").post(data::count));
}

fn devices(config: &mut ServiceConfig) {
    config
        .service(at("/devices").get(devices::list))
        .service(at("/devices/revoke-others").post(devices::revoke_others))
        .service(at("/devices/revoke-all").post(devices::revoke_all))
        .service(at("/devices/{id}").delete(devices::revoke));
}

async fn not_found() -> Result<&'static str, ApiError> {
    Err(ApiError::NotFound)
}

/// With `--bind`, a session that is bound is good on its device alone.
async fn on_device(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let bound = request.app_data::<Bound>();
    let Some(binding) = bound.and_then(|bound| bound.wanted_by(request.path())).cloned() else {
        return next.call(request).await;
    };
    let session = request.extract::<Session>().await?;
    require_device(session, Data::new(binding), request, next).await
}

/// Says for events where a request comes from.
async fn describe(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(peer) = request.peer_addr() {
        request.extensions_mut().insert(RequestInfo::new().client(peer.ip()));
    }
    next.call(request).await
}

/// Keeps answers to access tokens out of caches, as the session middleware does with answers to cookies.
async fn uncached(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let has_token = request.headers().contains_key(AUTHORIZATION);
    let mut response = next.call(request).await?;
    if has_token && !response.headers().contains_key(CACHE_CONTROL) {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    Ok(response)
}
