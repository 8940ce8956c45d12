//! [`Endpoint`]: a path, and what it answers to each method.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::guard::{self, Guard};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web;
use actix_web::{FromRequest, Handler, Resource, Responder, ResponseError as _};

use crate::error::ApiError;

/// Answers `HEAD` like `GET`, and says to other methods than its own which those are; actix-web does neither by itself.
pub(crate) struct Endpoint {
    resource: Resource,
    methods: Vec<&'static str>,
}

/// At this path, within its scope.
pub(crate) fn at(path: &str) -> Endpoint {
    Endpoint { resource: web::resource(path), methods: Vec::new() }
}

impl Endpoint {
    pub(crate) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: FromRequest + 'static,
    {
        self.on(guard::Any(guard::Get()).or(guard::Head()), "GET, HEAD", handler)
    }

    pub(crate) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: FromRequest + 'static,
    {
        self.on(guard::Post(), "POST", handler)
    }

    pub(crate) fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: FromRequest + 'static,
    {
        self.on(guard::Put(), "PUT", handler)
    }

    pub(crate) fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: FromRequest + 'static,
    {
        self.on(guard::Delete(), "DELETE", handler)
    }

    fn on<F, Args>(mut self, guard: impl Guard + 'static, methods: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: FromRequest + 'static,
    {
        self.methods.push(methods);
        Self { resource: self.resource.route(web::route().guard(guard).to(handler)), ..self }
    }

    /// For one that is wrapped in a middleware of its own.
    pub(crate) fn into_resource(self) -> Resource {
        let allowed = HeaderValue::from_str(&self.methods.join(", ")).ok();
        self.resource.default_service(web::to(move || {
            let mut response = ApiError::MethodNotAllowed.error_response();
            if let Some(allowed) = &allowed {
                response.headers_mut().insert(ALLOW, allowed.clone());
            }
            async move { response }
        }))
    }
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        self.into_resource().register(config);
    }
}
