//! The tables as one SQLite file.
//!
//! Opened by exactly one process, which holds `FILE.lock` for as long as it has the file open, and
//! on one connection that never gives the file up (`locking_mode=EXCLUSIVE`): nobody else can stand
//! inside a transaction and block it. Write-ahead log, synced at each commit (`synchronous=FULL`).
//!
//! Unsigned 64-bit numbers are stored as the signed ones with the same bits; ids of 128 bits and
//! keys as big-endian bytes, so that their order is the order of the ids.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use horizon_handoff::{EntityKey, Holder, Kept, Record, SessionRecord};
use horizon_model::{
    EdgeId, EntityId, Epoch, HandoffId, PlayerId, RegionId, SessionId, Tick, WorkerId, WorldId,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{SealingKey, StoreError};
use crate::tables::{StoredLease, StoredWorld, Tables};

/// Version of the schema below. A file of format 1 is brought up to it when it is opened; any other is
/// refused.
const FORMAT: i64 = 2;

/// From format 1, where every capsule was in its record.
const FROM_1: &str = "
    BEGIN;
    ALTER TABLE record ADD COLUMN journal_lease INTEGER;
    ALTER TABLE record ADD COLUMN journal_hash INTEGER;
    PRAGMA user_version = 2;
    COMMIT;
";

const SCHEMA: &str = "
    CREATE TABLE meta (generation INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES (1);
    CREATE TABLE world (
        world INTEGER PRIMARY KEY, tick_high INTEGER NOT NULL DEFAULT 0,
        director_epoch INTEGER NOT NULL DEFAULT 0, director INTEGER, director_ttl_ms INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE lease (
        world INTEGER NOT NULL, region INTEGER NOT NULL, epoch INTEGER NOT NULL, worker INTEGER,
        ttl_ms INTEGER NOT NULL, PRIMARY KEY (world, region)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE record (
        world INTEGER NOT NULL, key BLOB NOT NULL, epoch INTEGER NOT NULL, region INTEGER NOT NULL,
        worker INTEGER, lease INTEGER, handoff BLOB NOT NULL, applied INTEGER NOT NULL,
        tick INTEGER NOT NULL, capsule BLOB NOT NULL, journal_lease INTEGER, journal_hash INTEGER,
        PRIMARY KEY (world, key)
    ) STRICT;
    CREATE INDEX owned ON record (world, region, key, epoch) WHERE worker IS NOT NULL;
    CREATE TABLE session (
        world INTEGER NOT NULL, player BLOB NOT NULL, session BLOB NOT NULL, epoch INTEGER NOT NULL,
        nonce INTEGER NOT NULL, edge INTEGER NOT NULL, PRIMARY KEY (world, player)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sealing_key (
        world INTEGER NOT NULL, id INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (world, id)
    ) STRICT, WITHOUT ROWID;
";

/// The open file.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    generation: u16,
    /// Held until the connection above is closed; fields drop in order.
    _lock: File,
}

impl Database {
    /// Opens or creates the file at `path` for this process alone.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        // SQLite gives its other files the rights of this one.
        private().open(path).map_err(|error| {
            StoreError::Setup(format!(
                "cannot write {}: {error}; give this user the right to write there",
                path.display()
            ))
        })?;
        let refused = |error: rusqlite::Error| {
            StoreError::Setup(format!(
                "cannot open the database {}: {error}; check that the folder is writable and the file a database",
                path.display()
            ))
        };
        let connection = connect(path).map_err(refused)?;
        let format = || connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        if format().map_err(refused)? == 1 {
            connection.execute_batch(FROM_1).map_err(refused)?;
            tracing::info!(path = %path.display(), "the database was brought from format 1 to {FORMAT}");
        }
        let format = format().map_err(refused)?;
        if format != FORMAT {
            return Err(StoreError::Setup(format!(
                "the database {} has format {format}, this build reads {FORMAT}; run the build that wrote it",
                path.display()
            )));
        }
        let generation =
            connection.query_row("SELECT generation FROM meta", [], |row| row.get(0)).map_err(refused)?;
        Ok(Self { connection, generation, _lock: lock })
    }

    pub(crate) const fn generation(&self) -> u16 {
        self.generation
    }

    /// Everything until [`Self::commit`] becomes durable together, or not at all.
    pub(crate) fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN")
    }

    pub(crate) fn commit(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    /// Moves the log into the file and closes it.
    pub(crate) fn close(self) {
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the log was not merged; the next start will do it");
        }
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

/// The connection, with the schema where the file is new.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(32);
    let empty: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if empty {
        connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT"))?;
    }
    Ok(connection)
}

/// How files are made: they hold secrets, so only this user may read them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// How long a lock may be held by nobody: a process that was started while its parent had the database
/// open keeps the parent's lock from `fork` to `exec`.
const HANDOVER: Duration = Duration::from_millis(300);

// A file lock tells nobody that it is free again.
#[allow(clippy::disallowed_methods)]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    let pause = HANDOVER / 15;
    for _ in 0..15 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
            decided => return decided,
        }
    }
    file.try_lock()
}

