//! Which processes see each other.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// A number for the processes that this one sees: two processes have the same one if a process id means the
/// same to both, that is on one machine since its last boot and in one process id namespace.
///
/// Where the system does not say (no `/proc`), a number that is this process' alone: nobody is mistaken for a
/// neighbour.
pub fn visible() -> u64 {
    static VISIBLE: OnceLock<u64> = OnceLock::new();
    *VISIBLE.get_or_init(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let namespace = std::fs::metadata("/proc/self/ns/pid");
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        match (boot, namespace) {
            (Ok(boot), Ok(namespace)) => {
                hasher.write(boot.trim().as_bytes());
                hasher.write_u64(namespace.ino());
            }
            _ => hasher.write_u64(RandomState::new().build_hasher().finish()),
        }
        hasher.finish()
    })
}

/// FNV-1a, 64 bits: the same in every build, unlike the hashers of the standard library.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_and_says_something() {
        assert_eq!(visible(), visible());
        assert_ne!(visible(), 0xcbf2_9ce4_8422_2325);
    }
}
