//! Machines of their own for region servers: network namespaces, joined by a bridge. Cables can be pulled.
//!
//! The bridge has a namespace of its own, too: what filters the bridges of this machine (Docker's rules do) does
//! not reach it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;

/// A bridge with some machines on it. Dropping it removes all of them.
#[derive(Debug)]
pub struct Machines {
    name: String,
    net: String,
    count: u8,
    script: PathBuf,
    _folder: tempfile::TempDir,
}

impl Machines {
    /// Sets up `count` machines.
    ///
    /// # Errors
    ///
    /// Why that cannot be done here, in words: it takes root and the program `ip`.
    pub fn up(count: u8) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let number = std::process::id() % 200;
        let script = folder.path().join("region-server-on-a-machine");
        let (name, net) = (format!("hz{number}"), format!("10.77.{number}"));
        let machines = Self { name, net, count, script, _folder: folder };
        machines.remove();
        machines.wire()?;
        let text = machines.text();
        std::fs::write(&machines.script, text).map_err(|error| error.to_string())?;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&machines.script, executable).map_err(|error| error.to_string())?;
        Ok(machines)
    }

    fn wire(&self) -> Result<(), String> {
        let Self { name, net, .. } = self;
        ip(&format!("netns add {name}-bridge"))?;
        ip(&format!("-n {name}-bridge link add bridge type bridge"))?;
        ip(&format!("-n {name}-bridge link set bridge up"))?;
        ip(&format!("link add {name} type veth peer name host netns {name}-bridge"))?;
        ip(&format!("-n {name}-bridge link set host master bridge up"))?;
        ip(&format!("addr add {net}.1/24 dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        for n in 1..=self.count {
            ip(&format!("netns add {name}-{n}"))?;
            ip(&format!("-n {name}-bridge link add cable{n} type veth peer name eth0 netns {name}-{n}"))?;
            ip(&format!("-n {name}-bridge link set cable{n} master bridge up"))?;
            ip(&format!("-n {name}-{n} addr add {net}.{}/24 dev eth0", n + 1))?;
            ip(&format!("-n {name}-{n} link set eth0 up"))?;
            ip(&format!("-n {name}-{n} link set lo up"))?;
        }
        Ok(())
    }

    /// Called as Atlas calls a region server, `--config FILE …`: takes a machine that nobody has.
    fn text(&self) -> String {
        let (name, net) = (&self.name, &self.net);
        let program = programs().join("region-server");
        format!(
            "#!/bin/sh\nconfig=$2\nshift 2\nfolder=$(dirname \"$config\")\nn=1\nwhile [ $n -le {} ]; do\n\
             if mkdir \"$folder/machine-$n\" 2>/dev/null; then\n\
             {{ cat \"$config\"; printf '\\n[region]\\nlink = \"{net}.%s:0\"\\n' $((n + 1)); }} > \"$folder/machine-$n.toml\"\n\
             exec ip netns exec {name}-$n {} --config \"$folder/machine-$n.toml\" \"$@\"\nfi\n\
             n=$((n + 1))\ndone\necho 'every machine has had its region server' >&2\nexit 1\n",
            self.count,
            program.display()
        )
    }

    /// What starts a region server on a machine that had none yet.
    pub fn command(&self) -> &Path {
        &self.script
    }

    /// The address of the machine that everything else is on.
    pub fn host(&self) -> String {
        format!("{}.1", self.net)
    }

    /// Which machine a process runs on.
    pub fn of(pid: u32) -> u8 {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("the process lives");
        let number = words.split("machine-").nth(1).and_then(|rest| rest.split('.').next());
        number.and_then(|number| number.parse().ok()).expect("it was started on a machine")
    }

    /// Pulls the cable of a machine: nothing gets there or from there.
    pub fn pull_cable(&self, machine: u8) {
        ip(&format!("-n {}-bridge link set cable{machine} down", self.name)).expect("the machine is there");
    }

    /// Plugs it in again.
    pub fn plug_in(&self, machine: u8) {
        ip(&format!("-n {}-bridge link set cable{machine} up", self.name)).expect("the machine is there");
    }

    fn remove(&self) {
        for n in 1..=self.count {
            // The other end of its cable goes with it, if there is one.
            let _ = ip(&format!("netns del {}-{n}", self.name));
        }
        let _ = ip(&format!("netns del {}-bridge", self.name));
        // As a rule it went with its other end.
        let _ = ip(&format!("link del {}", self.name));
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.remove();
    }
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|error| format!("the program ip cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
