//! Sums and percentiles over what atlas reports.

use std::collections::BTreeMap;

use serde_json::Value;

/// Handoffs of one measurement, taken over in pieces.
#[derive(Debug, Default)]
pub(super) struct Handoffs {
    /// Number of the last one seen.
    pub(super) last: u64,
    reports: Vec<Value>,
}

impl Handoffs {
    /// Takes an answer of `/api/handoffs?since=`[`Self::last`].
    pub(super) fn take(&mut self, answer: &Value) {
        self.last = answer["last"].as_u64().unwrap_or(self.last).max(self.last);
        self.reports.extend(answer["handoffs"].as_array().into_iter().flatten().cloned());
    }

    /// How many were of players, and how many of objects.
    pub(super) fn counts(&self) -> (usize, usize) {
        let players = self.reports.iter().filter(|report| is_player(report)).count();
        (players, self.reports.len() - players)
    }

    /// Walking players whose target was not ready.
    pub(super) fn late(&self) -> usize {
        self.walked().filter(|report| report["late"] == true).count()
    }

    /// Jumps of players across a border.
    pub(super) fn teleports(&self) -> usize {
        self.reports.iter().filter(|report| is_player(report) && report["teleport"] == true).count()
    }

    /// `share` (0 to 1) of the walking players had at most this value of `key`; `None` without any.
    pub(super) fn percentile(&self, key: &str, share: f64) -> Option<f64> {
        let mut values: Vec<f64> = self.walked().filter_map(|report| report[key].as_f64()).collect();
        percentile(&mut values, share)
    }

    fn walked(&self) -> impl Iterator<Item = &Value> {
        self.reports.iter().filter(|report| is_player(report) && report["teleport"] == false)
    }
}

fn is_player(report: &Value) -> bool {
    report["key"].as_str().is_some_and(|key| key.starts_with("player "))
}

/// The smallest value that `share` of them do not exceed; `None` of nothing.
pub(super) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// Late steps of all regions: a region that retires takes its counter along, so the highest of every lease
/// is remembered.
#[derive(Debug, Default)]
pub(super) struct Overruns {
    leases: BTreeMap<(String, String), u64>,
    presync: BTreeMap<(String, String), u64>,
}

impl Overruns {
    /// Takes an answer of `/api/status`.
    pub(super) fn take(&mut self, status: &Value) {
        for region in status["regions"].as_array().into_iter().flatten() {
            let text = |key: &str| region[key].as_str().unwrap_or_default().to_owned();
            if let Some(overruns) = region["overruns"].as_u64() {
                let known = self.leases.entry((text("region"), text("lease"))).or_default();
                *known = overruns.max(*known);
            }
            if let Some(bytes) = region["presync_bytes"].as_u64() {
                let known = self.presync.entry((text("region"), text("lease"))).or_default();
                *known = bytes.max(*known);
            }
        }
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        self.leases.values().sum()
    }

    /// Bytes of pre-sync that all of them sent.
    pub(super) fn presync_bytes(&self) -> u64 {
        self.presync.values().sum()
    }

    /// Leases that were seen: how often a region was served anew.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentiles() {
        let of = |share: f64| percentile(&mut [30.0, 10.0, 20.0, 40.0], share);
        assert_eq!([of(0.0), of(0.5), of(0.99), of(1.0)], [Some(10.0), Some(20.0), Some(40.0), Some(40.0)]);
        assert_eq!(percentile(&mut [], 0.5), None);
    }

    #[test]
    fn jumps_and_balls_count_by_themselves() {
        let report = |key: &str, late: bool, teleport: bool, overhang: f64| json!({ "key": key, "late": late, "teleport": teleport, "overhang_m": overhang });
        let mut handoffs = Handoffs::default();
        let reports = [
            report("player 1", true, false, 2.0),
            report("player 2", true, true, 90.0),
            report("object 3", true, false, 7.0),
            report("player 4", false, false, 3.0),
        ];
        handoffs.take(&json!({ "last": 4, "handoffs": reports }));
        assert_eq!((handoffs.last, handoffs.counts()), (4, (3, 1)));
        assert_eq!((handoffs.late(), handoffs.teleports()), (1, 1));
        assert_eq!(handoffs.percentile("overhang_m", 0.99), Some(3.0));
    }

    #[test]
    fn overruns_of_a_retired_region_stay() {
        let status = |lease: &str, overruns: u64| json!({ "regions": [{ "region": "0001", "lease": lease, "overruns": overruns }, { "region": "0002" }] });
        let mut overruns = Overruns::default();
        for (lease, count) in [("1", 2), ("1", 5), ("2", 1)] {
            overruns.take(&status(lease, count));
        }
        assert_eq!((overruns.total(), overruns.leases()), (6, 2));
    }
}
