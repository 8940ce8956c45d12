//! [`Sqlite`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::Namespace;
use session_core::store::SessionStore;
use session_sqlite::SqliteStore;

use super::servers::TIMEOUT;
use crate::failure::failure;
use crate::servers::namespace;

/// How many applications share a file. Not all of them: each new one makes every connection to the file read its schema anew.
const IN_A_FILE: usize = 8;

/// `session-sqlite`, several applications in each file. Each handle has its own connections, like each process of a service.
#[derive(Debug)]
pub struct Sqlite {
    folder: PathBuf,
    files: Mutex<HashMap<Namespace, PathBuf>>,
}

impl Default for Sqlite {
    /// In a folder of its own, which goes with it.
    fn default() -> Self {
        let folder = std::env::temp_dir().join(format!("session-testbed-{}", namespace()));
        Self { folder, files: Mutex::default() }
    }
}

impl Sqlite {
    fn file(&self, namespace: &Namespace) -> PathBuf {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.folder.join(format!("{}.db", files.len() / IN_A_FILE));
        files.entry(namespace.clone()).or_insert(new).clone()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // It is not there if nothing was opened.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl Harness for Sqlite {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        // No server, so nothing to disrupt; session-sqlite kills processes in its own tests.
        Capabilities { durable: true, shared: true, disruptions: &[] }
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        std::fs::create_dir_all(&self.folder).map_err(failure)?;
        let store = SqliteStore::builder(self.file(namespace), namespace.clone()).operation_timeout(TIMEOUT);
        Ok(Arc::new(store.open().await?))
    }
}
