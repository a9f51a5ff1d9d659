//! `faulty-region-server`: the region server with fail points, and with guards that can be switched off.

#[path = "../../../../region-server/src/main.rs"]
mod program;

fn main() {
    program::main();
}
