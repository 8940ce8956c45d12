//! Device-bound sessions: the routes of the protocol, and the guard in front of others.

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use session_core::adapter::RequestHead as _;
use session_jwt::{Answer, DeviceBinding};

use super::respond::respond;
use crate::LocalBoxFuture;
use crate::extract::{Session, extract};
use crate::head::Head;
use crate::rejection::Rejection;

/// The routes of [`DeviceBinding`], at its paths: of the registration, and of the renewal. **Experimental.** For
/// [`App::configure`](actix_web::App::configure) inside of the [`SessionMiddleware`](crate::SessionMiddleware), or a scope there whose
/// path is empty.
///
/// ```
/// use actix_web::middleware::from_fn;
/// use actix_web::web::{self, Data};
/// use actix_web::{App, HttpResponse};
/// use session_actix::{DeviceBinding, Rejection, Session, SessionMiddleware, device_binding, require_device};
/// use session_core::{Login, SessionManager, UserId};
///
/// async fn login(binding: Data<DeviceBinding>, session: Session) -> Result<HttpResponse, Rejection> {
///     session.login(Login::new(UserId::new("alice")?))?; // whoever has shown the right password
///     let offer = binding.offer(&session)?;
///     Ok(HttpResponse::Ok().insert_header(offer).body("welcome"))
/// }
///
/// # fn demo(sessions: SessionManager, binding: DeviceBinding) {
/// let account = web::scope("/account").wrap(from_fn(require_device)).route("", web::get().to(async || "yours"));
/// let app = App::new()
///     .app_data(Data::new(binding.clone()))
///     .service(account)
///     .route("/login", web::post().to(login))
///     .configure(device_binding(binding))
///     .wrap(SessionMiddleware::new(sessions));
/// # }
/// ```
pub fn device_binding(binding: DeviceBinding) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let [registration, renewal] = binding.paths().map(str::to_owned);
        let (of_registration, of_renewal) = (binding.clone(), binding);
        let register = move |Opened(session): Opened, request: HttpRequest| {
            let binding = of_registration.clone();
            async move {
                match session {
                    Ok(session) => respond(binding.register(session.manager(), &session, &Head(&request)).await),
                    Err(answer) => respond(answer),
                }
            }
        };
        let renew = move |Opened(session): Opened, request: HttpRequest| {
            let binding = of_renewal.clone();
            async move {
                match session {
                    Ok(session) => respond(binding.renew(session.manager(), &session, &Head(&request)).await),
                    Err(answer) => respond(answer),
                }
            }
        };
        config.route(&registration, web::post().to(register)).route(&renewal, web::post().to(renew));
    }
}

/// The session of a registration or a renewal; or what is answered, if another request has just changed it.
struct Opened(Result<Session, Answer>);

impl FromRequest for Opened {
    type Error = Rejection;
    type Future = LocalBoxFuture<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let opened = extract(request, &DeviceBinding::PASSING, async |session| Ok(session)).await;
            opened
                .map(Ok)
                .or_else(|rejection| DeviceBinding::answer_to(rejection.kind()).map(Err).ok_or(rejection))
                .map(Self)
        })
    }
}

/// Lets requests pass that come from the device of their session, as [`DeviceBinding::require`] says: for
/// [`from_fn`](actix_web::middleware::from_fn), around the routes that want it, and inside of the
/// [`SessionMiddleware`](crate::SessionMiddleware). **Experimental.** The binding is application data. It reads the session of each request:
/// one round trip, which extractors of the same request do not repeat. The routes of the protocol pass. Handlers inside find
/// a `ReqData<BindingState>`: whether the session is bound.
///
/// Leave the login and the logout outside: whoever has lost the key logs in again.
///
/// # Errors
/// [`DeviceBindingRequired`](session_core::adapter::RejectionKind::DeviceBindingRequired), and what [`Session`] is rejected with.
pub async fn require_device<B: MessageBody>(
    session: Session,
    binding: Data<DeviceBinding>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let state = {
        let head = Head(request.request());
        if binding.paths().contains(&head.path()) {
            binding.state(session.manager(), &session, &head)
        } else {
            binding.require(session.manager(), &session, &head).await.map_err(Rejection::from)?
        }
    };
    request.extensions_mut().insert(state);
    next.call(request).await
}
