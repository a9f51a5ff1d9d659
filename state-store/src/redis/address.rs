//! `redis://`, `rediss://`, `redis+unix://` and the addresses of sentinels.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::store::StoreError;

/// Schemes of addresses that mean a Redis server, with the `://` behind them.
const SCHEMES: &[&str] =
    &["redis://", "rediss://", "redis+unix://", "redis+sentinel://", "rediss+sentinel://"];

/// Where a sentinel listens if its address has no port.
const SENTINEL_PORT: u16 = 26379;

/// Whom to ask for the server.
#[derive(Clone)]
pub(super) enum Address {
    /// The server itself.
    Server(ConnectionInfo),
    /// Sentinels, which know the server of this name.
    Sentinels { sentinels: Vec<ConnectionInfo>, name: String, server: ConnectionInfo },
}

impl Address {
    pub(super) fn is_one(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let sentinel = text.split_once("+sentinel://");
        let parsed = match sentinel {
            Some((scheme, rest)) => parse_sentinels(scheme, rest),
            None => parse_server(text).map(Self::Server),
        };
        parsed.map_err(|why| {
            StoreError::Setup(format!(
                "the address of the Redis server is wrong: {why}; write redis://[USER:PASSWORD@]HOST:PORT, \
                 rediss:// for TLS, redis+unix:///PATH[?user=USER&pass=PASSWORD], or \
                 redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER"
            ))
        })
    }
}

/// Without user and password, so that it may be told to anybody.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) => write!(f, "{}", shown(server.addr())),
            Self::Sentinels { sentinels, name, .. } => {
                let list: Vec<_> = sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
                write!(f, "{name} of sentinels {}", list.join(","))
            }
        }
    }
}

fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}"),
        ConnectionAddr::Unix(path) => format!("redis+unix://{}", path.display()),
        other => format!("redis://{other}"),
    }
}

fn parse_server(text: &str) -> Result<ConnectionInfo, String> {
    if text.contains("#insecure") {
        return Err("#insecure would accept anybody's certificate".into());
    }
    let info = text.into_connection_info().map_err(|error| error.to_string())?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    if settings.db() != 0 {
        return Err("worlds are kept apart by their number, only database 0 is used".into());
    }
    Ok(info.set_redis_settings(settings))
}

fn parse_sentinels(scheme: &str, rest: &str) -> Result<Address, String> {
    let (hosts, name) = rest.split_once('/').ok_or("the name of the master is missing")?;
    let (credentials, hosts) = match hosts.rsplit_once('@') {
        Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
        None => (String::new(), hosts),
    };
    if name.is_empty() || name.contains('/') || hosts.is_empty() {
        return Err("it needs hosts and the name of one master".into());
    }
    let sentinel = |host: &str| {
        let with_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if with_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        parse_server(&format!("{scheme}://{host}{port}"))
    };
    let sentinels = hosts.split(',').map(sentinel).collect::<Result<_, _>>()?;
    // The address is put in when a sentinel has told it.
    let server = parse_server(&format!("{scheme}://{credentials}localhost"))?;
    Ok(Address::Sentinels { sentinels, name: name.to_owned(), server })
}

/// `server`, but at `host` and `port`.
pub(super) fn located(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let address = match server.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    server.clone().set_addr(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn addresses_are_told_without_their_secrets() {
        for (text, expected) in [
            ("redis://anna:geheim@one:7000", "redis://one:7000"),
            ("redis://one", "redis://one:6379"),
            ("rediss://:geheim@one:7000", "rediss://one:7000"),
            ("redis+unix:///run/redis.sock?user=anna&pass=geheim", "redis+unix:///run/redis.sock"),
            ("redis+sentinel://anna:geheim@one,two:7001/world", "world of sentinels one:26379,two:7001"),
        ] {
            assert!(Address::is_one(text), "{text}");
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        for (text, why) in [
            ("redis://one/3", "only database 0"),
            ("rediss://one/#insecure", "anybody's certificate"),
            ("redis+sentinel://one:1", "the name of the master is missing"),
            ("redis+sentinel://one:1/", "one master"),
        ] {
            let told = shown(text);
            assert!(told.contains(why) && told.contains("write redis://"), "{told}");
        }
        assert!(!Address::is_one("redis:x"));
    }

    #[test]
    fn a_master_keeps_the_secrets_and_the_encryption_of_its_sentinels_address() {
        let Ok(Address::Sentinels { server, .. }) = Address::parse("rediss+sentinel://a:b@one/world") else {
            panic!("it names sentinels");
        };
        let found = located(&server, "ten.example", 7009);
        assert_eq!(super::shown(found.addr()), "rediss://ten.example:7009");
        assert_eq!(found.redis_settings().password(), Some("b"));
    }
}