/// Holds `PATH.lock` against other processes, and says who holds it otherwise.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let mut file = private().open(&name).map_err(|error| {
        StoreError::Setup(format!(
            "cannot write {}: {error}; create the folder or give this user the right to write there",
            name.display()
        ))
    })?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(StoreError::Setup(format!(
                "the database {} is in use by process {}; stop that store first, or choose another database",
                path.display(),
                if holder.trim().is_empty() { "(unknown)" } else { holder.trim() },
            )));
        }
        Err(TryLockError::Error(error)) => {
            return Err(StoreError::Setup(format!("cannot lock {}: {error}", name.display())));
        }
    }
    // The number only helps people; the lock is what counts.
    let noted =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        return Err(StoreError::Setup(format!("cannot write {}: {error}", name.display())));
    }
    Ok(file)
}

impl Tables for Database {
    type Error = rusqlite::Error;

    fn record(&mut self, world: WorldId, key: EntityKey) -> rusqlite::Result<Option<Record>> {
        let mut select = self.connection.prepare_cached(
            "SELECT epoch, region, worker, lease, handoff, applied, tick, capsule, journal_lease, journal_hash
             FROM record WHERE world = ?1 AND key = ?2",
        )?;
        let read = |row: &Row<'_>| {
            let (worker, lease): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            let holder = worker.zip(lease).map(|(worker, lease)| Holder {
                worker: WorkerId(worker.cast_unsigned()),
                lease: Epoch(lease.cast_unsigned()),
            });
            let (journal_lease, journal_hash): (Option<i64>, Option<i64>) = (row.get(8)?, row.get(9)?);
            let capsule = match journal_lease.zip(journal_hash) {
                Some((lease, hash)) => {
                    Kept::Journal { lease: Epoch(lease.cast_unsigned()), hash: hash.cast_unsigned() }
                }
                None => Kept::Here(row.get(7)?),
            };
            Ok(Record {
                epoch: Epoch(unsigned(row, 0)?),
                region: RegionId(row.get(1)?),
                holder,
                handoff: HandoffId(wide(row, 4)?),
                applied: row.get(5)?,
                tick: Tick(unsigned(row, 6)?),
                capsule,
            })
        };
        select.query_row(params![world.0, key_bytes(key)], read).optional()
    }

    fn put_record(&mut self, world: WorldId, key: EntityKey, record: &Record) -> rusqlite::Result<()> {
        let staged = match record.capsule {
            Kept::Here(_) => None,
            Kept::Journal { lease, hash } => Some((lease.0.cast_signed(), hash.cast_signed())),
        };
        self.execute(
            "INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (world, key) DO UPDATE SET epoch = ?3, region = ?4, worker = ?5, lease = ?6,
                 handoff = ?7, applied = ?8, tick = ?9, capsule = ?10, journal_lease = ?11, journal_hash = ?12",
            params![
                world.0,
                key_bytes(key),
                record.epoch.0.cast_signed(),
                record.region.0,
                record.holder.map(|holder| holder.worker.0.cast_signed()),
                record.holder.map(|holder| holder.lease.0.cast_signed()),
                record.handoff.0.to_be_bytes(),
                record.applied,
                record.tick.0.cast_signed(),
                record.capsule.here().unwrap_or_default(),
                staged.map(|(lease, _)| lease),
                staged.map(|(_, hash)| hash),
            ],
        )
    }

    fn owned(&mut self, world: WorldId, region: RegionId) -> rusqlite::Result<Vec<(EntityKey, Epoch)>> {
        let mut select = self.connection.prepare_cached(
            "SELECT key, epoch FROM record WHERE world = ?1 AND region = ?2 AND worker IS NOT NULL
             ORDER BY key",
        )?;
        let read = |row: &Row<'_>| Ok((key_of(row, 0)?, Epoch(unsigned(row, 1)?)));
        select.query_map(params![world.0, region.0], read)?.collect()
    }

    fn session(&mut self, world: WorldId, player: PlayerId) -> rusqlite::Result<Option<SessionRecord>> {
        let mut select = self.connection.prepare_cached(
            "SELECT session, epoch, nonce, edge FROM session WHERE world = ?1 AND player = ?2",
        )?;
        let read = |row: &Row<'_>| {
            Ok(SessionRecord {
                session: SessionId(wide(row, 0)?),
                epoch: Epoch(unsigned(row, 1)?),
                nonce: unsigned(row, 2)?,
                edge: EdgeId(unsigned(row, 3)?),
            })
        };
        select.query_row(params![world.0, player.0.to_be_bytes()], read).optional()
    }

    fn put_session(
        &mut self,
        world: WorldId,
        player: PlayerId,
        session: &SessionRecord,
    ) -> rusqlite::Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                world.0,
                player.0.to_be_bytes(),
                session.session.0.to_be_bytes(),
                session.epoch.0.cast_signed(),
                session.nonce.cast_signed(),
                session.edge.0.cast_signed(),
            ],
        )
    }

    fn sealing_keys(&mut self, world: WorldId) -> rusqlite::Result<Vec<SealingKey>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT id, key FROM sealing_key WHERE world = ?1 ORDER BY id DESC")?;
        let read = |row: &Row<'_>| Ok(SealingKey { id: row.get(0)?, key: row.get(1)? });
        select.query_map(params![world.0], read)?.collect()
    }

    fn add_sealing_key(&mut self, world: WorldId, key: SealingKey) -> rusqlite::Result<()> {
        self.execute("INSERT INTO sealing_key VALUES (?1, ?2, ?3)", params![world.0, key.id, key.key])
    }

    fn put_lease(
        &mut self,
        world: WorldId,
        region: RegionId,
        lease: &StoredLease<WorkerId>,
    ) -> rusqlite::Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                world.0,
                region.0,
                lease.epoch.0.cast_signed(),
                lease.holder.map(|worker| worker.0.cast_signed()),
                millis(lease.ttl),
            ],
        )
    }

    fn put_director(&mut self, world: WorldId, lease: &StoredLease<EdgeId>) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO world (world, director_epoch, director, director_ttl_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (world) DO UPDATE SET director_epoch = ?2, director = ?3, director_ttl_ms = ?4",
            params![
                world.0,
                lease.epoch.0.cast_signed(),
                lease.holder.map(|edge| edge.0.cast_signed()),
                millis(lease.ttl),
            ],
        )
    }

    fn put_generation(&mut self, generation: u16) -> rusqlite::Result<()> {
        self.generation = generation;
        self.execute("UPDATE meta SET generation = ?1", params![generation])
    }

    fn put_tick(&mut self, world: WorldId, tick: Tick) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO world (world, tick_high) VALUES (?1, ?2)
             ON CONFLICT (world) DO UPDATE SET tick_high = ?2",
            params![world.0, tick.0.cast_signed()],
        )
    }

    fn load(&mut self, world: WorldId) -> rusqlite::Result<StoredWorld> {
        let read = |row: &Row<'_>| {
            let director = stored_lease(row, 1, EdgeId)?;
            Ok(StoredWorld { tick: Tick(unsigned(row, 0)?), director, ..StoredWorld::default() })
        };
        let mut select = self.connection.prepare_cached(
            "SELECT tick_high, director_epoch, director, director_ttl_ms FROM world WHERE world = ?1",
        )?;
        let mut stored = select.query_row(params![world.0], read).optional()?.unwrap_or_default();
        let mut select = self
            .connection
            .prepare_cached("SELECT region, epoch, worker, ttl_ms FROM lease WHERE world = ?1")?;
        let read = |row: &Row<'_>| Ok((RegionId(row.get(0)?), stored_lease(row, 1, WorkerId)?));
        stored.leases = select.query_map(params![world.0], read)?.collect::<Result<_, _>>()?;
        Ok(stored)
    }
}

