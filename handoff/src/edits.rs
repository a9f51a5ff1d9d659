//! How one part of a capsule became another: what of the old bytes stays, and what is new between.
//!
//! An inventory of 16 KiB in which one entry changes is told in a few dozen bytes. Where a part only grew, shrank
//! or changed in one place, its common beginning and end are all there is to find; between them, blocks of
//! the old bytes are looked for wherever they went.
//!
//! Invariant: the same two texts give the same edits, edits read back give exactly the new text, and edits that
//! were made for another text are refused or give one whose capsule has another hash.

use std::collections::BTreeMap;

use horizon_protocol::link::Edit;

use crate::MAX_CAPSULE_BYTES;

/// Shorter parts are told whole.
const MIN_BYTES: usize = 64;
/// Old bytes are looked for in blocks of this length.
const BLOCK_BYTES: usize = 32;
/// Multiplier of the rolling hash: odd, so that no byte of a block is shifted out.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Edits that do not fit the text they are laid over: the receiver's copy is another one. Ask for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Bytes that are to stay are not there.
    #[error("bytes {at}..{end} are to stay, and the old part has {len}")]
    Beyond {
        /// The first of them.
        at: u32,
        /// The one after the last.
        end: u64,
        /// Bytes of the old part.
        len: usize,
    },
    /// More than any capsule may have.
    #[error("the edited part is longer than {MAX_CAPSULE_BYTES} bytes")]
    TooLong,
    /// There is no old part.
    #[error("a part is edited that is not there")]
    Absent,
}

/// What leads from `old` to `new`; `None` where telling `new` whole is as short.
pub(crate) fn between(old: &[u8], new: &[u8]) -> Option<Vec<Edit>> {
    if old.len() < MIN_BYTES || new.len() < MIN_BYTES {
        return None;
    }
    let equal = |(a, b): &(&u8, &u8)| a == b;
    let head = old.iter().zip(new).take_while(equal).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(equal).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);

    let mut edits = Vec::new();
    keep(&mut edits, 0, head);
    find_blocks(&mut edits, old_middle, head, new_middle);
    keep(&mut edits, old.len() - tail, tail);
    let bytes: usize = edits.iter().map(Edit::bytes_moved).sum();
    (bytes < new.len()).then_some(edits)
}

/// Lays `edits` over `old`.
///
/// # Errors
///
/// [`EditError`] where they were made for something else.
pub(crate) fn apply(old: &[u8], edits: &[Edit]) -> Result<Vec<u8>, EditError> {
    let mut new = Vec::new();
    for edit in edits {
        let bytes = match edit {
            Edit::New(bytes) => bytes.as_slice(),
            Edit::Keep { at, len } => {
                let end = u64::from(*at) + u64::from(*len);
                let beyond = EditError::Beyond { at: *at, end, len: old.len() };
                let end = usize::try_from(end).map_err(|_| beyond)?;
                old.get(*at as usize..end).ok_or(beyond)?
            }
        };
        if new.len() + bytes.len() > MAX_CAPSULE_BYTES {
            return Err(EditError::TooLong);
        }
        new.extend_from_slice(bytes);
    }
    Ok(new)
}

/// Tells `new` by blocks of `old`, which begins at `offset` of its part, and by what is between them.
fn find_blocks(edits: &mut Vec<Edit>, old: &[u8], offset: usize, new: &[u8]) {
    let mut blocks: BTreeMap<u64, usize> = BTreeMap::new();
    for (n, block) in old.chunks_exact(BLOCK_BYTES).enumerate() {
        blocks.entry(hash(block)).or_insert(n * BLOCK_BYTES);
    }
    let top = (1..BLOCK_BYTES).fold(1_u64, |power, _| power.wrapping_mul(PRIME));
    let (mut told, mut at) = (0, 0);
    let mut rolled = None;
    while !blocks.is_empty() && at + BLOCK_BYTES <= new.len() {
        let window = &new[at..at + BLOCK_BYTES];
        let now = *rolled.get_or_insert_with(|| hash(window));
        let found = blocks.get(&now).copied().filter(|&from| &old[from..from + BLOCK_BYTES] == window);
        let Some(from) = found else {
            rolled = new.get(at + BLOCK_BYTES).map(|&next| {
                let without = now.wrapping_sub(u64::from(new[at]).wrapping_mul(top));
                without.wrapping_mul(PRIME).wrapping_add(u64::from(next))
            });
            at += 1;
            continue;
        };
        let equal = |(a, b): &(&u8, &u8)| a == b;
        let before = new[told..at].iter().rev().zip(old[..from].iter().rev()).take_while(equal).count();
        let after = new[at..].iter().zip(&old[from..]).take_while(equal).count();
        insert(edits, &new[told..at - before]);
        keep(edits, offset + from - before, before + after);
        at += after;
        (told, rolled) = (at, None);
    }
    insert(edits, &new[told..]);
}

