//! As much HTTP as asking an admin listener takes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Local listeners answer in milliseconds; one that does not is as good as none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The status and the body of `GET http://ADDRESS/PATH`.
///
/// # Errors
///
/// Where nobody listens, or no answer comes within two seconds.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    timeout(PATIENCE, ask(address, path)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The body of a good answer as JSON; `None` for anything else.
pub(crate) async fn json(address: SocketAddr, path: &str) -> Option<Value> {
    let (status, body) = get(address, path).await.ok()?;
    if status == 200 { serde_json::from_str(&body).ok() } else { None }
}

async fn ask(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    // Version 1.0: the answer is not chunked and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\na: b\r\n\r\nready\n"), Some((200, "ready\n".to_owned())));
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        assert_eq!(parse("nonsense"), None);
    }
}
