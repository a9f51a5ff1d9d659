//! The scripts: everything that a Redis server decides for us.

macro_rules! script {
    ($file:literal) => {
        concat!(include_str!("scripts/prelude.lua"), include_str!(concat!("scripts/", $file)))
    };
}

/// One script. The number is its place in [`SOURCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Script {
    Open,
    Acquire,
    Lease,
    Cas,
    Session,
    Director,
    Keys,
    Read,
    Report,
}

/// What each of them is, in the order of [`Script`].
pub(super) const SOURCES: [&str; 9] = [
    script!("open.lua"),
    script!("acquire.lua"),
    script!("lease.lua"),
    script!("cas.lua"),
    script!("session.lua"),
    script!("director.lua"),
    script!("keys.lua"),
    script!("read.lua"),
    script!("report.lua"),
];
