use session_core::SessionToken;

fn leak(token: SessionToken) { println!("{token}"); }

fn main() {}
