//! [`Connection`]: one question after the other over one TCP connection, as little as HTTP needs.
//!
//! A client of a library would do more than a question and an answer, at moments of its own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// To one node. Reconnects after an error, and after a question that was given up.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// What a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `name=value` of the cookie that it set.
    pub(super) cookie: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        cookie: Option<&str>,
        body: &str,
    ) -> io::Result<Answer> {
        // Taken out: whoever is dropped here leaves no half of an answer behind.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let cookie = cookie.map_or(String::new(), |cookie| format!("cookie: {cookie}\r\n"));
        let length = body.len();
        let question =
            format!("{method} {path} HTTP/1.1\r\nhost: site\r\n{cookie}content-length: {length}\r\n\r\n{body}");
        stream.write_all(question.as_bytes()).await?;
        let (answer, stays_open) = read(&mut stream).await?;
        if stays_open {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// One answer, and whether another may follow.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(Answer, bool)> {
    let status = line(stream).await?;
    let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut answer = Answer { status: status.ok_or(ErrorKind::InvalidData)?, cookie: None, body: Vec::new() };
    let (mut length, mut stays_open) = (0, true);
    loop {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| ErrorKind::InvalidData)?,
            "connection" => stays_open = !value.eq_ignore_ascii_case("close"),
            "set-cookie" => answer.cookie = value.split(';').next().map(str::to_owned),
            "transfer-encoding" => return Err(ErrorKind::Unsupported.into()),
            _ => {}
        }
    }
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body).await?;
    Ok((answer, stays_open))
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}
