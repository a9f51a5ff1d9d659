//! As much HTTP as asking an admin listener takes.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);

/// Status and body of `GET http://127.0.0.1:PORT/PATH`.
pub(crate) async fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
    };
    tokio::time::timeout(PATIENCE, ask).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The body as JSON, or null where there is no good answer.
pub(crate) async fn json(port: u16, path: &str) -> Value {
    match get(port, path).await {
        Ok((200, body)) => serde_json::from_str(&body).unwrap_or_default(),
        _ => Value::Null,
    }
}
