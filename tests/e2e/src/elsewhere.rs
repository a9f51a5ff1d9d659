//! Region servers that Atlas did not start and cannot see: in process id namespaces of their own, as in containers.

use std::fs::File;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::world::{World, programs};

impl World {
    /// Starts a region server out of everybody's sight. It takes root.
    pub fn spawn_out_of_sight(&mut self) -> Child {
        self.out_of_sight += 1;
        let log = self.path().join("logs").join(format!("elsewhere-{}.log", self.out_of_sight));
        let log = File::create(log).expect("writable");
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
        command.arg(programs().join("region-server")).arg("--config").arg(self.file());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log).kill_on_drop(true);
        command.spawn().expect("unshare can be started; it comes with util-linux")
    }

    /// Waits until one of them has ended, and takes it out. How many have.
    pub async fn one_has_ended(&self, workers: &mut Vec<Child>) -> usize {
        let before = workers.len();
        self.until("the end of a region server", |_| {
            workers.retain_mut(|worker| matches!(worker.try_wait(), Ok(None)));
            (workers.len() < before).then_some(())
        })
        .await;
        before - workers.len()
    }

    /// `kill -9` of all of them.
    pub async fn kill_out_of_sight(&self, workers: &mut Vec<Child>) {
        for mut worker in workers.drain(..) {
            worker.kill().await.expect("it was there");
        }
    }
}
