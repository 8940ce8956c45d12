use session_core::SessionToken;

fn leak(token: &SessionToken) -> SessionToken { token.clone() }

fn main() {}
