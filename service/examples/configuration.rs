//! Prints a commented `horizon.toml` of defaults; with `--tables`, the tables of
//! `docs/configuration.md`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let tables = std::env::args().any(|argument| argument == "--tables");
    let text =
        if tables { horizon_service::config::schema_table() } else { horizon_service::config::example() };
    std::io::stdout().write_all(text.as_bytes())
}
