//! The thread that frees memory.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::inner::Inner;

/// How often the thread wakes up.
const TICK: Duration = Duration::from_secs(1);

/// In how many ticks it visits all stripes: a pass over a million sessions takes about 20 ms of one core.
const TICKS_PER_PASS: usize = 8;

/// Sweeps `store` until it is dropped. The sending half of `stopped` must be dropped with it: that ends the thread at
/// once.
///
/// # Panics
/// If the operating system refuses a thread.
pub(crate) fn start(store: &Arc<Inner>, stopped: Receiver<()>) {
    let store = Arc::downgrade(store);
    let sweep = move || {
        for tick in (0..TICKS_PER_PASS).cycle() {
            match stopped.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let Some(store) = store.upgrade() else { return };
            store.sweep(tick, TICKS_PER_PASS);
        }
    };
    // Detached: the last handle may be dropped by this very thread, which could not join itself.
    if let Err(error) = thread::Builder::new().name("session-moka".to_owned()).spawn(sweep) {
        panic!("the session store cannot start the thread that frees its memory: {error}");
    }
}
