//! One address for two edges, as a balancer in front of them has: bytes are passed on unread, and a new connection
//! goes to the first edge that answers, beginning with the one that was used last.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::failure::Outcome;

/// A running relay; it ends when it is dropped.
pub(super) struct Relay {
    port: u16,
    used: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port of this machine for the edges at these addresses, `wss://localhost:PORT/`.
    pub(super) async fn start(urls: impl Iterator<Item = String>) -> Outcome<Self> {
        let port_of = |url: String| url.trim_end_matches('/').rsplit(':').next()?.parse::<u16>().ok();
        let ports: Vec<u16> = urls.filter_map(port_of).collect();
        let failed = |error| format!("this machine has no free port: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let used = Arc::new(AtomicUsize::new(0));
        let last = Arc::clone(&used);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, ports.clone(), Arc::clone(&last)));
            }
        });
        Ok(Self { port, used, accepting })
    }

    /// Address of the page.
    pub(super) fn page(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }

    /// Place of the edge to which the newest connection went.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass_on(mut client: TcpStream, ports: Vec<u16>, used: Arc<AtomicUsize>) {
    let first = used.load(Ordering::Relaxed);
    for place in (0..ports.len()).map(|next| (first + next) % ports.len()) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[place]));
        if let Ok(mut edge) = TcpStream::connect(address).await {
            used.store(place, Ordering::Relaxed);
            let _ = client.set_nodelay(true);
            let _ = edge.set_nodelay(true);
            // Whoever ends first ends both.
            let _ = copy_bidirectional(&mut client, &mut edge).await;
            return;
        }
    }
}
