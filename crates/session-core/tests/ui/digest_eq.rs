use session_core::TokenDigest;

fn leak(a: TokenDigest, b: TokenDigest) -> bool { a == b }

fn main() {}
