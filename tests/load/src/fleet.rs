//! Who plays where and when: matches on pitches, again and again, and walkers around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horizon_client::{Options, Profile, Trust};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::bot::{self, Route, SpellingChoice};
use crate::runner::Run;
use crate::totals::Totals;
use crate::trace::Match;
use crate::walker::{self, Walker};

/// A stretch between two respawns shorter than this is not worth a connection.
const SHORTEST_STRETCH: Duration = Duration::from_secs(1);
/// Pitches with the same recording start this far apart, so that they are not copies of each other.
const STAGGER: Duration = Duration::from_secs(7);
/// Walkers join one after the other, within the server's default of ten new connections a second.
pub const WALKER_STAGGER: Duration = Duration::from_millis(100);

/// Players who stand join two hundred a second, where the server's limits let them.
const STANDING_STAGGER: Duration = Duration::from_millis(5);

/// Players who stand side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Where the first stands, metres.
    pub first: [f64; 2],
    /// Metres to the next, along y.
    pub metres: f64,
    /// How many.
    pub count: u64,
}

/// What is to be played.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Edges of the world.
    pub urls: Vec<String>,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// How messages are written.
    pub spelling: SpellingChoice,
    /// Recordings, given to the pitches in turn.
    pub matches: Vec<Arc<Match>>,
    /// Centres of the pitches, metres.
    pub pitches: Vec<[f64; 2]>,
    /// One bot per body with announced respawns, instead of one bot per stretch between them.
    pub respawns: bool,
    /// Whether somebody plays the ball.
    pub ball: bool,
    /// Synthetic walkers on top.
    pub walkers: u64,
    /// Runners to and fro over borders, around the pitches in turn.
    pub runners: u64,
    /// Players who stand where they are.
    pub standing: Vec<Line>,
    /// Their pace, metres per second.
    pub pace: f64,
    /// Pause between two of them who join. The server's default admits ten new connections a second.
    pub stagger: Duration,
    /// Begins all names, so that two runs do not share players.
    pub prefix: String,
}

/// Plays until `stop` becomes true, then waits until everybody has left.
pub async fn run(plan: Plan, totals: Arc<Totals>, stop: watch::Receiver<bool>) {
    let fleet = Arc::new(Fleet { plan, totals, stop, joined: AtomicU64::new(0) });
    let mut tasks = JoinSet::new();
    for pitch in 0..fleet.plan.pitches.len() {
        tasks.spawn(Arc::clone(&fleet).play_pitch(pitch));
    }
    tasks.spawn(Arc::clone(&fleet).play_walkers());
    tasks.spawn(Arc::clone(&fleet).play_standing());
    tasks.spawn(Arc::clone(&fleet).play_runners());
    while tasks.join_next().await.is_some() {}
}

struct Fleet {
    plan: Plan,
    totals: Arc<Totals>,
    stop: watch::Receiver<bool>,
    joined: AtomicU64,
}

impl Fleet {
    /// The same match over and over on one pitch; each round has players of its own.
    async fn play_pitch(self: Arc<Self>, pitch: usize) {
        let recording = Arc::clone(&self.plan.matches[pitch % self.plan.matches.len()]);
        let copy = (pitch / self.plan.matches.len()) as u32;
        let mut begin = Instant::now() + STAGGER * copy;
        let mut bots = JoinSet::new();
        let routes = self.routes(&recording, pitch);
        for round in (0_u64..).take_while(|_| !routes.is_empty()) {
            for (number, (at, route)) in routes.iter().cloned().enumerate() {
                if !self.wait_until(begin + at).await {
                    while bots.join_next().await.is_some() {}
                    return;
                }
                let name = format!("{}-{pitch}.{round}.{number}", self.plan.prefix);
                bots.spawn(self.bot(name, route));
                while bots.try_join_next().is_some() {}
            }
            begin += recording.length;
        }
    }

    async fn play_walkers(self: Arc<Self>) {
        let mut bots = JoinSet::new();
        for number in 0..self.plan.walkers {
            let pitches = self.plan.pitches.len() as u64;
            let centre = self.plan.pitches[(number % pitches) as usize];
            let walker = Walker::new(number, walker::home(centre, number / pitches));
            let route = Route::Stroll(walker.with_pace(self.plan.pace));
            bots.spawn(self.bot(format!("{}-w{number}", self.plan.prefix), route));
            if !self.wait_until(Instant::now() + self.plan.stagger).await {
                break;
            }
        }
        while bots.join_next().await.is_some() {}
    }

