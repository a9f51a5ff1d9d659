//! Datagrams: a socket for all diallers, and one for each of them towards the target.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::Road;
use super::weather::Direction;

/// The longest datagram there is.
const DATAGRAM_BYTES: usize = 65_535;

pub(super) async fn open(road: Arc<Road>, listen: SocketAddr, target: SocketAddr) -> io::Result<SocketAddr> {
    let socket = Arc::new(UdpSocket::bind(listen).await?);
    let address = socket.local_addr()?;
    let task = tokio::spawn(forward(Arc::clone(&road), socket, target));
    road.keep(task.abort_handle());
    Ok(address)
}

/// Takes what diallers send, for ever.
async fn forward(road: Arc<Road>, socket: Arc<UdpSocket>, target: SocketAddr) {
    let mut diallers: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An error here is a peer's port that is closed; the next datagram is another matter.
        let Ok((length, dialler)) = socket.recv_from(&mut buffer).await else { continue };
        let upstream = match diallers.get(&dialler) {
            Some(upstream) => Arc::clone(upstream),
            None => {
                let Ok(upstream) = connect(target).await else { continue };
                let upstream = Arc::new(upstream);
                let answers = answer(Arc::clone(&road), Arc::clone(&upstream), Arc::clone(&socket), dialler);
                road.keep(tokio::spawn(answers).abort_handle());
                diallers.insert(dialler, Arc::clone(&upstream));
                upstream
            }
        };
        for after in road.decide(dialler, Direction::Up) {
            if after.is_zero() {
                let _ = upstream.send(&buffer[..length]).await;
            } else {
                let (upstream, datagram) = (Arc::clone(&upstream), buffer[..length].to_vec());
                later(&road, after, async move {
                    let _ = upstream.send(&datagram).await;
                });
            }
        }
    }
}

/// Takes what the target sends to one dialler, for ever.
async fn answer(road: Arc<Road>, upstream: Arc<UdpSocket>, socket: Arc<UdpSocket>, dialler: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let Ok(length) = upstream.recv(&mut buffer).await else {
            // The target's port is closed just now.
            tokio::task::yield_now().await;
            continue;
        };
        for after in road.decide(dialler, Direction::Down) {
            if after.is_zero() {
                let _ = socket.send_to(&buffer[..length], dialler).await;
            } else {
                let (socket, datagram) = (Arc::clone(&socket), buffer[..length].to_vec());
                later(&road, after, async move {
                    let _ = socket.send_to(&datagram, dialler).await;
                });
            }
        }
    }
}

fn later(road: &Road, after: Duration, send: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(async move {
        sleep(after).await;
        send.await;
    });
    road.keep(task.abort_handle());
}

async fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(socket)
}
