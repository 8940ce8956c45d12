//! Deployment: a proxy in front, and replacing one version by the next.
//!
//! # Behind a proxy
//! The library looks at three headers of a request beside the cookie, and a proxy has to leave them alone: `Host`, `Origin`
//! and `Sec-Fetch-Site`. The [guard](crate::adapter::OriginGuard) decides by them whether a page of another site has sent it. Most
//! requests of browsers say `Sec-Fetch-Site`; the handshake of a WebSocket does not, and then `Origin` has to be that of
//! `Host`. So a wrong `Host` shows first as a WebSocket that gets 403, and the log says which header was seen, and what to set.
//!
//! `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-For` are **not** looked at: whoever reaches the application can write
//! them. That the cookie is `Secure` is a matter of the [policy](crate::CookiePolicy), not of the request: TLS ends at the proxy, and
//! nothing has to be configured for it. If you want the address of the client in the list of devices, or in
//! [events](crate::adapter::RequestInfo), take it from the header that *your* proxy overwrites.
//!
//! nginx:
//!
//! ```text
//! # In `http`: what the documentation of nginx recommends for WebSockets.
//! map $http_upgrade $connection_upgrade { default upgrade; '' close; }
//!
//! server {
//!     listen 443 ssl;
//!     server_name shop.example.org;
//!     # ssl_certificate …
//!
//!     location / {
//!         proxy_pass http://127.0.0.1:3000;
//!         proxy_set_header Host $http_host;              # as the browser sent it; else it is 127.0.0.1:3000
//!         proxy_http_version 1.1;                        # WebSockets
//!         proxy_set_header Upgrade $http_upgrade;
//!         proxy_set_header Connection $connection_upgrade;
//!         proxy_read_timeout 1h;                         # sockets and streams that say nothing for a minute
//!         proxy_set_header X-Forwarded-For $remote_addr; # overwritten, for the application
//!     }
//! }
//! ```
//!
//! Server-sent events need `proxy_buffering off`, there or as a header of their response (`X-Accel-Buffering: no`). Several servers are an
//! `upstream`; it needs no sticky sessions, unless the store is `memory:`.
//!
//! Caddy passes on `Host` and upgrades by itself:
//!
//! ```text
//! shop.example.org {
//!     reverse_proxy 127.0.0.1:3000
//! }
//! ```
//!
//! So does Traefik, as long as `passHostHeader` is left on, which is the default:
//!
//! ```text
//! http:
//!   routers:
//!     shop: { rule: "Host(`shop.example.org`)", entryPoints: [websecure], tls: {}, service: shop }
//!   services:
//!     shop: { loadBalancer: { servers: [{ url: "http://127.0.0.1:3000" }] } }
//! ```
//!
//! If a proxy cannot be made to pass on `Host`, make the site's own origin a trusted one:
//! `OriginGuard::new().trusted_origin("https://shop.example.org")?`. A cache or CDN in front keeps no page of a user: answers to a logged-in
//! user are `private, no-store` ([the manual](crate::manual::browsers)).
//!
//! # A new version
//! Sessions are in the store, so servers come and go, and nobody is logged out; with `memory:` everybody is. Old and new servers
//! run side by side for a while. So:
//!
//! - **Migrations before servers.** `migrate()` of `PostgresStore` (and `open` calls it) only applies what is missing, and may run on many
//!   servers at once. If the role of the application may not create tables, run it before, as a job or an init container with a role
//!   that may.
//! - **Values of your own** are read by both versions: give new fields a default
//!   ([Values and notices](super#values-and-notices)). To change a type, take a new name for the key.
//! - **The record format** of the library is written by both, too: a release that brings a new one says so in its changelog, and writes the
//!   old one until [`record_format`](crate::PolicyBuilder::record_format) says otherwise.
//! - **Keys** that sign tokens, or encrypt values, are the same on all servers.
//!
//! Kubernetes, for a server with [Shutdown](super#shutdown) and [Health](super#health):
//!
//! ```text
//! spec:
//!   replicas: 3
//!   strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }
//!   template:
//!     spec:
//!       terminationGracePeriodSeconds: 30   # more than preStop, REQUESTS and BACKGROUND together: 5 + 15 + 5
//!       initContainers:
//!         - { name: migrate, image: shop, args: [migrate] }
//!       containers:
//!         - name: shop
//!           image: shop
//!           startupProbe: { httpGet: { path: /health/ready, port: 3000 }, failureThreshold: 30, periodSeconds: 1 }
//!           readinessProbe: { httpGet: { path: /health/live, port: 3000 } }
//!           livenessProbe: { httpGet: { path: /health/live, port: 3000 } }
//!           lifecycle:
//!             preStop: { sleep: { seconds: 5 } }
//! ```
//!
//! - **The store is asked at the start** (`startupProbe`, by [`ping`](crate::SessionManager::ping)): a version with a wrong password or without its tables gets no requests, and the
//!   roll-out stops. It is *not* asked later: a store that all servers share would make all of them unready at once, and pages
//!   that need no session would be gone as well. While it is down, requests that need a session are answered with 503.
//! - **`preStop`** waits until the pod is out of the lists of endpoints, which happens at the same time as SIGTERM would; requests that are
//!   sent meanwhile are still served.
//! - **SIGTERM** then ends the server as in [Shutdown](super#shutdown). WebSockets are cut at the end of that time; their clients connect
//!   again, to another pod.
