//! The `redis-server` of a world that keeps its state in one: how it is set up, and how it is reached.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::child::Child;
use crate::failure::{Failure, Outcome};

/// The program.
pub(crate) const REDIS: &str = "redis-server";
/// The user of the world's processes; the server lets in nobody else.
const USER: &str = "horizon";
/// What that user may do, as docs/operating.md says.
const RIGHTS: &str = "resetchannels -@all +info +config|get +script|load +evalsha +time +get +set +del \
                      +exists +hget +hset +hmget +hgetall +hdel";
/// The longest path of a socket that Linux takes, in bytes.
const MAX_SOCKET_BYTES: usize = 107;
/// Time between two looks at the socket.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// A file, by the `store` process
    Sqlite,
    /// A `redis-server` of the world's own
    Redis,
}

impl Store {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }
}

/// The files of a server in the folder of its world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    folder: PathBuf,
}

impl Server {
    /// The one of the world in `folder`, which is absolute.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("redis.conf")
    }

    /// Whether `address`, the one of the world's configuration, is this server's.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        let path = address.strip_prefix("redis+unix://").and_then(|rest| rest.split('?').next());
        path.is_some_and(|path| path == encoded(&self.socket())) && self.configuration().exists()
    }

    /// Writes how the server is set up, with a new password, and returns the address for the world number
    /// `world`. What the server has stored stays.
    pub(crate) fn prepare(&self, world: u32) -> Outcome<String> {
        let socket = self.socket();
        if socket.as_os_str().len() > MAX_SOCKET_BYTES {
            return Err(format!(
                "{} is too long for a socket; choose a shorter folder with --data",
                socket.display()
            )
            .into());
        }
        let data = self.folder.join("redis");
        std::fs::create_dir_all(&data).map_err(|error| Failure::unwritable(&data, &error))?;
        let password = password()?;
        let users = self.folder.join("users.acl");
        let rights = format!("user {USER} on >{password} ~{{{world:08x}}}:* {RIGHTS}\nuser default off\n");
        private(&users, &rights)?;
        let text = format!(
            "# Written by `cargo xtask` at every start.\nport 0\nunixsocket {socket:?}\nunixsocketperm 700\n\
             dir {data:?}\naclfile {users:?}\nsave \"\"\nappendonly yes\nappendfsync always\n\
             maxmemory-policy noeviction\n"
        );
        private(&self.configuration(), &text)?;
        Ok(format!("redis+unix://{}?user={USER}&pass={password}", encoded(&socket)))
    }

    /// Starts it, with its log in `logs`, and waits until it answers.
    pub(crate) async fn start(&self, logs: &Path, append: bool, within: Duration) -> Outcome<Child> {
        if self.answers() {
            return Err(format!(
                "a redis-server still serves {}; end it, or choose another folder with --data",
                self.socket().display()
            )
            .into());
        }
        let mut command = Command::new(REDIS);
        command.arg(self.configuration());
        let mut child = Child::start(REDIS, &mut command, logs, append, false)
            .map_err(|failure| format!("{failure}; `apt-get install redis-server` brings it"))?;
        let deadline = Instant::now() + within;
        while !self.answers() {
            if let Ok(status) = timeout(LOOK_AGAIN, child.ended()).await {
                let told = format!("redis-server ended ({status}) before it was ready\n{}", child.tail());
                return Err(told.into());
            }
            if Instant::now() > deadline {
                return Err(format!("redis-server does not answer\n{}", child.tail()).into());
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(child)
    }

    /// Whether somebody speaks at the socket, even to refuse.
    fn answers(&self) -> bool {
        let answer = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(LOOK_AGAIN * 10))?;
            stream.write_all(b"PING\r\n")?;
            let mut first = [0; 1];
            stream.read_exact(&mut first)?;
            Ok::<_, std::io::Error>(first)
        };
        answer().is_ok()
    }
}

/// The path as it stands in an address.
fn encoded(path: &Path) -> String {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encode = |&byte: &u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    bytes.iter().map(encode).collect()
}

fn password() -> Outcome<String> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|error| format!("no random numbers from /dev/urandom: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A file that only this user can read.
fn private(path: &Path, text: &str) -> Outcome<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_known_by_its_address_and_lets_in_its_user_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::of(folder.path());
        assert!(!server.is_at("unix:store.sock"));
        let address = server.prepare(7).expect("written");
        assert!(server.is_at(&address) && address.contains("?user=horizon&pass="), "{address}");
        let again = server.prepare(7).expect("written again");
        assert_ne!(address, again, "a password of its own for each start");
        let Ok(mut child) = server.start(folder.path(), false, Duration::from_secs(30)).await else {
            eprintln!("skipped: a redis-server, because none is installed");
            return;
        };
        let twice = server.start(folder.path(), true, Duration::from_secs(30)).await;
        assert!(twice.is_err_and(|failure| failure.to_string().contains("still serves")));
        assert_eq!(child.stop(Duration::from_secs(30)).await, None);
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encoded(Path::new("/srv/my world?/a")), "/srv/my%20world%3F/a");
    }
}
