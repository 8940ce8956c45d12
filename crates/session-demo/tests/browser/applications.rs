//! Applications of tests themselves, beside the demos: each has a host of its own, behind the same nginx.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::response::IntoResponse as _;
use tower::ServiceExt as _;

/// Each name below it is a host that nginx passes on. All of them are the same site, and that of the demos.
pub(crate) const DOMAIN: &str = "spa.example.test";

/// A server for all of them, which chooses by `Host`.
pub(crate) struct Applications {
    address: SocketAddr,
    by_host: Arc<Mutex<HashMap<String, Router>>>,
}

impl Applications {
    /// Starts the server, on threads of its own: the runtime of a test ends with the test.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, by_host) = (listener.local_addr().unwrap(), Arc::default());
        let choose = choose(Arc::clone(&by_host));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, choose).await.unwrap();
            });
        });
        Self { address, by_host }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves an application from now on; its origin.
    pub(crate) fn add(&self, name: &str, application: Router) -> String {
        let host = format!("{name}.{DOMAIN}");
        let origin = format!("https://{host}");
        let before = self.by_host.lock().unwrap().insert(host, application);
        assert!(before.is_none(), "there is another {name}");
        origin
    }
}

fn choose(by_host: Arc<Mutex<HashMap<String, Router>>>) -> Router {
    Router::new().fallback(async move |request: Request| {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let application = by_host.lock().unwrap().get(host).cloned();
        match application {
            Some(application) => application.oneshot(request).await.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    })
}
