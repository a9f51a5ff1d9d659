//! Logs of a process: text for people or one JSON object per line, filtered per part.
//!
//! ERROR means that something is broken and fails every test that sees one ([`errors`]); WARN means
//! that a human should look.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

static ERRORS: AtomicU64 = AtomicU64::new(0);

/// Why there are no logs. The process should not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file of `[log]` cannot be written.
    #[error("cannot write logs to {}: {source}", path.display())]
    File {
        /// `[log] file`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Logs were started before in this process.
    #[error("logs were started twice")]
    Twice,
}

/// Starts the logs of this process as `[log]` says.
///
/// # Errors
///
/// [`LoggingError`]; calling it twice is one.
pub fn init(log: &Log) -> Result<(), LoggingError> {
    let filter: Targets = log.level.parse().expect("a configuration that exists is valid");
    let writer = match &log.file {
        Some(path) => BoxMakeWriter::new(Mutex::new(open(path)?)),
        None => BoxMakeWriter::new(io::stderr),
    };
    let colours = log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let registry = tracing_subscriber::registry().with(CountErrors).with(lines.with_filter(filter));
    registry.try_init().map_err(|_| LoggingError::Twice)
}

/// ERROR lines of this process so far, also where the filter hides them.
pub fn errors() -> u64 {
    ERRORS.load(Ordering::Relaxed)
}

fn open(path: &PathBuf) -> Result<File, LoggingError> {
    let refused = |source| LoggingError::File { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(refused)
}

/// Counts what must never happen.
struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            ERRORS.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_and_lines_go_to_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("logs/horizon.log");
        let log =
            Log { level: "info,quiet=off".to_owned(), format: LogFormat::Json, file: Some(path.clone()) };
        init(&log).expect("first start");
        let before = errors();
        tracing::info!(region = 3, "placed");
        tracing::debug!("not shown");
        tracing::error!(target: "quiet", "counted though hidden");
        assert_eq!(errors(), before + 1);
        let text = std::fs::read_to_string(path).expect("written");
        assert!(text.contains(r#""message":"placed""#) && text.contains(r#""region":3"#), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(matches!(init(&log), Err(LoggingError::Twice)));
    }
}