    async fn play_runners(self: Arc<Self>) {
        let mut bots = JoinSet::new();
        for number in 0..self.plan.runners {
            let pitches = self.plan.pitches.len() as u64;
            let run = Run::new(number / pitches, self.plan.pitches[(number % pitches) as usize]);
            bots.spawn(self.bot(format!("{}-r{number}", self.plan.prefix), Route::Run(run)));
            if !self.wait_until(Instant::now() + self.plan.stagger).await {
                break;
            }
        }
        while bots.join_next().await.is_some() {}
    }

    async fn play_standing(self: Arc<Self>) {
        let mut bots = JoinSet::new();
        let places = self.plan.standing.iter().flat_map(|line| {
            (0..line.count).map(|n| [line.first[0], line.metres.mul_add(n as f64, line.first[1]), 0.0])
        });
        for (number, place) in places.enumerate() {
            bots.spawn(self.bot(format!("{}-s{number}", self.plan.prefix), Route::Stand(place)));
            if !self.wait_until(Instant::now() + STANDING_STAGGER).await {
                break;
            }
        }
        while bots.join_next().await.is_some() {}
    }

    /// What is played on a pitch, in order of the time at which it begins.
    fn routes(&self, recording: &Match, pitch: usize) -> Vec<(Duration, Route)> {
        let centre = self.plan.pitches[pitch];
        let mut routes = Vec::new();
        for track in recording.tracks.iter().filter(|track| track.body != 0 || self.plan.ball) {
            let stretches = if self.plan.respawns { vec![track.clone()] } else { track.split_at_jumps() };
            for stretch in stretches {
                let (Some(first), Some(last)) = (stretch.samples.first(), stretch.samples.last()) else {
                    continue;
                };
                let at = first.at;
                if last.at - at >= SHORTEST_STRETCH {
                    routes.push((at, Route::Recorded { samples: stretch.samples, centre }));
                }
            }
        }
        routes.sort_by_key(|(at, _)| *at);
        routes
    }

    fn bot(&self, name: String, route: Route) -> impl Future<Output = ()> + Send + use<> {
        let number = self.joined.fetch_add(1, Ordering::Relaxed);
        let mut urls = self.plan.urls.clone();
        let edges = urls.len().max(1);
        urls.rotate_left(number as usize % edges);
        let options = Options {
            urls,
            trust: self.plan.trust.clone(),
            profile: Profile { name, token: "guest".to_owned(), spawn: Some(route.start()) },
            spelling: self.plan.spelling.of(number),
            resume_for: Duration::from_secs(30),
        };
        bot::play(options, route, Arc::clone(&self.totals), self.stop.clone())
    }

    /// False where everybody is told to stop before.
    async fn wait_until(&self, due: Instant) -> bool {
        let mut stop = self.stop.clone();
        timeout_at(due, stop.wait_for(|stopped| *stopped)).await.is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn respawns_make_fewer_bots_of_the_same_match() {
        let plan = |respawns, ball| Plan {
            urls: Vec::new(),
            trust: Trust::CaFile("none".into()),
            spelling: SpellingChoice::Mixed,
            matches: vec![Arc::new(Match::sample())],
            pitches: vec![[0.0, 0.0]],
            respawns,
            ball,
            walkers: 0,
            runners: 0,
            standing: Vec::new(),
            pace: walker::PACE,
            stagger: WALKER_STAGGER,
            prefix: "test".to_owned(),
        };
        let count = |respawns, ball| {
            let (_, stop) = watch::channel(false);
            let plan = plan(respawns, ball);
            let recording = Arc::clone(&plan.matches[0]);
            let fleet = Fleet { plan, totals: Arc::default(), stop, joined: AtomicU64::new(0) };
            let routes = fleet.routes(&recording, 0);
            assert!(routes.is_sorted_by_key(|(at, _)| *at));
            routes.len()
        };
        assert_eq!(count(true, true), count(true, false) + 1);
        assert!(count(false, false) > count(true, false));
    }
}