/// Epoch, holder and length from three columns.
fn stored_lease<H>(
    row: &Row<'_>,
    first: usize,
    holder: impl Fn(u64) -> H,
) -> rusqlite::Result<StoredLease<H>> {
    let who: Option<i64> = row.get(first + 1)?;
    Ok(StoredLease {
        epoch: Epoch(unsigned(row, first)?),
        holder: who.map(|bits| holder(bits.cast_unsigned())),
        ttl: Duration::from_millis(unsigned(row, first + 2)?),
    })
}

/// Rounded up, so that a stored lease is never shorter than the granted one.
fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn wide(row: &Row<'_>, column: usize) -> rusqlite::Result<u128> {
    row.get(column).map(u128::from_be_bytes)
}

/// One byte for the kind, then the id: players in order, then objects in order.
fn key_bytes(key: EntityKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17);
    match key {
        EntityKey::Player(player) => {
            bytes.push(0);
            bytes.extend(player.0.to_be_bytes());
        }
        EntityKey::Object(object) => {
            bytes.push(1);
            bytes.extend(object.bits().to_be_bytes());
        }
    }
    bytes
}

fn key_of(row: &Row<'_>, column: usize) -> rusqlite::Result<EntityKey> {
    let bytes: Vec<u8> = row.get(column)?;
    parse_key(&bytes)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(column, "entity key".into(), Type::Blob))
}

