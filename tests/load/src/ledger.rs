//! The client's half of the proof that every input was applied exactly once and in order.
//!
//! Both sides chain a hash over every reliable input. Equal chains mean equal histories; where they differ,
//! the counters of the server's report say how.

use serde::Deserialize;

/// Where every chain begins: the offset of FNV-1a with 64 bits.
const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// What this client has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    value: u64,
    count: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { value: START, count: 0 }
    }
}

impl Chain {
    /// One more input: FNV-1a over the chain so far (8 bytes, little-endian), its number (4 bytes,
    /// little-endian), `namespace/event` and the payload.
    pub fn push(&mut self, seq: u32, namespace: &str, event: &str, payload: &[u8]) {
        let parts: [&[u8]; 6] = [
            &self.value.to_le_bytes(),
            &seq.to_le_bytes(),
            namespace.as_bytes(),
            b"/",
            event.as_bytes(),
            payload,
        ];
        self.value = parts
            .into_iter()
            .flatten()
            .fold(START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
        self.count += 1;
    }

    /// Inputs so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Compares with what the server says it applied, the report's own input included.
    pub fn audit(&self, report: &Report) -> Audit {
        let reordered = report.backwards;
        let mut audit = Audit {
            lost: report.skipped.saturating_sub(reordered)
                + self.count.saturating_sub(u64::from(report.last_seq)),
            duplicated: report.repeated,
            reordered,
        };
        let differs = report.chain != format!("{:016x}", self.value) || report.count != self.count;
        if differs && audit == Audit::default() {
            match report.count.cmp(&self.count) {
                std::cmp::Ordering::Less => audit.lost = self.count - report.count,
                std::cmp::Ordering::Greater => audit.duplicated = report.count - self.count,
                // The same numbers with other contents: somebody else's input, or the payload changed.
                std::cmp::Ordering::Equal => audit.reordered = 1,
            }
        }
        audit
    }
}

/// The server's report, as the `ledger` plugin sends it.
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

/// Broken promises about one session's inputs; all zero is the only good value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audit {
    /// Sent and never applied.
    pub lost: u64,
    /// Applied more than once.
    pub duplicated: u64,
    /// Applied out of order, or with other contents.
    pub reordered: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server's side: applies what it is given, whatever the order.
    fn report(inputs: &[(u32, &str)]) -> Report {
        let (mut chain, mut last_seq) = (Chain::default(), 0);
        let (mut repeated, mut skipped, mut backwards) = (0, 0, 0);
        for (seq, payload) in inputs {
            chain.push(*seq, "ledger", "note", payload.as_bytes());
            match seq.cmp(&last_seq) {
                std::cmp::Ordering::Greater => {
                    skipped += u64::from(seq - last_seq - 1);
                    last_seq = *seq;
                }
                std::cmp::Ordering::Equal => repeated += 1,
                std::cmp::Ordering::Less => backwards += 1,
            }
        }
        let text = format!("{:016x}", chain.value);
        Report { count: chain.count, last_seq, chain: text, repeated, skipped, backwards }
    }

    fn audit(applied: &[(u32, &str)]) -> (u64, u64, u64) {
        let mut own = Chain::default();
        for (seq, payload) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            own.push(seq, "ledger", "note", payload.as_bytes());
        }
        let audit = own.audit(&report(applied));
        (audit.lost, audit.duplicated, audit.reordered)
    }

    #[test]
    fn each_fault_is_told_apart() {
        assert_eq!(audit(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]), (0, 0, 0));
        assert_eq!(audit(&[(1, "a"), (2, "b"), (4, "d")]), (1, 0, 0));
        assert_eq!(audit(&[(1, "a"), (2, "b"), (3, "c")]), (1, 0, 0));
        assert_eq!(audit(&[(1, "a"), (2, "b"), (2, "b"), (3, "c"), (4, "d")]), (0, 1, 0));
        assert_eq!(audit(&[(1, "a"), (3, "c"), (2, "b"), (4, "d")]), (0, 0, 1));
        assert_eq!(audit(&[(1, "a"), (2, "b"), (3, "x"), (4, "d")]), (0, 0, 1));
    }

    #[test]
    fn one_chain_for_every_language() {
        let mut chain = Chain::default();
        chain.push(1, "ledger", "note", b"x");
        assert_eq!(chain.value, 0xa221_c667_2af9_a6f3);
    }
}
