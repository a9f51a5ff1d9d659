//! What region servers say of themselves when they are asked.

use crate::world::metrics;
use crate::{World, http};

impl World {
    /// What each region server counts that has been started here and answers.
    pub async fn region_metrics(&self) -> Vec<String> {
        let mut all = Vec::new();
        for port in self.region_admins() {
            all.push(metrics(port).await);
        }
        all
    }

    /// What each region server that has been started here answers to whether it is ready.
    pub async fn region_readiness(&self) -> Vec<(u16, String)> {
        let mut all = Vec::new();
        for port in self.region_admins() {
            all.extend(http::get(port, "/readyz").await.ok());
        }
        all
    }

    fn region_admins(&self) -> Vec<u16> {
        let logs: Vec<String> = self.logs().into_iter().map(|(_, log)| log).collect();
        let lines = logs.iter().flat_map(|log| log.lines());
        let started = lines.filter(|line| line.contains("worker=") && line.contains(" started"));
        let port = |line: &str| line.split("admin=127.0.0.1:").nth(1)?.split(' ').next()?.parse().ok();
        started.map(|line| port(line).expect("the line names the admin listener")).collect()
    }
}
