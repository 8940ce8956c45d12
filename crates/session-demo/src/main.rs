//! Starts the demo. See the library for what it shows.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use session_core::Policy;
use session_demo::args::{Args, Mode};
use session_demo::bound::Bound;
use session_demo::history::History;
use session_demo::keys::KeyFile;
use session_demo::metrics::{Metrics, Recorder};
use session_demo::sessions::Sessions;
use session_demo::store::OpenStore;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How long requests in flight may take after the shutdown signal.
const GRACE: Duration = Duration::from_secs(5);

/// How long what goes on after its request may take then.
const DRAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let args = Args::parse();
    // Events of sessions, on standard error. They contain neither ids nor users.
    let events = Targets::new().with_target("session", LevelFilter::DEBUG);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(events).init();
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Box<dyn Error>> {
    // For TLS to the store. Fails if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(run(args));
    // Does not wait for name resolution that is still running.
    runtime.shutdown_background();
    result
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let policy = args.policy()?;
    let mut shutdown = std::pin::pin!(shutdown_signal()?);
    let Some(url) = args.store_url()? else { return serve_site(&args, &policy, None, shutdown).await };
    let store = tokio::select! {
        store = url.open(&policy, args.namespace.clone(), args.cache) => store?,
        () = &mut shutdown => return Ok(()),
    };
    let served = serve_site(&args, &policy, Some(&store), shutdown).await;
    // Whatever came of it. A disk that hangs must not keep the process from ending.
    let _ = timeout(GRACE, store.close()).await;
    served
}

/// The site, until `shutdown` completes.
async fn serve_site(
    args: &Args,
    policy: &Policy,
    store: Option<&OpenStore>,
    mut shutdown: impl Future<Output = ()> + Unpin,
) -> Result<(), Box<dyn Error>> {
    // Before there is anything to count.
    let (recorder, history) = (Recorder::install()?, History::new());
    let sessions = tokio::select! {
        sessions = Sessions::open_with(args, policy.clone(), store, history.clone()) => sessions?,
        () = &mut shutdown => return Ok(()),
    };
    let listener =
        TcpListener::bind(args.listen).await.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    if let Some(hint) = hint(address, policy) {
        eprintln!("{hint}");
    }
    // With a store that expires records by itself, it is idle.
    let sweep = tokio::spawn(sessions.manager().clone().sweep());
    match &args.keys {
        // Ends with the runtime.
        Some(path) => drop(tokio::spawn(sessions.clone().watch_key_file(KeyFile::new(path.clone())))),
        None if args.mode != Mode::Cookie => eprintln!(
            "hint: what this process signs ends with it, and no other process accepts it; with --keys PATH the keys \
             are kept, and can be shared"
        ),
        None => {}
    }
    println!("listening on http://{address}");
    std::io::stdout().flush()?;
    let site = args.issuer.clone().unwrap_or_else(|| format!("http://{address}"));
    let cache = store.and_then(OpenStore::cache);
    let metrics = Metrics::new(recorder.clone(), &sessions, cache.clone());
    let upkeep = tokio::spawn(recorder.upkeep());
    let site = site.trim_end_matches('/');
    let bound = Bound::new(args, policy, site)?;
    let bound = bound.as_ref();
    let router = session_demo::build_router(&sessions, site, &args.embedded_by, cache, metrics, history, bound);
    session_demo::server::serve(listener, router, shutdown, GRACE).await;
    sweep.abort();
    upkeep.abort();
    // Commits whose clients went away.
    sessions.manager().drain(DRAIN).await;
    Ok(())
}

/// Completes on SIGINT or SIGTERM; both are caught as soon as this function returns.
#[cfg(unix)]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
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
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// A warning for newcomers whose browser will drop the cookie, or whose network can read it.
fn hint(address: SocketAddr, policy: &Policy) -> Option<&'static str> {
    match (policy.cookie().is_secure(), address.ip().is_loopback()) {
        (true, true) => Some(
            "hint: the session cookie is Secure. Chromium and Firefox keep it on loopback addresses; \
             for Safari add --insecure-cookies",
        ),
        (true, false) => Some(
            "hint: the session cookie is Secure, so browsers keep it over https only: \
             put a proxy with https in front, or try the demo with --insecure-cookies",
        ),
        (false, true) => None,
        (false, false) => Some("hint: with --insecure-cookies anyone on the network can take over sessions"),
    }
}
