//! The client's half of the ledger: a hash over every reliable input, as `plugins/ledger` keeps it.

use serde::Deserialize;

const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Everything sent in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    value: u64,
    count: u64,
}

/// What the server says it applied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// Inputs applied in this session.
    pub count: u64,
    /// Highest number applied.
    pub last_seq: u32,
    /// The chain, as 16 hexadecimal digits.
    pub chain: String,
    /// Inputs that came with the number of the one before.
    pub repeated: u64,
    /// Numbers that never came before a higher one did.
    pub skipped: u64,
    /// Inputs with a lower number than one before.
    pub backwards: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { value: START, count: 0 }
    }
}

impl Chain {
    /// One more input.
    pub fn push(&mut self, seq: u32, namespace: &str, event: &str, payload: &[u8]) {
        let number = seq.to_le_bytes();
        let before = self.value.to_le_bytes();
        let parts: [&[u8]; 6] = [&before, &number, namespace.as_bytes(), b"/", event.as_bytes(), payload];
        let bytes = parts.into_iter().flatten();
        self.value = bytes.fold(START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        self.count += 1;
    }

    /// Inputs so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The only report that means: everything once and in order.
    pub fn expected(&self) -> Report {
        Report {
            count: self.count,
            last_seq: u32::try_from(self.count).expect("tests send few inputs"),
            chain: format!("{:016x}", self.value),
            repeated: 0,
            skipped: 0,
            backwards: 0,
        }
    }
}
