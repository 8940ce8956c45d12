//! The API of session-demo, with actix-web: `cargo run -p session-actix --example site -- --store redis://localhost`.
//!
//! Accounts and options are those of the demo, and so is what the routes answer. What to read before building a site of your
//! own:
//!
//! - `app.rs`: where the middlewares belong;
//! - `endpoint.rs`: which methods a path answers;
//! - `account.rs`, `data.rs`, `devices.rs`: handlers, which read and write a session like a map;
//! - `live.rs`: a WebSocket and a stream of events, which go on after their response and end with their session;
//! - `caller.rs`: a user who is logged in, by a cookie or by an access token;
//! - `body.rs`: how long a client may take, and how much it may send.

mod account;
mod app;
mod body;
mod caller;
mod data;
mod devices;
mod endpoint;
mod error;
mod live;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::{App, HttpServer, rt};
use clap::Parser as _;
use session_core::Policy;
use session_demo::args::{Args, Mode};
use session_demo::bound::Bound;
use session_demo::keys::KeyFile;
use session_demo::metrics::{Metrics, Recorder};
use session_demo::sessions::Sessions;
use session_demo::store::OpenStore;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::Site;

/// How long the head of a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long requests in flight may take after the shutdown signal, in seconds.
const GRACE: u64 = 5;
/// How long what goes on after its request may take then.
const DRAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let args = Args::parse();
    // Events of sessions, on standard error. They contain neither ids nor users.
    let events = Targets::new().with_target("session", LevelFilter::DEBUG);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(events).init();
    // For TLS to the store. Fails if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match rt::System::new().block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("site: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut shutdown = Box::pin(shutdown_signal()?);
    let policy = args.policy()?;
    let Some(url) = args.store_url()? else { return serve(args, policy, None, shutdown).await };
    let store = tokio::select! {
        store = url.open(&policy, args.namespace.clone(), args.cache) => store?,
        () = &mut shutdown => return Ok(()),
    };
    let served = serve(args, policy, Some(&store), shutdown).await;
    store.close().await;
    served
}

/// The site, until `shutdown` completes.
async fn serve(
    args: Args,
    policy: Policy,
    store: Option<&OpenStore>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    // Before there is anything to count.
    let recorder = Recorder::install()?;
    let sessions = Sessions::open(&args, policy.clone(), store).await?;
    let listener = std::net::TcpListener::bind(args.listen);
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    // With a store that expires records by itself, it is idle.
    let sweep = rt::spawn(sessions.manager().clone().sweep());
    match &args.keys {
        // Ends with the runtime.
        Some(path) => drop(rt::spawn(sessions.clone().watch_key_file(KeyFile::new(path.clone())))),
        None if args.mode != Mode::Cookie => eprintln!("hint: what this process signs ends with it; see --keys"),
        None => {}
    }
    let manager = sessions.manager().clone();
    // Made once, and shared by all workers.
    let address_of_site = args.issuer.clone().unwrap_or_else(|| format!("http://{address}"));
    let cache = store.and_then(OpenStore::cache);
    let metrics = Metrics::new(recorder.clone(), &sessions, cache.clone());
    let upkeep = rt::spawn(recorder.upkeep());
    let bound = Bound::new(&args, &policy, &address_of_site)?;
    let site = Site::new(&sessions, address_of_site, cache, metrics, bound);
    let server = HttpServer::new(move || App::new().configure(|config| site.configure(config)))
        .client_request_timeout(PATIENCE)
        // For actix-web, that is about the first request of a connection: each other head could take forever. Behind a proxy
        // that limits them, connections may be kept.
        .keep_alive(KeepAlive::Disabled)
        // A client that ends its side has gone: what is done for it is given up.
        .h1_allow_half_closed(false)
        .shutdown_timeout(GRACE)
        .shutdown_signal(shutdown)
        .listen(listener)?
        .run();
    println!("listening on http://{address}");
    std::io::stdout().flush()?;
    server.await?;
    sweep.abort();
    upkeep.abort();
    // Commits whose clients went away.
    manager.drain(DRAIN).await;
    Ok(())
}

/// Completes on SIGINT or SIGTERM; both are caught as soon as this function returns.
#[cfg(unix)]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes on Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
