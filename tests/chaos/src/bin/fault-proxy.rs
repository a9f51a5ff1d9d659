//! `fault-proxy [SEED]`: roads between processes, told over standard input; see `horizon_chaos::proxy`.
//!
//! One line in, one line out. It ends with its input, and all roads with it.

use std::io::{self, Write, stdin, stdout};

use horizon_chaos::proxy::{Command, Proxy, perform};

fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut proxy = Proxy::new(seed);
    for line in stdin().lines() {
        let answer = match line?.parse::<Command>() {
            Ok(command) => runtime
                .block_on(perform(&mut proxy, command))
                .unwrap_or_else(|error| format!("error {error}")),
            Err(error) => format!("error {error}"),
        };
        writeln!(stdout(), "{answer}")?;
    }
    Ok(())
}
