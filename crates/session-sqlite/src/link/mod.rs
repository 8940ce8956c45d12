//! What opens, reads and writes the file: connections, the queue of writes, errors.

mod error;
mod file;
mod identity;
mod migrate;
mod patience;
mod readers;
mod transaction;
mod writer;

pub(crate) use self::error::{no_answer, unexpected_reply};
pub(crate) use self::file::File;
pub(crate) use self::patience::{BREATH, Patience};
pub(crate) use self::readers::Readers;
pub(crate) use self::transaction::{Failure, Operation, Space, Statement, Transaction};
pub(crate) use self::writer::Writer;
