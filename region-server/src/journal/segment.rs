//! Segment files: writing with sync, reading up to the first frame that is not whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use horizon_model::Epoch;

use super::record::{Cut, JournalRecord, Snapshot, Staged};
use crate::fault;

const FRAME_HEADER: usize = 8;
/// No record is this long; a longer length is a torn frame.
const MAX_RECORD_BYTES: usize = 256 * 1024 * 1024;

/// Why the journal cannot be used. The region must not go on: what it did could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or file cannot be read or written; its owner must give this process access.
    #[error("{action} {path}: {source}; give this process read and write access, and room on the disk")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A lease that already has a segment asks for another one.
    #[error("a journal of lease {0} exists already; two processes act under one lease")]
    Duplicate(Epoch),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { action, path, source }
}

/// What a successor starts from.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The state at the cut; `None` where the region never ran.
    pub state: Option<Snapshot>,
    /// States that records in the store may name.
    pub staged: Vec<Staged>,
    /// What was read, for the takeover record.
    pub cut: Option<Cut>,
}

/// The segment that one holder writes.
#[derive(Debug)]
pub struct Segment {
    folder: PathBuf,
    lease: Epoch,
    part: u32,
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Segment {
    /// Starts the segment of `lease` with what was recovered, durably.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; then the region must not be served by this process.
    pub fn create(folder: &Path, lease: Epoch, recovered: &Recovered) -> Result<Self, JournalError> {
        make_folder(folder)?;
        let path = part_path(folder, lease, 0);
        if path.exists() {
            return Err(JournalError::Duplicate(lease));
        }
        let file = create_part(folder, &path)?;
        let mut segment = Self { folder: folder.to_owned(), lease, part: 0, file, path, bytes: 0 };
        // One sync for all of it: nothing that was recovered is shown before it, and whatever a crash leaves of the
        // file is a snapshot, or the cut, or what the predecessor left without a successor.
        segment.append(&JournalRecord::Takeover { lease, predecessor: recovered.cut })?;
        segment.append(&JournalRecord::Snapshot(recovered.state.clone().unwrap_or_default()))?;
        segment.append_staged(&recovered.staged)?;
        segment.sync()?;
        Ok(segment)
    }

    /// Writes one record; durable after [`Self::sync`].
    pub fn append(&mut self, record: &JournalRecord) -> Result<(), JournalError> {
        let payload = rkyv::to_bytes::<rkyv::rancor::Error>(record).expect("records are plain data");
        let mut frame = Vec::with_capacity(FRAME_HEADER + payload.len());
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        frame.extend_from_slice(&payload);
        fault::disk().and_then(|()| self.file.write_all(&frame)).map_err(io_error("writing", &self.path))?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn append_staged(&mut self, staged: &[Staged]) -> Result<(), JournalError> {
        if staged.is_empty() {
            return Ok(());
        }
        self.append(&JournalRecord::Staged(staged.to_vec()))
    }

    /// Makes what was appended durable. A failed sync is final: the file's state is unknown.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        fault::disk().and_then(|()| self.file.sync_data()).map_err(io_error("syncing", &self.path))
    }

    /// The current part.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the current part.
    pub const fn part_bytes(&self) -> u64 {
        self.bytes
    }

    /// Starts the next part with `snapshot` and the states whose fate is open, durably.
    pub fn rotate(&mut self, snapshot: Snapshot, staged: &[Staged]) -> Result<(), JournalError> {
        self.part += 1;
        self.path = part_path(&self.folder, self.lease, self.part);
        self.file = create_part(&self.folder, &self.path)?;
        self.bytes = 0;
        self.append(&JournalRecord::Snapshot(snapshot))?;
        self.append_staged(staged)?;
        self.sync()
    }

    /// Removes what the current part makes needless. Only under a lease that was confirmed after the part
    /// was begun: a successor may be reading the older ones.
    pub fn remove_older(&self) -> Result<(), JournalError> {
        for (lease, part, path) in parts(&self.folder)? {
            if lease < self.lease || (lease == self.lease && part < self.part) {
                fs::remove_file(&path).map_err(io_error("removing", &path))?;
            }
        }
        Ok(())
    }
}

/// The highest lease under which anything was written in `folder`.
///
/// # Errors
///
/// [`JournalError::Io`]
pub fn highest_lease(folder: &Path) -> Result<Option<Epoch>, JournalError> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(parts(folder)?.into_iter().map(|(lease, _, _)| lease).max())
}

