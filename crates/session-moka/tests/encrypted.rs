//! The shared suite, on this store with encrypted values.

use std::process::ExitCode;

use session_conformance::EncryptedHarness;
use session_core::OsEntropy;
use session_core::store::{EncryptionKey, EncryptionKeyError, EncryptionKeys};

fn main() -> Result<ExitCode, EncryptionKeyError> {
    let keys = EncryptionKeys::new(EncryptionKey::generate(&OsEntropy)?);
    Ok(session_conformance::main(EncryptedHarness::new("moka, encrypted", session_testbed::Moka::default(), keys)))
}
