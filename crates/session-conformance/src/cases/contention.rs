//! Sessions that end while other tasks write to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use session_core::store::Record;

use super::support::MILLI;
use crate::outcome::{Failure, Outcome};
use crate::test_store::{TestStore, next};

/// How many tasks write.
const WRITERS: usize = 8;

/// What the other tasks do.
#[derive(Clone, Copy)]
pub(super) enum Write {
    Update,
    Touch,
}

/// Runs `end` while several tasks write to `records`, which stop when it has returned.
pub(super) async fn among_writes<T>(
    store: &TestStore,
    records: &[Record],
    write: Write,
    end: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writers = records.iter().cloned().cycle().take(WRITERS);
    let writing = store.run_concurrently(writers, |store, record| {
        let (started, ended) = (Arc::clone(&started), Arc::clone(&ended));
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            for turn in 1.. {
                write.run(&store, &record, turn).await?;
                tokio::task::yield_now().await;
                if ended.load(Ordering::SeqCst) {
                    break;
                }
            }
            Ok(())
        }
    });
    let ending = async {
        while started.load(Ordering::SeqCst) < WRITERS {
            tokio::task::yield_now().await;
        }
        let answer = end.await;
        ended.store(true, Ordering::SeqCst);
        answer
    };
    let (written, answer) = tokio::join!(writing, ending);
    written?;
    answer
}

impl Write {
    /// Writes once, at a time that moves with `turn`.
    pub(super) async fn run(self, store: &TestStore, record: &Record, turn: u32) -> Outcome {
        match self {
            Self::Update => {
                if let Some(current) = store.load(record.id()).await? {
                    tokio::task::yield_now().await;
                    let _ = store.update(&next(&current)?, current.version).await?;
                }
            }
            Self::Touch => {
                let _ = store.touch_at(record, store.now() + turn * MILLI).await?;
            }
        }
        Ok(())
    }
}