fn hash(block: &[u8]) -> u64 {
    block.iter().fold(0, |hash: u64, &byte| hash.wrapping_mul(PRIME).wrapping_add(u64::from(byte)))
}

fn keep(edits: &mut Vec<Edit>, at: usize, len: usize) {
    if len > 0 {
        let number = |n: usize| u32::try_from(n).expect("parts are far shorter than 4 GiB");
        edits.push(Edit::Keep { at: number(at), len: number(len) });
    }
}

fn insert(edits: &mut Vec<Edit>, bytes: &[u8]) {
    if !bytes.is_empty() {
        edits.push(Edit::New(bytes.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that repeat little, 16 KiB of them.
    fn inventory() -> Vec<u8> {
        (0..16_384_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn moved(edits: &[Edit]) -> usize {
        edits.iter().map(Edit::bytes_moved).sum()
    }

    #[test]
    fn one_entry_costs_what_it_says_wherever_it_is_and_however_long() {
        let old = inventory();
        for at in [0, 1, 8_000, 16_380] {
            for (removed, inserted) in [(4, 4), (3, 9), (0, 5), (4, 0)] {
                let mut new = old.clone();
                new.splice(at..at + removed, vec![0xee; inserted]);
                let edits = between(&old, &new).expect("much stays");
                assert!(moved(&edits) <= 40, "{} bytes at {at}: -{removed} +{inserted}", moved(&edits));
                assert_eq!(apply(&old, &edits), Ok(new));
            }
        }
    }

    #[test]
    fn several_changes_and_a_moved_entry_are_found_in_blocks() {
        let old = inventory();
        let mut new = old.clone();
        for at in [500, 7_000, 15_000] {
            new[at] ^= 1;
        }
        let entry: Vec<u8> = new.drain(3_000..3_100).collect();
        new.splice(12_000..12_000, entry);
        let edits = between(&old, &new).expect("much stays");
        assert!(moved(&edits) < 400, "{} bytes", moved(&edits));
        assert_eq!(apply(&old, &edits), Ok(new));
    }

    #[test]
    fn what_has_nothing_in_common_is_told_whole() {
        assert_eq!(between(&[1; 500], &[2; 500]), None);
        assert_eq!(between(&[1; 10], &[1; 10]), None, "short ones always are");
    }

    #[test]
    fn edits_for_another_text_are_refused() {
        let keep = |at, len| [Edit::Keep { at, len }];
        let beyond = |at, end| Err(EditError::Beyond { at, end, len: 10 });
        assert_eq!(apply(&[0; 10], &keep(4, 7)), beyond(4, 11));
        assert_eq!(apply(&[0; 10], &keep(u32::MAX, u32::MAX)), beyond(u32::MAX, 2 * u64::from(u32::MAX)));
        let many = vec![Edit::Keep { at: 0, len: 10 }; MAX_CAPSULE_BYTES / 10 + 1];
        assert_eq!(apply(&[0; 10], &many), Err(EditError::TooLong));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        // Few letters and long runs, so that texts have something in common.
        let run = (0..4_u8, 1..60_usize).prop_map(|(letter, len)| vec![letter; len]);
        prop::collection::vec(run, 0..12).prop_map(|runs| runs.concat())
    }

    fn edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            (any::<u32>(), any::<u32>()).prop_map(|(at, len)| Edit::Keep { at, len }),
            (0..300_u32, 0..300_u32).prop_map(|(at, len)| Edit::Keep { at, len }),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Edit::New),
        ]
    }

    proptest! {
        /// Edits lead from any text to any other, the same way each time, and cost less than the whole.
        #[test]
        fn edits_lead_from_any_text_to_any_other(old in text(), new in text()) {
            let edits = between(&old, &new);
            prop_assert_eq!(&edits, &between(&old, &new));
            if let Some(edits) = edits {
                prop_assert!(moved(&edits) < new.len());
                prop_assert_eq!(apply(&old, &edits), Ok(new));
            }
        }

        /// A splice anywhere in a long text is told in little more than itself.
        #[test]
        fn a_splice_is_told_by_itself(
            (at, removed) in (0..16_000_usize, 0..200_usize),
            inserted in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let old = inventory();
            let mut new = old.clone();
            new.splice(at..at + removed, inserted.iter().copied());
            let edits = between(&old, &new).expect("much stays");
            prop_assert!(moved(&edits) <= inserted.len() + 120, "{}", moved(&edits));
            prop_assert_eq!(apply(&old, &edits), Ok(new));
        }

        /// No edits make reading panic.
        #[test]
        fn any_edits(old in text(), edits in prop::collection::vec(edit(), 0..20)) {
            let _ = apply(&old, &edits);
        }
    }
}
