//! The verdict on one cell: whether everybody plays on, and what accounts, purses, owners, logs and the history say.

use std::time::Duration;

use horizon_history::{Event, History, ViewRules, Who};
use horizon_model::Tick;
use tokio::time::{Instant, sleep};

use super::{PLAYED_ON, Run, TICK_NS};
use crate::player::{Player, Seen, monotonic_ns};
use crate::purse::TOKENS;

impl Run {
    /// Waits until everybody acts and crosses again.
    pub(super) async fn plays_on(&self, violations: &mut Vec<String>) {
        let within = self.patience();
        let deadline = Instant::now() + within;
        let left = || deadline.saturating_duration_since(Instant::now());
        let healed: Vec<_> = self.players.iter().map(Player::seen).collect();
        for (k, (player, healed)) in self.players.iter().zip(&healed).enumerate() {
            // The last two walk.
            let crosses = k >= 2;
            let holds = |seen: &Seen| {
                seen.applied > healed.sent + PLAYED_ON && (!crosses || seen.epoch > healed.epoch)
            };
            if !player.until(left(), holds).await {
                let seen = player.seen();
                violations.push(format!(
                    "I8: {} does not play on within {} s: input {} of {} applied, {} durable, epoch {} then {}{}",
                    player.id,
                    within.as_secs(),
                    seen.applied,
                    seen.sent,
                    seen.durable,
                    healed.epoch,
                    seen.epoch,
                    seen.ended.map_or(String::new(), |why| format!(", ended: {why}")),
                ));
            }
        }
    }

    /// What everybody has, once every gift has arrived: all were made before, and nobody gives any more.
    async fn look_into_purses(&self, violations: &mut Vec<String>) {
        let minted = self.players.len() * TOKENS as usize;
        let deadline = Instant::now() + self.patience();
        let found = loop {
            let before: Vec<u32> = self.players.iter().map(|player| player.seen().inventories).collect();
            self.players.iter().for_each(Player::inventory);
            let mut found = Vec::new();
            for (player, before) in self.players.iter().zip(before) {
                if !player.until(self.patience(), |seen| seen.inventories > before).await {
                    violations.push(format!("I5: {}: nobody says what is in its purse", player.id));
                    return;
                }
                let with = Who::Player(player.id);
                found.extend(player.seen().tokens.into_iter().map(|token| Event::Found { token, with }));
            }
            if found.len() >= minted || Instant::now() > deadline {
                break found;
            }
            sleep(Duration::from_millis(100)).await;
        };
        found.into_iter().for_each(|event| self.world.notes.note(monotonic_ns(), event));
    }

    /// Accounts, purses, owners, sockets, logs, and the history.
    pub(super) async fn judge(&self, violations: &mut Vec<String>) {
        let within = self.patience();
        self.players.iter().for_each(Player::stand);
        for player in &self.players {
            // All that was sent is durable, and then the report on it.
            if !player.until(within, |seen| seen.durable >= seen.sent).await {
                let seen = player.seen();
                violations
                    .push(format!("I3: {}: {} of {} inputs are durable", player.id, seen.durable, seen.sent));
            }
        }
        self.look_into_purses(violations).await;
        for player in &self.players {
            // Whoever has lost inputs is found out already, and not waited for again.
            if !player.until(Duration::from_secs(2), |seen| seen.durable >= seen.sent).await {
                continue;
            }
            player.report();
            if !player.until(within, |seen| seen.reports > 0 && seen.reported == seen.sent).await {
                violations.push(format!("I4: {}: the ledger does not report", player.id));
            }
        }
        let expected = self.players.len() as u64;
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut found = self.world.players().await;
        while found != Some(expected) && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
            found = self.world.players().await;
        }
        if found != Some(expected) {
            violations.push(format!("I8: {expected} players are in {found:?} places"));
        }
        for player in &self.players {
            let seen = player.seen();
            if let Some(why) = seen.ended {
                violations.push(format!("{} was put out of the world: {why}", player.id));
            }
            if !self.cell.may_disconnect() && !seen.disconnects.is_empty() {
                violations.push(format!("{} lost its socket: {:?}", player.id, seen.disconnects));
            }
            if seen.anew > 0 {
                violations.push(format!("{} had to begin a new session", player.id));
            }
        }
        let expected = self.cell.expected_error();
        let errors = self.world.errors();
        let unexpected = errors.into_iter().filter(|line| !expected.is_some_and(|part| line.contains(part)));
        violations.extend(unexpected.map(|line| format!("an error was logged: {line}")));
        let mut history = History::new(ViewRules::default());
        let events = self.world.notes.sorted();
        let first = events.first().map_or(0, |(ns, _)| *ns);
        let mut last = Tick(0);
        for (ns, mut event) in events {
            last = Tick((ns - first) / TICK_NS);
            if let Event::Resynced { crashed, .. } = &mut event {
                *crashed = self.cell.may_resync();
            }
            history.observe(last, &event);
        }
        for (player, (epoch, worker, region)) in self.world.line.owners() {
            history.observe(last, &Event::Owns { who: Who::Player(player), worker, region, epoch });
        }
        let report = history.finish();
        let total = report.total();
        violations.extend(
            report
                .violations
                .iter()
                .take(5)
                .map(|found| format!("{}: {}", found.invariant.name(), found.sentence)),
        );
        if total > 5 {
            violations.push(format!("and {} more", total - 5));
        }
    }
}
