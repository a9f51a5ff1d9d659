//! As much HTTP as asking an admin listener takes.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::DEADLINE;

const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks at something that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Status and body of `GET http://127.0.0.1:PORT/PATH`.
///
/// # Errors
///
/// Where nobody answers in time.
pub async fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
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
pub async fn json(port: u16, path: &str) -> Value {
    match get(port, path).await {
        Ok((200, body)) => serde_json::from_str(&body).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// Waits until `found` finds something in the status of the atlas whose admin listener has this port.
pub async fn until_at<T>(admin: u16, what: &str, mut found: impl FnMut(&Value) -> Option<T>) -> T {
    asked(admin, "/api/status", what, |_, body| found(&serde_json::from_str(body).ok()?)).await
}

/// Waits until the process whose admin listener has this port says that it is ready.
pub async fn until_ready(admin: u16, what: &str) {
    asked(admin, "/readyz", what, |code, _| (code == 200).then_some(())).await;
}

async fn asked<T>(port: u16, path: &str, what: &str, mut found: impl FnMut(u16, &str) -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = get(port, path).await;
        if let Ok((code, body)) = &answer
            && let Some(found) = found(*code, body)
        {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}; {path} says {answer:?}");
        sleep(LOOK_AGAIN).await;
    }
}
