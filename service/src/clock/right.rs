//! The clock as it is: the ordinary build.

use std::time::Duration;

pub(super) const fn own(right: Duration) -> Duration {
    right
}

pub(super) const fn asked_and_heard(asked: Duration, heard: Duration) -> (Duration, Duration) {
    (asked, heard)
}

pub(super) const fn believes_the_first_answer() -> bool {
    false
}
