//! Sessions that are bound to the device they began on: the option `--bind`.

use std::error::Error;

use axum::Router;
use axum::extract::{Extension, FromRequestParts, OriginalUri, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use session_core::{CookiePolicy, Policy};
use session_tower::{BindingEnforcement, DeviceBinding, Rejection, Session, device_binding, require_device};

use crate::args::{Args, Bind, Mode};

/// How sessions are bound.
#[derive(Clone, Debug)]
pub struct Bound {
    binding: DeviceBinding,
    /// What `/sensitive` wants.
    sensitive: DeviceBinding,
}

/// The header of an answer to a login, if it offers something.
pub(crate) type Offer = Option<[(&'static str, String); 1]>;

impl Bound {
    /// What the options ask for, for the site at `address`.
    ///
    /// # Errors
    /// If there are no sessions that could be bound.
    pub fn new(args: &Args, policy: &Policy, address: &str) -> Result<Option<Self>, Box<dyn Error>> {
        let sensitive = match args.bind {
            Bind::Off => return Ok(None),
            Bind::Offer => BindingEnforcement::WhereBound,
            Bind::Require => BindingEnforcement::Required,
        };
        if args.mode == Mode::Client {
            return Err(
                "--bind is for --mode cookie and --mode hybrid: each copy of a client-side session is its own".into()
            );
        }
        let cookie = if policy.cookie().is_secure() {
            CookiePolicy::builder("__Host-bound").build()?
        } else {
            CookiePolicy::local_development(&format!("{}-bound", args.namespace))?
        };
        let binding = DeviceBinding::new(address, "/session/bind", "/session/renew", cookie)?;
        Ok(Some(Self { sensitive: binding.clone().enforcement(sensitive), binding }))
    }

    /// What most routes want.
    pub fn binding(&self) -> &DeviceBinding {
        &self.binding
    }

    /// What a route wants, by the path of the target; `None` if it wants nothing: whoever has lost the key may log in again, and
    /// out, and a ping asks for no session.
    #[must_use]
    pub fn wanted_by(&self, path: &str) -> Option<&DeviceBinding> {
        match path {
            "/login" | "/logout" | "/api/login" | "/api/logout" | "/api/ping" => None,
            "/sensitive" | "/api/sensitive" => Some(&self.sensitive),
            _ => Some(&self.binding),
        }
    }

    /// `routes`, which demand what is bound. To be put inside of the session layer.
    pub(crate) fn around(bound: Option<&Self>, routes: Router) -> Router {
        match bound {
            Some(bound) => {
                routes.layer(from_fn_with_state(bound.clone(), require)).layer(Extension(bound.binding.clone()))
            }
            None => routes,
        }
    }

    /// The routes of the protocol.
    pub(crate) fn routes(bound: Option<&Self>) -> Router {
        bound.map(|bound| device_binding(bound.binding.clone())).unwrap_or_default()
    }

    /// Offers to bind the session of a login, if there is something to offer.
    pub(crate) fn offer(binding: Option<&DeviceBinding>, session: &Session) -> Result<Offer, Rejection> {
        Ok(match binding {
            Some(binding) => Some([binding.offer(session)?]),
            None => None,
        })
    }
}

async fn require(State(bound): State<Bound>, request: Request, next: Next) -> Result<Response, Rejection> {
    let (mut parts, body) = request.into_parts();
    // Not the path that a router has cut the beginning off.
    let OriginalUri(uri) =
        OriginalUri::from_request_parts(&mut parts, &()).await.unwrap_or_else(|never| match never {});
    let Some(binding) = bound.wanted_by(uri.path()).cloned() else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let session = <Session as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;
    require_device(State(binding), session, Request::from_parts(parts, body), next).await
}
