use session_core::store::TokenDigest;

fn leak(a: TokenDigest, b: TokenDigest) -> bool { a == b }

fn main() {}
