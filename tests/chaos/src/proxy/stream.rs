//! Streams: for each connection of a dialler one to the target, and two tasks that copy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;

use super::Road;
use super::weather::{Direction, Weather};

/// Bytes taken at a time.
const PIECE_BYTES: usize = 16 * 1024;

pub(super) async fn open_tcp(
    road: Arc<Road>,
    listen: SocketAddr,
    target: SocketAddr,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let keeper = Arc::clone(&road);
    let task = tokio::spawn(async move {
        loop {
            let Ok((dialler, _)) = listener.accept().await else { continue };
            let connection = Arc::clone(&road);
            let task = tokio::spawn(async move {
                let _ = dialler.set_nodelay(true);
                connection.open().await;
                let Ok(upstream) = TcpStream::connect(target).await else { return };
                let _ = upstream.set_nodelay(true);
                let (from, to) = (dialler.into_split(), upstream.into_split());
                couple(connection, from, to).await;
            });
            road.keep(task.abort_handle());
        }
    });
    keeper.keep(task.abort_handle());
    Ok(address)
}

pub(super) fn open_unix(road: &Arc<Road>, listen: PathBuf, target: PathBuf) -> io::Result<()> {
    let listener = UnixListener::bind(listen)?;
    let accepting = Arc::clone(road);
    let task = tokio::spawn(async move {
        loop {
            let Ok((dialler, _)) = listener.accept().await else { continue };
            let (connection, target) = (Arc::clone(&accepting), target.clone());
            let task = tokio::spawn(async move {
                connection.open().await;
                let Ok(upstream) = UnixStream::connect(target).await else { return };
                let (from, to) = (dialler.into_split(), upstream.into_split());
                couple(connection, from, to).await;
            });
            accepting.keep(task.abort_handle());
        }
    });
    road.keep(task.abort_handle());
    Ok(())
}

/// Copies both ways until one side ends or the road is reset.
async fn couple<R, W>(road: Arc<Road>, dialler: (R, W), target: (R, W))
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut resets = road.resets.subscribe();
    let ((mut from_dialler, mut to_dialler), (mut from_target, mut to_target)) = (dialler, target);
    tokio::select! {
        _ = copy(&road, Direction::Up, &mut from_dialler, &mut to_target) => {}
        _ = copy(&road, Direction::Down, &mut from_target, &mut to_dialler) => {}
        _ = resets.changed() => {}
    }
}

async fn copy(
    road: &Road,
    direction: Direction,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let weather = road.passable(direction).await;
        if !weather.delay.is_zero() {
            sleep(weather.delay).await;
        }
        to.write_all(&buffer[..length]).await?;
        road.state().passed.forwarded += 1;
    }
}

impl Road {
    /// A connection is not even made while the way up is cut.
    async fn open(&self) {
        self.passable(Direction::Up).await;
    }

    /// Waits until a direction is not cut.
    async fn passable(&self, direction: Direction) -> Weather {
        let mut changed = self.changed.subscribe();
        loop {
            let weather = self.weather(direction);
            if !weather.cut {
                return weather;
            }
            let _ = changed.changed().await;
        }
    }
}
