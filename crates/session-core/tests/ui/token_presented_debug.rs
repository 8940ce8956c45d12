use session_core::SessionToken;

fn leak(token: session_core::PresentedToken, _: SessionToken) { println!("{token:?}"); }

fn main() {}
