//! `faulty-store`: the store, with guards that can be switched off.

#[path = "../../../../state-store/src/main.rs"]
mod program;

fn main() {
    if let Ok(name) = std::env::var("HORIZON_MUTANT") {
        horizon_handoff::mutant::switch_off(&name);
    }
    program::main();
}
