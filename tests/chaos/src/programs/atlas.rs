//! `faulty-atlas`: Atlas, with guards that can be switched off.

#[path = "../../../../atlas/src/bin/atlas.rs"]
mod program;

fn main() {
    if let Ok(name) = std::env::var("HORIZON_MUTANT") {
        horizon_handoff::mutant::switch_off(&name);
    }
    program::main();
}
