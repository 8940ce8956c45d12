//! The program that these tests are about. The example of session-actix is another one.

use std::path::PathBuf;

/// How its errors begin.
pub(crate) const NAME: &str = "session-demo";

/// Whether it has pages beside the API.
pub(crate) const HAS_PAGES: bool = true;

pub(crate) fn path() -> PathBuf {
    env!("CARGO_BIN_EXE_session-demo").into()
}

/// Runs each of these tests on both kinds of servers.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::backend::Backend::Redis).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::backend::Backend::Postgres).await; })+
        }
    };
}
pub(crate) use on_both;
