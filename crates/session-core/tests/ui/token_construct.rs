use session_core::SessionToken;

fn forge() -> SessionToken { SessionToken::parse(&[b'A'; 64]).unwrap() }

fn main() {}
