//! Data of the live page: one JSON text that all viewers share, made only while somebody looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The text is made again this often while somebody looks.
pub const PERIOD: Duration = Duration::from_millis(200);
/// Somebody who has not asked for this long is not looking any more.
const ATTENTION: Duration = Duration::from_secs(2);

/// The newest text, and whether anybody reads it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Live {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    text: Bytes,
    asked: Option<Instant>,
}

impl Live {
    /// The newest text; notes that somebody looks.
    pub fn read(&self) -> Bytes {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked = Some(Instant::now());
        if shared.text.is_empty() { Bytes::from_static(b"{}") } else { shared.text.clone() }
    }

    /// Replaces the text, if somebody looks.
    pub fn write(&self, make: impl FnOnce() -> String) {
        let looks = {
            let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.asked.is_some_and(|asked| asked.elapsed() < ATTENTION)
        };
        if looks {
            let text = Bytes::from(make());
            self.shared.lock().unwrap_or_else(PoisonError::into_inner).text = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_while_nobody_looks() {
        let live = Live::default();
        live.write(|| unreachable!("nobody looks"));
        assert_eq!(live.read(), "{}");
        live.write(|| "[1]".to_owned());
        assert_eq!(live.read(), "[1]");
    }
}
