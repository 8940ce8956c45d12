//! Recipes: what applications do with sessions, each as a file to copy.
//!
//! The code is that of [`examples/recipes`](https://docs.rs/crate/session-kit/latest/source/examples/recipes/) in this package,
//! and each recipe has tests that use it as browsers do. With a checkout of the repository,
//! `cargo run --example recipes --all-features -- login` serves one of them. All are for axum 0.8; with actix-web the calls of a
//! session are the same, and [a whole shop](#a-shop-with-actix-web) shows what is around them.
//!
//! | you want | recipe |
//! |---|---|
//! | a login with a password | [Login](#login) |
//! | values of your own types, notices that are shown once | [Values and notices](#values-and-notices) |
//! | the account of the user in a handler | [Current user](#current-user) |
//! | visitors led to the login, and back | [To the login, and back](#to-the-login-and-back) |
//! | a change of the password that ends the other sessions | [Change of password](#change-of-password) |
//! | a list of devices, and the end of each | [Devices](#devices) |
//! | a login that outlives the browser | [Remember me](#remember-me) |
//! | a WebSocket, server-sent events | [Sockets and streams](#sockets-and-streams) |
//! | work that goes on after its request | [Jobs](#jobs) |
//! | tests with a logged-in user, and with time | [Tests](#tests) |
//! | one pool of connections to PostgreSQL | [One pool](#one-pool) |
//! | a server that ends in good order | [Shutdown](#shutdown) |
//! | health checks | [Health](#health) |
//! | a single-page application at another origin | [Single-page application](#single-page-application) |
//! | a client without cookies | [Mobile client](#mobile-client) |
//! | all sessions, for administrators | [Administration](#administration) |
//! | pages of your own for errors | [Error pages](#error-pages) |
//! | actix-web | [A shop with actix-web](#a-shop-with-actix-web) |
//! | nginx, Caddy, Traefik, Kubernetes | [`deployment`] |
//!
//! In `Cargo.toml`, beside `session-kit` with `axum` and a store (`jwt` for the mobile client):
//!
//! ```toml
//! argon2 = "0.6"                                              # Login, Change of password
//! axum = { version = "0.8", features = ["ws"] }               # Sockets and streams
//! futures = "0.3"
//! tokio = { version = "1", features = ["full"] }
//! tower = { version = "0.5", features = ["util"] }            # Tests
//! tower-http = { version = "0.6", features = ["cors"] }       # Single-page application
//! ```
//!
//! # Login
//! The application checks the password, the library begins the session. Three things are easily forgotten: a name that nobody has
//! must take as long as one that somebody has, or the time tells them apart; a hash takes tens of milliseconds of a processor, so
//! it is computed on a thread of its own; and a form that anybody can send needs a limit of attempts, which is yours.
//!
//! `login` begins a **new** session, without the values of the visitor's; [`Login::carry_over`](crate::Login::carry_over) names
//! those that are kept, such as a cart. What is inserted after it, such as a greeting, is a value of the new one. [`credentials`](crate::Login::credentials) ties the session to this password, for
//! [Current user](#current-user).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/login.rs")]
//! ```
//!
//! # Values and notices
//! A [`Key`](crate::Key) has a name and a type. `insert` replaces a value; to change one, use
//! [`update`](crate::Session::update), which loses nothing to another tab. What belongs to the account rather than to this
//! browser belongs into your database.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/flash.rs")]
//! ```
//!
//! # Current user
//! A session knows the id of its user. The extractor loads the account, once a request and only where it is asked for. It also
//! compares credentials: whoever changes the password, by whatever tool, ends all sessions of before, without a list of them. A
//! second factor belongs into the compared bytes, too: `format!("{hash} {factor_version}")`.
//!
//! If your database fails, that is an error of yours (500, 503), never "not logged in": do not end the session then.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/current_user.rs")]
//! ```
//!
//! # To the login, and back
//! The layer leads visitors to the login (`redirect_to_login`), and a parameter of the address says where to go after it. Strangers
//! can write that, so [`safe_next`](crate::adapter::safe_next) decides when it comes back. Do not build the redirect in a middleware
//! around the layer: a new response there loses the session's headers.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/next.rs")]
//! ```
//!
//! # Change of password
//! Three steps, in this order:
//!
//! 1. **The account.** After it, nobody can log in with the old password. A login that has verified it already, and begins its
//!    session later, is stopped by [`has_credentials`](crate::Session::has_credentials), as in [Current user](#current-user);
//!    `revoke_others` alone would miss it.
//! 2. **This session**: [`step_up`](crate::Session::step_up) with the new credentials. It gets a new token, so a copy of the old cookie is worthless,
//!    and keeps its id and values. Without `credentials`, this browser would be out as well. It is committed here, not with the
//!    response: if it fails, the answer says so, before any other session has ended.
//! 3. **The others**: [`revoke_others`](crate::SessionManager::revoke_others). They are out at their next request, sockets at once.
//!
//! If the process dies between two steps, every session that is left has the old credentials, and is out at its next request.
//! After a *forgotten* password there is no session to keep: the account, then [`revoke_all`](crate::SessionManager::revoke_all),
//! then a login.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/password.rs")]
//! ```
//!
//! # Devices
//! A device has a name if its login said one: `Login::new(user).device(Device::new().with_user_agent(agent))`, as
//! [the shop](crate) does. The id of a session is public; its token is what gives access, and nobody but the browser has it.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/devices.rs")]
//! ```
//!
//! # Remember me
//! The login asks, the [policy](crate::PolicyBuilder::remember_me) decides. There is no second cookie: the session itself lives longer, is
//! in the list of devices, and ends with all others. For a sensitive page, ask for a recent proof with
//! [`Fresh`](https://docs.rs/session-tower/latest/session_tower/struct.Fresh.html), however the user came in.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/remember.rs")]
//! ```
//!
//! # Sockets and streams
//! The session of a request can only be read once the response was sent. What goes on takes a
//! [`SessionHandle`](crate::SessionHandle) along: it opens the session as it is now, and knows when it ends, in this process at
//! once, elsewhere within about a second. The [guard](crate::adapter::OriginGuard) refuses sockets that pages of other sites open;
//! behind a proxy it needs the [right `Host`](deployment).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/live.rs")]
//! ```
//!
//! # Jobs
//! The same handle. It is no permission that outlasts the session: `open` fails with [`Error::Gone`](crate::Error::Gone) after a logout.
//! What must be done whether or not the user stays (an order that was paid) belongs into a queue, with the id of the user.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/job.rs")]
//! ```
//!
//! # Tests
//! A store in memory, a [`ManualClock`](crate::ManualClock), and a user who is logged in by one line
//! ([`testing`](https://docs.rs/session-core/latest/session_core/testing/)): nothing is slow, nothing sleeps. That line is a feature,
//! for tests only; with actix-web it is the same:
//!
//! ```toml
//! [dev-dependencies]
//! session-kit = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! A visitor with values is [`testing::begin`](https://docs.rs/session-core/latest/session_core/testing/fn.begin.html). Requests without `Origin` and `Sec-Fetch-Site` pass the guard, as those of scripts do.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/testing.rs")]
//! ```
//!
//! # One pool
//! ```no_run
#![doc = include_str!("../examples/recipes/pool.rs")]
//! ```
//!
//! # Shutdown
//! A request commits before it is answered, so a server that finishes its requests loses nothing. What is left are commits whose clients
//! went away meanwhile: [`drain`](crate::SessionManager::drain). A `SqliteStore` is closed after that (`store.close().await`).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/shutdown.rs")]
//! ```
//!
//! # Health
//! [`ping`](crate::SessionManager::ping) asks the store itself, past any cache, and waits no longer than a request does. Who shall know
//! the cause without the log finds it in the [source](std::error::Error::source) of the error: `redis: load: unavailable: …`.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/health.rs")]
//! ```
//!
//! # Single-page application
//! At another origin of the **same site** (`app.example.org` and `api.example.org`), the browser sends the cookie, `SameSite=Lax` or
//! `Strict`, if the script says `credentials: "include"`. Two permissions are needed: the guard's, to act, and that of CORS, to read
//! answers. At the same origin, neither. To an application of *another site* browsers send no such cookie: take
//! [tokens](#mobile-client).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/spa.rs")]
//! ```
//!
//! # Mobile client
//! The refresh token is a session in the store, with all others in the list of devices; each refresh replaces it, and one that is
//! used twice ends the session. The client keeps it in the keychain of its system. [The manual](crate::manual::kinds) compares this with
//! cookies.
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/mobile.rs")]
//! ```
//!
//! # Administration
//! Who may do it, is yours to say: [`RejectionKind::Forbidden`](crate::adapter::RejectionKind::Forbidden) is the answer to all others.
//! The session of a visitor has no owner, and ends by its id alone ([`revoke_visitor`](crate::SessionManager::revoke_visitor)). From a shell:
//! [`session-admin`](crate::manual::operating).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/admin.rs")]
//! ```
//!
//! # Error pages
//! Without words of yours, a rejection is JSON with a stable code. The kinds and their codes:
//! [`RejectionKind`](crate::adapter::RejectionKind).
//!
//! ```no_run
#![doc = include_str!("../examples/recipes/errors.rs")]
//! ```
//!
//! # A shop with actix-web
//! `cargo run --example shop_actix --all-features`. It ends in good order by itself, but for the `drain` behind it.
//!
//! ```no_run
#![doc = include_str!("../examples/shop_actix.rs")]
//! ```

pub mod deployment;
