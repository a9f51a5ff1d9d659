//! Companies who fight, trade, pick coins up and ride around the point where four regions meet, by a script.
//!
//! ```text
//!   script (seeded, pure) ──▶ company ── one action after the other ──▶ member ──▶ horizon-client ──▶ the world
//!                                └─ what each actor was told, in the order of the script ─▶ [`Account`]
//! ```
//!
//! Within a company each action waits until its actor was told what became of the one before, so the script
//! has one right account, however long messages take; companies share nothing. The same seed played in two
//! worlds gives two accounts that can be compared line by line.

mod member;
mod riding;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;
use std::time::Duration;

use horizon_client::{Options, Profile, Spelling, Trust};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use member::{Member, Path, Seen};
pub use script::{Action, Coin, MEMBERS, rides, script};

/// Metres from the middle of a company at which its members walk, and how fast, in metres per second. Any two of
/// them are within the plugin's reach of 30 m, also where a crash takes one of them back by a quarter of a second.
const RADIUS_METRES: f64 = 9.0;
const PACE: f64 = 4.0;
/// Where the outsider stands, from the middle: out of everybody's reach.
const OUTSIDE_METRES: [f64; 2] = [50.0, 50.0];
/// Every second company walks around the corner itself, the others around places on the four borders, so far from it.
const ALONG_METRES: f64 = 40.0;
/// Between two members who join.
const STAGGER: Duration = Duration::from_millis(30);
/// Whoever is told nothing for so long is not told any more: longer than any recovery takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who plays, where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Edges of the world.
    pub urls: Vec<String>,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// Of the scripts.
    pub seed: u64,
    /// Companies, [`MEMBERS`] players and an outsider each.
    pub companies: usize,
    /// Of each company.
    pub actions: usize,
}

/// What came of it all.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Account {
    /// Actions of all companies.
    pub actions: usize,
    /// What the actor of each was told, company by company, in the order of the script.
    pub outcomes: Vec<String>,
    /// Actions of which the actor was never told.
    pub unanswered: usize,
    /// Outcomes that were told again.
    pub told_again: usize,
    /// Every coin in a purse before the first action and after the last, sorted; each as often as it was there.
    pub tokens_before: Vec<u64>,
    /// The same at the end, when none lies on the ground.
    pub tokens_after: Vec<u64>,
    /// Answers to the question who rides with whom in which somebody was missing, or was too many.
    pub groups_split: usize,
    /// Times that a member's region became another one, or another process.
    pub authority_changes: u64,
    /// Crashes that members were told of.
    pub resyncs: u64,
    /// Sockets that broke.
    pub disconnects: u64,
    /// Milliseconds from an action to its outcome: median, 99th of a hundred, longest.
    pub outcome_ms: [u64; 3],
    /// Seconds from the first action to the last outcome.
    pub seconds: f64,
}

