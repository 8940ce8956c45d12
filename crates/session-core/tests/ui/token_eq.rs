use session_core::SessionToken;

fn leak(a: SessionToken, b: SessionToken) -> bool { a == b }

fn main() {}
