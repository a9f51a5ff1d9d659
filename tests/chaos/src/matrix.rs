//! Many cells, some at a time, and what they add up to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;

use crate::cell::{Cell, Fault, Step};
use crate::run::{Outcome, Setting};
use crate::world::Store;

/// A cell and its control.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What went wrong.
    pub fault: Fault,
    /// When.
    pub step: Step,
    /// Nothing that was promised broke.
    pub green: bool,
    /// 99th percentile over players of their longest time without a frame, milliseconds.
    pub stall_ms_p99: u64,
    /// From the fault until everybody's inputs of after it were applied, seconds.
    pub recovery_s: Option<f64>,
    /// The guard that the control has switched off.
    pub control: &'static str,
    /// A checker noticed that the guard was off, as it must.
    pub control_failed: bool,
    /// Tries of the control until then.
    pub control_tries: u64,
    /// What noticed it.
    pub control_noticed: Option<String>,
    /// Cell and control together, seconds.
    pub seconds: f64,
    /// What broke.
    pub violations: Vec<String>,
}

/// All rows.
#[derive(Debug)]
pub struct Matrix {
    rows: Vec<Row>,
    store: Store,
    seed: u64,
}

/// Runs `cells`, `jobs` at a time, and each control up to `tries` times. Progress goes to standard error.
pub async fn run(setting: &Setting, cells: Vec<Cell>, jobs: u64, tries: u64) -> Vec<Row> {
    let count = cells.len();
    let queue: Arc<Mutex<VecDeque<(usize, Cell)>>> =
        Arc::new(Mutex::new(cells.into_iter().enumerate().collect()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        let (queue, setting) = (Arc::clone(&queue), setting.clone());
        tasks.spawn(async move {
            let mut rows = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((index, cell)) = next else { return rows };
                let row = judge(&setting, &cell, tries).await;
                eprintln!("[{}/{count}] {}", index + 1, row.sentence());
                rows.push((index, row));
            }
        });
    }
    let mut rows = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        rows.extend(done.expect("cells do not panic"));
    }
    rows.into_values().collect()
}

async fn judge(setting: &Setting, cell: &Cell, tries: u64) -> Row {
    let mut row = Row {
        fault: cell.fault,
        step: cell.step,
        green: false,
        stall_ms_p99: 0,
        recovery_s: None,
        control: cell.guard(setting.store),
        control_failed: false,
        control_tries: 0,
        control_noticed: None,
        seconds: 0.0,
        violations: Vec::new(),
    };
    match setting.run(cell, None).await {
        Ok(Outcome { violations, stall_ms_p99, recovery_s, seconds, .. }) => {
            row.green = violations.is_empty();
            (row.stall_ms_p99, row.recovery_s, row.seconds) = (stall_ms_p99, recovery_s, seconds);
            row.violations = violations;
        }
        Err(error) => row.violations = vec![format!("not judged: {error}")],
    }
    while !row.control_failed && row.control_tries < tries {
        row.control_tries += 1;
        // Each try begins elsewhere, so that the fault meets other inputs.
        let setting = Setting { seed: setting.seed + row.control_tries - 1, keep: false, ..setting.clone() };
        match setting.run(cell, Some(row.control)).await {
            Ok(outcome) => {
                row.control_failed = !outcome.violations.is_empty();
                row.control_noticed = outcome.violations.into_iter().next();
                row.seconds += outcome.seconds;
            }
            // A world that does not even come up has noticed nothing.
            Err(error) => eprintln!("control of {}: {error}", cell.name()),
        }
    }
    row
}

impl Row {
    fn sentence(&self) -> String {
        let green = if self.green { "green" } else { "BROKEN" };
        let caught = if self.control_failed { "caught" } else { "NOT CAUGHT" };
        let mut sentence = format!(
            "{}/{} {green}, stall {} ms, recovery {:.2} s; without {} {caught} in {} tries ({}); {:.0} s",
            self.fault.name(),
            self.step.name(),
            self.stall_ms_p99,
            self.recovery_s.unwrap_or(f64::NAN),
            self.control,
            self.control_tries,
            self.control_noticed.as_deref().unwrap_or("nothing noticed"),
            self.seconds,
        );
        for violation in &self.violations {
            let _ = write!(sentence, "\n    {violation}");
        }
        sentence
    }
}

impl Matrix {
    /// All rows of one run.
    pub const fn new(rows: Vec<Row>, store: Store, seed: u64) -> Self {
        Self { rows, store, seed }
    }

    /// Everything green, every control caught.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.green && row.control_failed)
    }

    /// The whole of it as one JSON object.
    pub fn json(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "cells": self.rows,
            "green": self.rows.iter().filter(|row| row.green).count(),
            "controls_failed": self.rows.iter().filter(|row| row.control_failed).count(),
            "store": self.store.name(),
            "seed": self.seed,
            "machine": { "cores": cores, "kernel": kernel(), "build": "unoptimised, with fail points" },
        })
        .to_string()
    }

    /// A table: faults down, steps across; each place has the stall in milliseconds and the recovery in seconds.
    pub fn markdown(&self) -> String {
        let mut faults: Vec<Fault> = Vec::new();
        for row in &self.rows {
            if !faults.contains(&row.fault) {
                faults.push(row.fault);
            }
        }
        let steps = [Step::S1, Step::S2, Step::S3, Step::S4, Step::S5, Step::S6];
        let mut text =
            String::from("| fault | S1 | S2 | S3 | S4 | S5 | S6 |\n|---|---|---|---|---|---|---|\n");
        for fault in faults {
            let _ = write!(text, "| {} |", fault.name());
            for step in steps {
                let row = self.rows.iter().find(|row| (row.fault, row.step) == (fault, step));
                let _ = match row {
                    None => write!(text, " |"),
                    Some(row) => {
                        let green = if row.green { "" } else { "broken, " };
                        let caught = if row.control_failed { "" } else { ", control not caught" };
                        let recovery =
                            row.recovery_s.map_or("never".to_owned(), |time| format!("{time:.1} s"));
                        write!(text, " {green}{} ms, {recovery}{caught} |", row.stall_ms_p99)
                    }
                };
            }
            text.push('\n');
        }
        text
    }
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}
