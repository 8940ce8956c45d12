//! The suite on the store it is written against, with encrypted values.

use std::process::ExitCode;

use session_conformance::{EncryptedHarness, ReferenceHarness};
use session_core::OsEntropy;
use session_core::store::{EncryptionKey, EncryptionKeyError, EncryptionKeys};

fn main() -> Result<ExitCode, EncryptionKeyError> {
    let keys = EncryptionKeys::new(EncryptionKey::generate(&OsEntropy)?);
    Ok(session_conformance::main(EncryptedHarness::new("reference, encrypted", ReferenceHarness::default(), keys)))
}
