//! Why a command ends early.

use std::io;
use std::path::Path;

/// A sentence that says who must do what, and the exit code that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Failure {
    sentence: String,
    /// Exit code of the process.
    pub(crate) code: u8,
}

/// What everything here returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// With the exit code of another program, where it has one.
    pub(crate) fn with_code(sentence: impl Into<String>, code: Option<i32>) -> Self {
        let code = code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
        Self { sentence: sentence.into(), code }
    }

    /// A file or folder that cannot be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        format!(
            "cannot write {path}: {error}; give this user the right to, or choose another folder with --data"
        )
        .into()
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self { sentence, code: 1 }
    }
}
