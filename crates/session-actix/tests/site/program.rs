//! The program that these tests are about: the example `site`.

use std::path::PathBuf;

/// How its errors begin.
pub(crate) const NAME: &str = "site";

/// It has no pages.
pub(crate) const HAS_PAGES: bool = false;

/// Cargo builds the examples of a package for its tests, unless only some of those are named.
pub(crate) fn path() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push(format!("examples/site{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "cargo build -p session-actix --example site");
    path
}

/// Runs each of these tests on one kind of server: what differs is not in the example.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::backend::Backend::Redis).await; })+
        }
    };
}
pub(crate) use on_both;
