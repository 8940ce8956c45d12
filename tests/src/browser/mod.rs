//! A real browser, Chromium: found or installed as the [servers](crate::servers) are, without windows, and gone with its
//! profile when its handle is dropped or this process ends.
//!
//! ```no_run
//! # use session_testbed::browser::Chromium;
//! # use session_testbed::servers::Nginx;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nginx = Nginx::launch(&[("shop.example.test", "location / { return 200 hello; }")]).await?;
//! let chromium = Chromium::launch(&nginx.chromium_flags()).await?;
//! let (alice, bob) = (chromium.context().await?, chromium.context().await?); // as two people
//! let tab = alice.page().await?;
//! tab.open("https://shop.example.test/").await?;
//! assert_eq!(tab.text().await?, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! It is driven by the DevTools protocol over a pipe: no port, no server that others could reach, no driver whose version
//! must match. The dozen methods that are used here are untyped JSON, because Debian has a new Chromium every few weeks,
//! and typed bindings reject what they do not know yet.

mod chromium;
mod packages;
mod page;
mod pipe;

pub use chromium::{Chromium, Context, Cookie};
pub use packages::package_file;
pub use page::{Page, Scheme};
