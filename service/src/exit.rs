//! How a process ends that cannot go on.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::config::ConfigError;
use crate::listen::ListenError;

/// Exit code where the configuration has to be changed first (`EX_USAGE`): restarting is no use.
pub const CONFIGURATION: i32 = 64;
/// Exit code of every other failure.
pub const FAILURE: i32 = 1;

/// Tells `error` with its causes on standard error and ends the process: with [`CONFIGURATION`] where
/// a changed file would help, with [`FAILURE`] otherwise.
pub fn fail(error: &(dyn Error + 'static)) -> ! {
    let _ = writeln!(std::io::stderr(), "error: {}", sentence(error));
    std::process::exit(code(error))
}

/// Does a thread's work. A panic in it ends the process: nobody else could go on with what the thread owned, and a
/// process that seems alive without it is not replaced.
pub fn unless_panic<T>(thread: &str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!(thread, "a panic; ending, so that another process takes over");
        std::process::exit(FAILURE)
    })
}

/// The exit code for `error`, by itself or its causes.
pub fn code(error: &(dyn Error + 'static)) -> i32 {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let configured = causes.any(|cause| cause.is::<ConfigError>() || cause.is::<ListenError>());
    if configured { CONFIGURATION } else { FAILURE }
}

/// `error` and every cause that it does not tell itself.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            let _ = write!(text, ": {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Start(#[source] ListenError);

    #[test]
    fn a_taken_port_is_a_matter_of_configuration() {
        let address = "127.0.0.1:7780".parse().expect("an address");
        let taken = ListenError::new(address, "[atlas] admin", io::ErrorKind::AddrInUse.into());
        let sentences = [
            "127.0.0.1:7780 is taken by another process; stop it or change [atlas] admin in horizon.toml",
            "cannot start: 127.0.0.1:7780 is taken by another process; stop it or change [atlas] admin in horizon.toml",
        ];
        assert_eq!(sentence(&taken), sentences[0]);
        assert_eq!((sentence(&Start(taken)).as_str(), CONFIGURATION), (sentences[1], CONFIGURATION));
    }

    #[test]
    fn codes() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let denied = ListenError::new(address, "[atlas] listen", io::ErrorKind::PermissionDenied.into());
        assert_eq!(code(&Start(denied)), CONFIGURATION);
        assert_eq!(code(&io::Error::other("disk is full")), FAILURE);
    }
}
