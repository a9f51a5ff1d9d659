//! Programs that stand in for those of a world: the same ones with clocks of their own.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::wall::Walls;
use crate::cargo::Built;
use crate::failure::{Failure, Outcome};

/// What is wrong with the clocks of the region servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clocks {
    /// They are off, by 100 ms and by a day.
    Skew,
    /// They gain and lose up to 500 microseconds a second.
    Drift,
    /// They jump ahead, as after a short sleep.
    Step,
    /// They stand still for a while, as in a guest that was paused and not told.
    Pause,
    /// Their questions, or the answers, are up to 100 ms late.
    Delay,
    /// As [`Self::Step`] and [`Self::Pause`], and nothing is believed after the first answer.
    Believing,
    /// They are the wall clocks.
    Wall,
}

impl Clocks {
    /// As in the result.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Skew => "skew",
            Self::Drift => "drift",
            Self::Step => "step",
            Self::Pause => "pause",
            Self::Delay => "delay",
            Self::Believing => "step, undisciplined",
            Self::Wall => "wall",
        }
    }

    /// Words of `HORIZON_CLOCK` for four region servers in turn; the fifth is the first again. `half` is half of
    /// the time that is played, in seconds.
    fn words(self, half: u64) -> [String; 4] {
        let (soon, later) = (half, half + 2);
        let jumps = [
            format!("jump_ms=100@{soon}"),
            format!("jump_ms=50@{later}"),
            String::new(),
            format!("jump_ms=20@{later}"),
        ];
        let pauses =
            [format!("lose_ms=100@{soon}"), String::new(), String::new(), format!("lose_ms=50@{later}")];
        match self {
            Self::Skew => {
                ["skew_ms=-100", "skew_ms=100", "skew_ms=86400000", "skew_ms=37"].map(str::to_owned)
            }
            Self::Drift => {
                ["drift_ppm=500", "drift_ppm=-500", "drift_ppm=200", "drift_ppm=-200"].map(str::to_owned)
            }
            Self::Step => jumps,
            Self::Pause => pauses,
            Self::Delay => ["there_ms=100", "back_ms=100", "there_ms=40;back_ms=100", ""].map(str::to_owned),
            Self::Believing => {
                std::array::from_fn(|n| format!("{};{};first_answer", jumps[n], pauses[(n + 1) % 4]))
            }
            Self::Wall => ["wall"; 4].map(str::to_owned),
        }
    }
}

/// The folder with them.
pub(super) struct StandIns {
    folder: PathBuf,
}

impl StandIns {
    /// Writes scripts that start the programs of `built`.
    pub(super) fn write(
        world: &Path,
        built: &Built,
        clocks: Clocks,
        seconds: u64,
        walls: &Walls,
    ) -> Outcome<Self> {
        let folder = world.join("stand-ins");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::unwritable(&folder, &error))?;
        let stand_ins = Self { folder };
        for name in ["store", "atlas"] {
            let text =
                format!("{}exec '{}' \"$@\"\n", walls.environment(name), built.program(name).display());
            stand_ins.script(name, &text)?;
        }
        // Each start takes the next number.
        let mut text =
            "n=0\nwhile ! mkdir \"$(dirname \"$0\")/taken-$n\" 2>/dev/null; do n=$((n + 1)); done\n"
                .to_owned();
        text.push_str("case $((n % 4)) in\n");
        for (number, words) in clocks.words(seconds / 2).iter().enumerate() {
            let _ = writeln!(text, "{number})\nexport HORIZON_CLOCK='{words}'");
            let _ = writeln!(text, "{};;", walls.environment(&format!("region-{number}")));
        }
        let program = built.program("faulty-region-server");
        let _ = writeln!(text, "esac\nexec '{}' \"$@\"", program.display());
        stand_ins.script("region-server", &text)?;
        Ok(stand_ins)
    }

    fn script(&self, name: &str, text: &str) -> Outcome<()> {
        let path = self.folder.join(name);
        let failed = |error: std::io::Error| Failure::unwritable(&path, &error);
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(failed)
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the configuration `file` name the region server's, and gives every second field of the board of
    /// regions the second rate.
    pub(super) fn enter(&self, file: &Path, hz: [u32; 2]) -> Outcome<()> {
        let failed = |error: std::io::Error| Failure::unwritable(file, &error);
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let worker = format!("[atlas]\nworker_command = \"{}\"", self.folder.join("region-server").display());
        let mut text = text.replacen("[atlas]", &worker, 1);
        if hz[0] != hz[1] {
            for region in [1, 2] {
                let _ = write!(text, "\n[regions.{region}]\ntick_hz = {}\n", hz[0].max(hz[1]));
            }
        }
        std::fs::write(file, text).map_err(failed)
    }
}
