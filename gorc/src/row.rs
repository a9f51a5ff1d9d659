//! What one receiver holds: a row per object, in the order of aliases.

use horizon_model::Tick;

/// Channel told, 0 to 3.
pub(crate) const CHANNEL: u16 = 0b11;
/// The newest knot of its channel is owed.
pub(crate) const KNOT: u16 = 1 << 3;
/// Bit `4 + n`: the fields of channel `n` are owed.
pub(crate) const OWED: u16 = 0xf << 4;
/// The next knot must stand by itself: the receiver may expect the object elsewhere.
pub(crate) const WHOLE: u16 = 1 << 8;
/// A jump is owed.
pub(crate) const SNAP: u16 = 1 << 9;
/// Told by another region from another knot: ours is owed at the step of its stamp.
pub(crate) const ADOPTED: u16 = 1 << 10;
/// The entry shall be marked complete.
pub(crate) const COMPLETE: u16 = 1 << 11;
/// Anything owed.
pub(crate) const PENDING: u16 = KNOT | OWED | WHOLE | SNAP | ADOPTED | COMPLETE;

/// Rows by alias. Slot 0 is a hole.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Slot of the object.
    pub(crate) slots: Vec<u32>,
    /// Channel, and what is owed.
    pub(crate) words: Vec<u16>,
    /// Low half of the step since which anything is owed.
    stamps: Vec<u16>,
    /// Low half of the step at which the channel was told first.
    changes: Vec<u16>,
    /// Low half of the tick of the knot told last.
    pub(crate) ticks: Vec<u32>,
    /// Aliases in use, one bit each; also those of objects that do not exist here.
    used: Vec<u64>,
    held: usize,
}

/// Aliases that one receiver can have.
pub(crate) const MAX_ALIASES: usize = 1 << 16;

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Objects held.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.words.clear();
        self.stamps.clear();
        self.changes.clear();
        self.ticks.clear();
        self.used.clear();
        self.held = 0;
    }

    pub(crate) fn is_used(&self, alias: usize) -> bool {
        self.used.get(alias / 64).is_some_and(|word| word & 1 << (alias % 64) != 0)
    }

    /// The lowest free alias from `from` on, now in use.
    pub(crate) fn reserve(&mut self, from: usize) -> Option<usize> {
        let mut place = from / 64;
        let mut mask = !0 << (from % 64);
        while place < MAX_ALIASES / 64 {
            if place >= self.used.len() {
                self.used.push(0);
            }
            let free = !self.used[place] & mask;
            if free != 0 {
                let bit = free.trailing_zeros() as usize;
                self.used[place] |= 1 << bit;
                return Some(place * 64 + bit);
            }
            mask = !0;
            place += 1;
        }
        None
    }

    /// Takes this very alias; `false` where it is in use.
    pub(crate) fn claim(&mut self, alias: usize) -> bool {
        if alias >= MAX_ALIASES || self.is_used(alias) {
            return false;
        }
        if self.used.len() <= alias / 64 {
            self.used.resize(alias / 64 + 1, 0);
        }
        self.used[alias / 64] |= 1 << (alias % 64);
        true
    }

    /// Puts an object behind a reserved alias.
    pub(crate) fn put(&mut self, alias: usize, slot: u32, word: u16, tick: Tick, stamp: i64) {
        if self.slots.len() <= alias {
            self.slots.resize(alias + 1, 0);
            self.words.resize(alias + 1, 0);
            self.stamps.resize(alias + 1, 0);
            self.changes.resize(alias + 1, 0);
            self.ticks.resize(alias + 1, 0);
        }
        self.slots[alias] = slot;
        self.words[alias] = word;
        self.stamps[alias] = stamp as u16;
        self.changes[alias] = stamp as u16;
        self.ticks[alias] = tick.0 as u32;
        self.held += 1;
    }

    /// Notes what is owed, and since `now` where nothing was before.
    pub(crate) fn owe(&mut self, alias: usize, word: u16, now: i64) {
        if self.words[alias] & PENDING & !ADOPTED == 0 && word & ADOPTED == 0 {
            self.stamps[alias] = now as u16;
        }
        self.words[alias] = word;
    }

    /// All that was owed is told, on `channel`.
    pub(crate) fn told(&mut self, alias: usize, channel: u16, now: i64) {
        if self.words[alias] & CHANNEL != channel {
            self.changes[alias] = now as u16;
        }
        self.words[alias] = channel;
    }

    /// Steps since the channel was told first; wraps after half an hour, which only keeps it longer.
    pub(crate) fn dwelt(&self, alias: usize, now: i64) -> u16 {
        (now as u16).wrapping_sub(self.changes[alias])
    }

    /// Steps for which anything was owed by `now`, or that adoption is past; negative before it.
    pub(crate) fn waited(&self, alias: usize, now: i64) -> i64 {
        i64::from((now as u16).wrapping_sub(self.stamps[alias]) as i16)
    }

    /// Takes the object away and keeps the alias reserved.
    pub(crate) fn lift(&mut self, alias: usize) {
        self.slots[alias] = 0;
        self.words[alias] = 0;
        self.held -= 1;
    }

    /// Frees a reserved alias.
    pub(crate) fn free(&mut self, alias: usize) {
        if let Some(word) = self.used.get_mut(alias / 64) {
            *word &= !(1 << (alias % 64));
        }
        while let Some(0) = self.slots.last()
            && !self.is_used(self.slots.len() - 1)
        {
            self.slots.pop();
            self.words.pop();
            self.stamps.pop();
            self.changes.pop();
            self.ticks.pop();
        }
    }
}