/// Reads what the holders before `lease` left behind. The caller holds `lease` already, so nothing
/// that an earlier holder appends from now on can be acknowledged.
///
/// # Errors
///
/// [`JournalError::Io`]; a torn last frame is not an error, it was never acknowledged.
pub fn recover(folder: &Path, lease: Epoch) -> Result<Recovered, JournalError> {
    if !folder.exists() {
        return Ok(Recovered::default());
    }
    let mut files = parts(folder)?;
    files.retain(|(of, _, _)| *of < lease);
    files.sort();
    let mut limit: Option<Cut> = None;
    let mut cut = None;
    // Newest first: a part that begins with a whole snapshot is enough, a takeover that did not get
    // as far as its snapshot sends us to its predecessor, up to the cut it names.
    for (of, part, path) in files.iter().rev() {
        if limit.is_some_and(|cut| (*of, *part) > (cut.lease, cut.part)) {
            continue;
        }
        let bound = limit.filter(|cut| (cut.lease, cut.part) == (*of, *part)).map(|cut| cut.bytes);
        let (records, bytes) = read_part(path, bound)?;
        cut = cut.or(Some(Cut { lease: *of, part: *part, bytes }));
        let mut state: Option<Snapshot> = None;
        let mut staged: Vec<Staged> = Vec::new();
        for record in records {
            match (record, &mut state) {
                (JournalRecord::Takeover { predecessor, .. }, _) => limit = predecessor.or(limit),
                (JournalRecord::Snapshot(snapshot), _) => {
                    state = Some(snapshot);
                    staged.clear();
                }
                (JournalRecord::Tick(tick), Some(state)) => {
                    // Whoever is in the journal under a later epoch is not named by that attempt any more.
                    let later = |one: &Staged| {
                        tick.puts.iter().any(|put| put.key == one.key && put.epoch > one.epoch)
                    };
                    staged.retain(|one| !later(one));
                    state.apply(tick);
                }
                (JournalRecord::Staged(states), Some(_)) => staged.extend(states),
                (JournalRecord::Tick(_) | JournalRecord::Staged(_), None) => {}
            }
        }
        if state.is_some() {
            return Ok(Recovered { state, staged, cut });
        }
    }
    Ok(Recovered { state: None, staged: Vec::new(), cut })
}

/// Records of a part up to `bound` bytes or the first frame that is not whole, and where that is.
fn read_part(path: &Path, bound: Option<u64>) -> Result<(Vec<JournalRecord>, u64), JournalError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(io_error("reading", path))?;
    if let Some(bound) = bound {
        bytes.truncate(bound as usize);
    }
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + FRAME_HEADER) {
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        let crc = u32::from_le_bytes(header[4..].try_into().expect("four bytes"));
        let payload = (length <= MAX_RECORD_BYTES)
            .then(|| bytes.get(at + FRAME_HEADER..at + FRAME_HEADER + length))
            .flatten();
        let Some(payload) = payload.filter(|payload| crc32c::crc32c(payload) == crc) else {
            break;
        };
        let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(length);
        aligned.extend_from_slice(payload);
        let Ok(record) = rkyv::from_bytes::<JournalRecord, rkyv::rancor::Error>(&aligned) else {
            break;
        };
        records.push(record);
        at += FRAME_HEADER + length;
    }
    Ok((records, at as u64))
}

fn part_path(folder: &Path, lease: Epoch, part: u32) -> PathBuf {
    folder.join(format!("{:016x}-{part:08x}.seg", lease.0))
}

fn create_part(folder: &Path, path: &Path) -> Result<File, JournalError> {
    let file =
        OpenOptions::new().create_new(true).append(true).open(path).map_err(io_error("creating", path))?;
    // The name must survive a power loss too.
    sync_folder(folder)?;
    Ok(file)
}

