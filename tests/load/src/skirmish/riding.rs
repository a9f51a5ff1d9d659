//! What a company with a vehicle does, and what it is told.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Action, Company, PATIENCE};

/// Metres per second.
const SPEED: f64 = 20.0;
/// Whoever does not see the vehicle yet tries again after this long, and so often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: usize = 100;

impl Company {
    /// Asks the plugin `vehicles` for something, and says what came of it.
    pub(super) async fn ride(&mut self, action: &Action) -> Option<String> {
        match *action {
            Action::Call { by } => {
                let (name, told) = self.say(by, "call", json!({}), |name, _| name == "called").await?;
                self.vehicle = told["vehicle"].clone();
                Some(name)
            }
            Action::Enter { by } => self.enter(by).await,
            Action::Drive { by, to } => {
                let to: Vec<f64> =
                    to.iter().zip(self.middle).map(|(metres, middle)| f64::from(*metres) + middle).collect();
                let there = |value: &Value| (0..2).all(|axis| value["at"][axis] == to[axis]);
                // Others are told of the same arrival, perhaps only when the next trip has begun.
                let answers =
                    |name: &str, value: &Value| name == "refused" || name == "arrived" && there(value);
                let (name, told) =
                    self.say(by, "drive", json!({ "to": to, "speed": SPEED }), answers).await?;
                Some(self.words("drive", &name, &told))
            }
            Action::Ride { by } => {
                let (name, told) = self.say(by, "ride", json!({}), |name, _| name == "ride").await?;
                let sits = !told["vehicle"].is_null();
                let expected: Vec<usize> = self.riding.iter().copied().collect();
                let right = if self.riding.contains(&by) { self.riders(&told) == expected } else { !sits };
                self.groups_split += usize::from(!right);
                Some(self.words("ride", &name, &told))
            }
            Action::Leave { by } => {
                let (name, told) = self.say(by, "leave", json!({}), |name, _| name == "left").await?;
                self.riding.remove(&by);
                Some(self.words("leave", &name, &told))
            }
            _ => None,
        }
    }

    async fn enter(&mut self, by: usize) -> Option<String> {
        let mut looks = 0;
        loop {
            let payload = json!({ "vehicle": self.vehicle, "seat": by });
            let answers = |name: &str, _: &Value| ["entered", "refused"].contains(&name);
            let (name, told) = self.say(by, "enter", payload, answers).await?;
            looks += 1;
            if told["why"] == "there is no such vehicle" && looks < LOOKS {
                sleep(LOOK_AGAIN).await;
                continue;
            }
            if name == "entered" {
                self.riding.insert(by);
            }
            return Some(format!("enter: {name} {}", told["why"]));
        }
    }

    async fn say(
        &mut self,
        by: usize,
        event: &'static str,
        payload: Value,
        answers: impl Fn(&str, &Value) -> bool,
    ) -> Option<(String, Value)> {
        let named = |name: &str, value: &Value| {
            name.strip_prefix("vehicles/").is_some_and(|name| answers(name, value))
        };
        let (name, value) = self.members[by].say("vehicles", event, payload, PATIENCE, named).await?;
        Some((name.trim_start_matches("vehicles/").to_owned(), value))
    }

    /// Where, to half a metre, and with whom. Who is asked on foot walks: where that is depends on when.
    fn words(&self, event: &str, name: &str, told: &Value) -> String {
        let place = [0, 1].map(|axis| (told["at"][axis].as_f64().unwrap_or(f64::NAN) * 2.0).round() / 2.0);
        let sits = !told["vehicle"].is_null();
        let place = (sits || event != "ride").then_some(place);
        format!("{event}: {name} {sits} {place:?} {:?} {}", self.riders(told), told["why"])
    }

    /// The members among those who sit on it, as an answer names them.
    fn riders(&self, told: &Value) -> Vec<usize> {
        let named = |member: &super::Member| {
            let player = member.player().to_string();
            told["riders"].as_array().is_some_and(|all| all.iter().any(|rider| *rider == player))
        };
        (0..self.members.len()).filter(|member| named(&self.members[*member])).collect()
    }
}
