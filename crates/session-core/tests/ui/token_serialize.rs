use session_core::SessionToken;

fn serializable<T: serde::Serialize>(_: T) {}
fn leak(token: SessionToken) { serializable(token); }

fn main() {}
