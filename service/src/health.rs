//! Asking a process on this machine how it is: what a container's health check runs.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A process that does not answer within this time is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether the process lives: `/healthz`.
    Alive,
    /// Whether it can do its work: `/readyz`.
    Ready,
}

impl std::str::FromStr for Question {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "alive" => Ok(Self::Alive),
            "ready" => Ok(Self::Ready),
            _ => Err("it takes alive or ready".to_owned()),
        }
    }
}

/// Why a process is not well.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Nobody answers.
    #[error("nothing answers at {address}: {source}")]
    Silent {
        /// Where it was asked.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It says no.
    #[error("{0}")]
    Unwell(String),
}

/// Asks the admin listener at `admin`, an address with a port, and waits two seconds for the answer. An address
/// that means all of the machine's is asked through the loopback.
///
/// # Errors
///
/// [`HealthError`] with what the process says, or that it says nothing.
pub fn ask(admin: SocketAddr, question: Question) -> Result<(), HealthError> {
    let address = loopback(admin);
    let silent = |source| HealthError::Silent { address, source };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(silent)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(silent)?;
    let path = match question {
        Question::Alive => "/healthz",
        Question::Ready => "/readyz",
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(silent)?;
    let lines: Vec<String> = BufReader::new(stream).lines().collect::<io::Result<_>>().map_err(silent)?;
    match lines.first().and_then(|status| status.split(' ').nth(1)) {
        Some("200") => Ok(()),
        Some(_) => Err(HealthError::Unwell(lines.last().cloned().unwrap_or_default())),
        None => Err(silent(io::ErrorKind::InvalidData.into())),
    }
}

fn loopback(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use crate::admin::{Admin, Readiness, Router};
    use crate::metrics::Metrics;

    use super::*;

    #[tokio::test]
    async fn it_says_what_the_process_says() {
        let readiness = Readiness::starting();
        let any = "0.0.0.0:0".parse().expect("an address");
        let admin = Admin::bind(any, "[test] admin", Metrics::new(), readiness.clone(), Router::new());
        let admin = admin.await.expect("a free port");
        let address = admin.local_addr();
        let asked = async |question| {
            let asked = tokio::task::spawn_blocking(move || ask(address, question)).await;
            asked.expect("no panic").map_err(|error| error.to_string())
        };
        assert_eq!(asked(Question::Alive).await, Ok(()));
        assert_eq!(asked(Question::Ready).await, Err("starting".to_owned()));
        readiness.ready();
        assert_eq!(asked(Question::Ready).await, Ok(()));
        admin.shutdown().await;
        let error = asked(Question::Alive).await.expect_err("it has ended");
        assert!(error.contains("nothing answers at 127.0.0.1"), "{error}");
    }
}
