//! What is wrong with a configuration file, in words its author can act on.

use std::fmt;
use std::path::PathBuf;

/// Why the configuration was refused. The process should not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// As it was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A variable of the environment that goes before the file.
    #[error("{name} in the environment is {value:?}; {allowed}")]
    Environment {
        /// Which.
        name: &'static str,
        /// As it was found.
        value: String,
        /// What would be right.
        allowed: String,
    },
    /// The file was read, and these places in it are wrong.
    #[error("{0}")]
    Invalid(Problems),
}

/// Everything that is wrong with one file, in the order of its lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named on the command line.
    pub file: String,
    /// Line number from 1.
    pub line: usize,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(problem, f)?;
        }
        Ok(())
    }
}
