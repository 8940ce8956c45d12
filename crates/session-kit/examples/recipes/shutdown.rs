//! A server that ends without losing anything: on SIGTERM, it finishes what it has begun.

use std::io;
use std::time::Duration;

use axum::Router;
use session_kit::SessionManager;
use tokio::net::TcpListener;

/// How long requests may take that are under way, and then what goes on after them. Together less than the patience of what
/// ends the process: 30 seconds in Kubernetes, 10 in Docker.
const REQUESTS: Duration = Duration::from_secs(15);
const BACKGROUND: Duration = Duration::from_secs(5);

/// Serves `app` until `signal` completes.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    sessions: SessionManager,
    signal: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let sweep = tokio::spawn(sessions.clone().sweep());
    let (stop, mut stopped) = tokio::sync::watch::channel(());
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        signal.await;
        drop(stop);
    });
    tokio::select! {
        // Accepts nothing new, and waits for the requests under way. Each commits before it is answered.
        served = server => served?,
        // Sockets and streams of events do not end by themselves.
        () = async { let _ = stopped.changed().await; tokio::time::sleep(REQUESTS).await } => {}
    }
    sweep.abort();
    // Commits whose clients went away, and the end of logins that nobody received.
    let unfinished = sessions.drain(BACKGROUND).await;
    if unfinished > 0 {
        eprintln!("{unfinished} commits were given up"); // your log
    }
    Ok(())
}

/// Completes when the process is told to end: SIGTERM, or Ctrl-C.
pub(crate) async fn signal() {
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}