fn parse_key(bytes: &[u8]) -> Option<EntityKey> {
    match bytes.split_first()? {
        (0, id) => Some(EntityKey::Player(PlayerId(u128::from_be_bytes(id.try_into().ok()?)))),
        (1, id) => Some(EntityKey::Object(EntityId::from_bits(u64::from_be_bytes(id.try_into().ok()?))?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of format 1 as an older build left it: its records read as they were, and new ones may name
    /// a journal.
    #[test]
    fn an_older_file_is_brought_up_and_keeps_its_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("world.sqlite");
        let old = Connection::open(&path).expect("opened");
        let schema = SCHEMA.replace(" journal_lease INTEGER, journal_hash INTEGER,", "");
        assert_ne!(schema, SCHEMA);
        old.execute_batch(&format!("{schema} PRAGMA user_version = 1;")).expect("the older schema");
        let key = EntityKey::Player(PlayerId(7));
        old.execute(
            "INSERT INTO record VALUES (1, ?1, 5, 2, 3, 4, ?2, 6, 8, x'0102')",
            params![key_bytes(key), 9_u128.to_be_bytes()],
        )
        .expect("an older record");
        drop(old);

        let mut database = Database::open(&path).expect("brought up");
        let found = database.record(WorldId(1), key).expect("read").expect("it is there");
        assert_eq!((found.epoch, &found.capsule), (Epoch(5), &Kept::Here(vec![1, 2])));
        let moved = Record { capsule: Kept::Journal { lease: Epoch(4), hash: u64::MAX }, ..found };
        database.put_record(WorldId(1), key, &moved).expect("written");
        assert_eq!(database.record(WorldId(1), key).expect("read"), Some(moved));
        database.close();
        assert!(Database::open(&path).is_ok(), "once is enough");
    }

    #[test]
    fn keys_read_back_and_sort_as_they_should() {
        let object = |bits| EntityKey::Object(EntityId::from_bits(bits).expect("not zero"));
        let player = |id| EntityKey::Player(PlayerId(id));
        let keys = [player(0), player(255), player(256), player(u128::MAX), object(1), object(u64::MAX)];
        let bytes: Vec<_> = keys.iter().map(|&key| key_bytes(key)).collect();
        assert!(bytes.is_sorted());
        assert_eq!(
            bytes.iter().map(|bytes| parse_key(bytes)).collect::<Option<Vec<_>>>(),
            Some(keys.to_vec())
        );
        assert_eq!(parse_key(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "no object is number zero");
        assert_eq!(parse_key(&[]), None);
    }
}
