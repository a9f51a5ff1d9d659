//! Ports for the processes of one world.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Region servers that one world may start.
const WORKERS: usize = 8;

/// One world's.
pub(crate) struct Ports {
    pub(crate) listen: u16,
    pub(crate) link: u16,
    pub(crate) admin: u16,
    pub(crate) store: u16,
    pub(crate) workers: Vec<u16>,
}

impl Ports {
    /// Nobody has them at this moment.
    pub(crate) fn free() -> std::io::Result<Self> {
        let tcp =
            (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
        let udp = (0..=WORKERS)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<Vec<_>, _>>()?;
        let tcp =
            tcp.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<std::io::Result<Vec<_>>>()?;
        let udp =
            udp.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { listen: tcp[0], admin: tcp[1], store: tcp[2], link: udp[0], workers: udp[1..].to_vec() })
    }
}
