//! The shared suite that every session store must pass.

mod reference;

pub use reference::ReferenceStore;
