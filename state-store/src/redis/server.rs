//! What a server must be before a world is entrusted to it.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::dial::Refusal;

/// Older ones lack what the scripts use.
const OLDEST: (u32, u32) = (6, 2);

/// Lines `name:value` of `INFO`.
struct Info(BTreeMap<String, String>);

impl Info {
    async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, RedisError> {
        let mut lines = BTreeMap::new();
        for section in ["server", "replication", "persistence", "memory"] {
            let text: String = redis::cmd("INFO").arg(section).query_async(connection).await?;
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            lines.extend(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        }
        Ok(Self(lines))
    }

    fn line(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// Checks the server at the other end, and returns its run id: another one after each start.
pub(super) async fn check(connection: &mut MultiplexedConnection) -> Result<String, Refusal> {
    let info = Info::ask(connection).await.map_err(Refusal::from)?;
    judge_kind(&info)?;
    judge_settings(&info, &settings(connection).await?)?;
    Ok(info.line("run_id").to_owned())
}

fn judge_kind(info: &Info) -> Result<(), Refusal> {
    let setup = |why: String| Err(Refusal::Setup(why));
    let version = info.line("redis_version");
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let known = numbers.next().zip(numbers.next());
    if known.is_none_or(|known| known < OLDEST) {
        return setup(format!(
            "the server is version {version:?}, but {}.{} is needed; install a newer redis-server",
            OLDEST.0, OLDEST.1
        ));
    }
    match info.line("redis_mode") {
        "cluster" => {
            return setup(
                "the server is part of a cluster, which may lose what it has answered when it fails over; \
                 point [store] address at a server of its own, or at sentinels with redis+sentinel://"
                    .into(),
            );
        }
        "sentinel" => {
            return setup(
                "that is a sentinel; write redis+sentinel://HOST:PORT/MASTER in [store] address".into(),
            );
        }
        _ => {}
    }
    if info.line("role") == "slave" {
        return Err(Refusal::Later("the server is a replica at the moment".into()));
    }
    if info.line("loading") == "1" {
        return Err(Refusal::Later("the server is still reading its files".into()));
    }
    Ok(())
}

/// `CONFIG GET`; without those that the user may not ask for.
async fn settings(connection: &mut MultiplexedConnection) -> Result<BTreeMap<String, String>, Refusal> {
    let mut settings = BTreeMap::new();
    for name in ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"] {
        let mut question = redis::cmd("CONFIG");
        question.arg("GET").arg(name);
        match question.query_async::<BTreeMap<String, String>>(connection).await {
            Ok(found) => settings.extend(found),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {}
            Err(error) => return Err(Refusal::from(error)),
        }
    }
    Ok(settings)
}

fn judge_settings(info: &Info, settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let setting = |name: &str| settings.get(name).map(String::as_str);
    let mut wrong = Vec::new();
    // Without the right to ask, `INFO` tells two of the three.
    let appends = setting("appendonly").map_or(info.line("aof_enabled") == "1", |value| value == "yes");
    if !appends {
        wrong.push("`appendonly yes`: without it a restart loses the world");
    }
    match setting("appendfsync") {
        Some("always") => {}
        Some(_) => wrong.push("`appendfsync always`: without it a power cut loses what was answered"),
        None => tracing::warn!(
            "this user may not ask the Redis server for appendfsync; see to it that it is `always`, or allow \
             `+config|get`"
        ),
    }
    let policy = setting("maxmemory-policy").unwrap_or_else(|| info.line("maxmemory_policy"));
    if policy != "noeviction" {
        wrong.push("`maxmemory-policy noeviction`: without it a full server forgets players");
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Refusal::Setup(format!(
        "the server is not set up to keep a world; put into its redis.conf and restart it: {}",
        wrong.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
        rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn judged(info: &[(&str, &str)], settings: &[(&str, &str)]) -> String {
        let info = Info(map(info));
        let judged = judge_kind(&info).and_then(|()| judge_settings(&info, &map(settings)));
        judged.map_or_else(|refusal| refusal.to_string(), |()| "good".into())
    }

    #[test]
    fn servers() {
        let good = [("redis_version", "7.0.15"), ("redis_mode", "standalone"), ("role", "master")];
        let durable = [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];
        assert_eq!(judged(&good, &durable), "good");
        let quiet = [&good[..], &[("aof_enabled", "1"), ("maxmemory_policy", "noeviction")]].concat();
        assert_eq!(judged(&quiet, &[]), "good", "what cannot be asked is warned about");
        for (info, settings, why) in [
            (&good[..], &durable[..2], "noeviction"),
            (&good[..], &[("appendonly", "no"), durable[1], durable[2]][..], "appendonly yes"),
            (&good[..], &[durable[0], ("appendfsync", "everysec"), durable[2]][..], "appendfsync always"),
            (&[("redis_version", "6.0.16")][..], &durable[..], "6.2 is needed"),
            (&[("redis_version", "7.0.1"), ("redis_mode", "cluster")][..], &durable[..], "of its own"),
            (&[("redis_version", "7.0.1"), ("redis_mode", "sentinel")][..], &durable[..], "redis+sentinel"),
            (&[("redis_version", "7.0.1"), ("role", "slave")][..], &durable[..], "replica"),
        ] {
            let told = judged(info, settings);
            assert!(told.contains(why), "{told}");
        }
    }
}