/// Plays all scripts to their end.
///
/// # Errors
///
/// A sentence where not everybody could join or say what is in the purse.
pub async fn play(plan: &Plan) -> Result<Account, String> {
    let began = Instant::now();
    let mut companies = Vec::new();
    for number in 0..plan.companies {
        let mut members = Vec::new();
        for place in 0..=MEMBERS {
            members
                .push(tokio::spawn(Member::join(options(plan, number, place), path(number, place, began))));
            sleep(STAGGER).await;
        }
        companies.push(members);
    }
    let mut tasks = JoinSet::new();
    for (number, joining) in companies.into_iter().enumerate() {
        let mut members = Vec::new();
        for member in joining {
            members.push(member.await.map_err(|error| error.to_string())??);
        }
        let mut coins = Vec::new();
        for member in &mut members {
            coins.push(member.purse(PATIENCE).await.ok_or("somebody has no purse to begin with")?);
        }
        let script = script(plan.seed, number, plan.actions);
        let company = Company {
            members,
            middle: middle(number),
            coins,
            objects: BTreeMap::new(),
            next: 0,
            vehicle: serde_json::Value::Null,
            riding: BTreeSet::new(),
            groups_split: 0,
        };
        tasks.spawn(async move { (number, company.play(&script).await) });
    }
    let (started, mut parts) = (Instant::now(), BTreeMap::new());
    while let Some(done) = tasks.join_next().await {
        let (number, part) = done.map_err(|error| error.to_string())?;
        parts.insert(number, part?);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(sum(parts.into_values(), seconds))
}

fn sum(parts: impl Iterator<Item = Part>, seconds: f64) -> Account {
    let mut account = Account { seconds, ..Account::default() };
    let mut took = Vec::new();
    for part in parts {
        account.outcomes.extend(part.outcomes);
        account.unanswered += part.unanswered;
        account.groups_split += part.groups_split;
        account.tokens_before.extend(part.tokens_before);
        account.tokens_after.extend(part.tokens_after);
        took.extend(part.took_ms);
        for seen in part.seen {
            account.told_again += seen.told_again;
            account.authority_changes += seen.authority_changes;
            account.resyncs += seen.resyncs;
            account.disconnects += seen.disconnects;
        }
    }
    account.actions = account.outcomes.len();
    account.tokens_before.sort_unstable();
    account.tokens_after.sort_unstable();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or(0);
    account.outcome_ms = [at(50), at(99), took.last().copied().unwrap_or(0)];
    account
}

/// The middle of a company, in metres.
fn middle(company: usize) -> [f64; 2] {
    let along = [[ALONG_METRES, 0.0], [0.0, ALONG_METRES], [-ALONG_METRES, 0.0], [0.0, -ALONG_METRES]];
    if company.is_multiple_of(2) || rides(company) { [0.0, 0.0] } else { along[company / 2 % along.len()] }
}

fn path(company: usize, place: usize, began: Instant) -> Path {
    let [x, y] = middle(company);
    if rides(company) && place < MEMBERS {
        // Within reach of each other, and each in a region of its own.
        let [dx, dy] = [[-3.5, -3.5], [3.5, -3.5], [-3.5, 3.5], [3.5, 3.5]][place];
        return Path::Stand([x + dx, y + dy]);
    }
    if place == MEMBERS {
        return Path::Stand([x + OUTSIDE_METRES[0], y + OUTSIDE_METRES[1]]);
    }
    let phase = TAU * (place as f64 / MEMBERS as f64 + company as f64 * 0.137);
    Path::Circle { middle: [x, y], radius_metres: RADIUS_METRES, pace: PACE, phase, began }
}

/// Names are the same in every world, and so are the coins that belong to them.
fn options(plan: &Plan, company: usize, place: usize) -> Options {
    let now = Instant::now();
    let [x, y, z] = path(company, place, now).at(now).position.metres();
    Options {
        urls: plan.urls.clone(),
        trust: plan.trust.clone(),
        profile: Profile {
            name: format!("skirmish-{}-{company}-{place}", plan.seed),
            token: "guest".to_owned(),
            spawn: Some([x, y, z]),
        },
        spelling: if (company / 2 + place).is_multiple_of(2) { Spelling::Binary } else { Spelling::Json },
        resume_for: PATIENCE,
    }
}

/// Members, and what the script calls coins.
struct Company {
    members: Vec<Member>,
    coins: Vec<Vec<u64>>,
    middle: [f64; 2],
    /// Coins on the ground.
    objects: BTreeMap<Coin, String>,
    next: u32,
    /// The one that was called.
    vehicle: serde_json::Value,
    /// Members who sit on it, by what they were told.
    riding: BTreeSet<usize>,
    groups_split: usize,
}

/// What came of one company's script.
struct Part {
    outcomes: Vec<String>,
    unanswered: usize,
    tokens_before: Vec<u64>,
    tokens_after: Vec<u64>,
    groups_split: usize,
    took_ms: Vec<u64>,
    seen: Vec<Seen>,
}

impl Company {
    async fn play(mut self, script: &[Action]) -> Result<Part, String> {
        let (mut outcomes, mut took_ms, mut unanswered) = (Vec::new(), Vec::new(), 0);
        for action in script {
            self.next += 1;
            let asked = Instant::now();
            let outcome = match self.fights(action) {
                Some((by, event, payload)) => self.fight(action, by, event, payload).await,
                None => self.ride(action).await,
            };
            if !matches!(action, Action::Drive { .. }) {
                took_ms.push(u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX));
            }
            outcomes.push(outcome.unwrap_or_else(|| {
                warn!(?action, number = self.next, "nobody was told what became of it");
                unanswered += 1;
                format!("{action:?}: unanswered")
            }));
        }
        let mut tokens_after = Vec::new();
        for member in &mut self.members {
            tokens_after.extend(member.purse(PATIENCE).await.ok_or("somebody has no purse at the end")?);
        }
        let mut seen = Vec::new();
        for member in self.members {
            seen.push(member.leave().await);
        }
        let tokens_before = self.coins.into_iter().flatten().collect();
        let groups_split = self.groups_split;
        Ok(Part { outcomes, unanswered, tokens_before, tokens_after, groups_split, took_ms, seen })
    }

    /// Asks the plugin `arena` for something, and says what came of it.
    async fn fight(
        &mut self,
        action: &Action,
        by: usize,
        event: &'static str,
        mut payload: serde_json::Value,
    ) -> Option<String> {
        payload["id"] = self.next.into();
        let outcome = self.members[by].ask(event, payload, self.next, PATIENCE).await?;
        if let (Action::Drop { coin, .. }, Some(object)) = (action, outcome["object"].as_str()) {
            self.objects.insert(*coin, object.to_owned());
        }
        Some(format!("{event}: {} {} {}", outcome["done"], outcome["value"], outcome["why"]))
    }

    /// Who sends what, of what the plugin `arena` decides.
    fn fights(&self, action: &Action) -> Option<(usize, &'static str, serde_json::Value)> {
        let name = |member: usize| self.members[member].player().to_string();
        let number = |(member, coin): Coin| self.coins[member].get(coin).copied().unwrap_or_default();
        Some(match *action {
            Action::Hit { by, target } => (by, "hit", json!({ "target": name(target) })),
            Action::Drop { by, coin } => (by, "drop", json!({ "coin": number(coin) })),
            Action::Pick { by, coin } => {
                let object = self.objects.get(&coin).cloned().unwrap_or_default();
                (by, "pick", json!({ "coin": object }))
            }
            Action::Offer { by, coin, to } => (by, "offer", json!({ "coin": number(coin), "to": name(to) })),
            Action::Trade { by, with, give, want } => {
                let swap = json!({ "with": name(with), "give": number(give), "want": number(want) });
                (by, "trade", swap)
            }
            _ => return None,
        })
    }
}