/// Makes a folder and those above it. Each name is durable in the folder that holds it.
fn make_folder(folder: &Path) -> Result<(), JournalError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    above.map_or(Ok(()), make_folder)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("creating the journal folder", folder)(error));
        }
        _ => {}
    }
    above.map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("syncing", folder))
}

fn parts(folder: &Path) -> Result<Vec<(Epoch, u32, PathBuf)>, JournalError> {
    let listing = fs::read_dir(folder).map_err(io_error("listing", folder))?;
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(io_error("listing", folder))?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('-'));
        if let Some((lease, part)) = name
            && let (Ok(lease), Ok(part)) = (u64::from_str_radix(lease, 16), u32::from_str_radix(part, 16))
        {
            found.push((Epoch(lease), part, path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use horizon_model::{EntityId, HandoffId, Tick};
    use horizon_protocol::link::{EntityKey, Part};

    use super::super::record::{EntityPut, TickRecord};
    use super::*;

    fn put(entity: u64, value: &[u8]) -> EntityPut {
        let entity = EntityId::from_bits(entity).expect("not zero");
        EntityPut {
            entity,
            key: EntityKey::Object(entity),
            epoch: Epoch::new(1, 1),
            complete: true,
            parts: vec![Part { name: "value".into(), bytes: Some(value.to_vec()) }],
        }
    }

    fn tick(at: u64, puts: Vec<EntityPut>) -> JournalRecord {
        JournalRecord::Tick(TickRecord { tick: Tick(at), puts, ..TickRecord::default() })
    }

    fn value(recovered: &Recovered) -> Option<Vec<u8>> {
        recovered.state.as_ref()?.entities.first()?.parts[0].bytes.clone()
    }

    /// The history that needs the cut: the first holder's late write must not reach the third.
    #[test]
    fn what_lies_beyond_a_cut_is_void_for_every_later_holder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let one = Epoch::new(1, 1);
        let mut first = Segment::create(folder.path(), one, &Recovered::default()).expect("created");
        first.append(&tick(2, vec![put(1, b"acknowledged")])).expect("written");
        first.sync().expect("synced");

        // The second takes over but ends before its snapshot: only the takeover is durable.
        let two = Epoch::new(1, 2);
        let read = recover(folder.path(), two).expect("read");
        let path = part_path(folder.path(), two, 0);
        let file = create_part(folder.path(), &path).expect("created");
        let mut second =
            Segment { folder: folder.path().to_owned(), lease: two, part: 0, file, path, bytes: 0 };
        second.append(&JournalRecord::Takeover { lease: two, predecessor: read.cut }).expect("written");
        second.sync().expect("synced");

        first.append(&tick(4, vec![put(1, b"late")])).expect("a stopped process wakes up");
        first.sync().expect("synced");

        let third = recover(folder.path(), Epoch::new(1, 3)).expect("read");
        assert_eq!(value(&third).as_deref(), Some(&b"acknowledged"[..]));

        // Control: without the takeover record the late write would be believed.
        fs::remove_file(part_path(folder.path(), two, 0)).expect("removed");
        let without_cut = recover(folder.path(), Epoch::new(1, 3)).expect("read");
        assert_eq!(value(&without_cut).as_deref(), Some(&b"late"[..]));
    }

    /// Takeover and snapshot are synced together: a crash in between may leave any part of the file.
    #[test]
    fn whatever_a_crash_leaves_of_a_takeover_nothing_acknowledged_is_lost() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [one, two, three] = [1, 2, 3].map(|lease| Epoch::new(1, lease));
        let mut first = Segment::create(folder.path(), one, &Recovered::default()).expect("created");
        first.append(&tick(2, vec![put(1, b"acknowledged")])).expect("written");
        first.sync().expect("synced");
        let read = recover(folder.path(), two).expect("read");
        let second = Segment::create(folder.path(), two, &read).expect("created");
        first.append(&tick(4, vec![put(1, b"late")])).expect("a stopped process wakes up");

        let (whole, path) = (fs::read(second.path()).expect("read"), second.path().to_owned());
        let takeover = FRAME_HEADER + u32::from_le_bytes(whole[..4].try_into().expect("four bytes")) as usize;
        for left in 0..=whole.len() {
            fs::write(&path, &whole[..left]).expect("written");
            let found = value(&recover(folder.path(), three).expect("read"));
            // Before the takeover is whole nobody has taken over, and what came late was not too late.
            let expected: &[u8] = if left < takeover { b"late" } else { b"acknowledged" };
            assert_eq!(found.as_deref(), Some(expected), "{left} of {} bytes", whole.len());
        }
        // A disk may keep the end of a file and lose its beginning.
        let mut torn = whole;
        torn[..takeover].fill(0);
        fs::write(&path, torn).expect("written");
        assert_eq!(value(&recover(folder.path(), three).expect("read")).as_deref(), Some(&b"late"[..]));
    }

    #[test]
    fn a_torn_frame_ends_the_segment_and_parts_rotate() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut segment =
            Segment::create(folder.path(), Epoch::new(1, 1), &Recovered::default()).expect("created");
        segment.append(&tick(2, vec![put(1, b"a")])).expect("written");
        let state = recover(folder.path(), Epoch::new(1, 2)).expect("read").state.expect("a snapshot");
        segment.rotate(state, &[]).expect("rotated");
        segment.remove_older().expect("removed");
        segment.append(&tick(4, vec![put(1, b"b")])).expect("written");
        assert_eq!(parts(folder.path()).expect("listed").len(), 1, "the older part is gone");
        segment.file.write_all(&[9, 0, 0, 0, 1, 2, 3, 4, 5]).expect("written");
        let recovered = recover(folder.path(), Epoch::new(1, 2)).expect("read");
        assert_eq!(value(&recovered).as_deref(), Some(&b"b"[..]));
        assert_eq!(recovered.state.expect("a snapshot").tick, Tick(4));
    }

    /// What a record may name is found by every later holder until the entity itself is in the journal.
    #[test]
    fn staged_states_outlive_parts_and_holders_and_end_with_the_entity() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lease = |count| Epoch::new(1, count);
        let staged = |handoff: u128| {
            let key = put(handoff as u64, b"").key;
            Staged { key, handoff: HandoffId(handoff), epoch: Epoch::ZERO, capsule: vec![handoff as u8; 9] }
        };
        let left =
            |recovered: &Recovered| recovered.staged.iter().map(|one| one.handoff.0).collect::<Vec<_>>();
        let mut first = Segment::create(folder.path(), lease(1), &Recovered::default()).expect("created");
        first.append(&JournalRecord::Staged(vec![staged(1), staged(2)])).expect("written");
        first.append(&tick(2, vec![put(1, b"arrived")])).expect("written");
        let read = recover(folder.path(), lease(2)).expect("read");
        assert_eq!(left(&read), [2], "the first has arrived");
        first.rotate(read.state.expect("a snapshot"), &[staged(2), staged(3)]).expect("rotated");
        first.remove_older().expect("removed");
        let read = recover(folder.path(), lease(2)).expect("read");
        assert_eq!(left(&read), [2, 3], "a new part holds what is open");
        Segment::create(folder.path(), lease(2), &read).expect("created");
        let read = recover(folder.path(), lease(3)).expect("read");
        assert_eq!(left(&read), [2, 3], "and so does a new holder");
    }

    #[test]
    fn one_lease_has_one_segment_and_removes_nothing_by_beginning() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let create = |count| Segment::create(folder.path(), Epoch::new(1, count), &Recovered::default());
        create(1).expect("created");
        assert!(matches!(create(1), Err(JournalError::Duplicate(_))));
        let second = create(2).expect("created");
        assert_eq!(parts(folder.path()).expect("listed").len(), 2, "its lease is not confirmed yet");
        second.remove_older().expect("removed");
        assert_eq!(parts(folder.path()).expect("listed").len(), 1);
    }

    #[test]
    fn a_region_that_never_ran_has_no_state() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recovered = recover(&folder.path().join("none"), Epoch::new(1, 1)).expect("nothing to read");
        assert!(recovered.state.is_none() && recovered.cut.is_none());
    }
}
