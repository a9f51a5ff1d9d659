//! Workers that do whatever they may, and what holds all the same.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What the world outside may do next in the property test.
#[derive(Debug, Clone)]
enum Step {
    Ensure(u16),
    Obey,
    Refuse,
    Crash(usize),
    Unlink(usize),
    Silence(u16),
    Idle(u16),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u16..4).prop_map(Step::Ensure),
        Just(Step::Obey),
        Just(Step::Obey),
        Just(Step::Refuse),
        (0_usize..4).prop_map(Step::Crash),
        (0_usize..4).prop_map(Step::Unlink),
        (0_u16..4).prop_map(Step::Silence),
        (0_u16..4).prop_map(Step::Idle),
        (1_u64..4_000).prop_map(Step::Wait),
    ]
}

/// A scripted outside: processes that obey, refuse, crash and lose their links.
#[derive(Default)]
struct Outside {
    todo: std::collections::VecDeque<Output>,
    alive: BTreeSet<u32>,
    next_pid: u32,
    leases: u64,
    evictable: BTreeSet<WorkerId>,
    taken: BTreeMap<RegionId, WorkerId>,
}

impl Outside {
    fn push(&mut self, outputs: Vec<Output>, max_workers: usize) -> Result<(), TestCaseError> {
        for output in outputs {
            match &output {
                Output::Spawn => prop_assert!(self.alive.len() < max_workers, "too many processes"),
                Output::Evict { worker, .. } => {
                    prop_assert!(self.evictable.contains(worker), "evicted a worker that is heard");
                }
                // Its link has been gone for so long that nobody hears it.
                Output::Kill { pid, .. } => {
                    self.evictable.insert(WorkerId(u64::from(*pid)));
                }
                Output::Place { worker, region, .. } => {
                    let other = self.taken.get(region).filter(|&w| w != worker);
                    let lives = other.is_some_and(|w| self.alive.contains(&(w.0 as u32)));
                    prop_assert!(!lives, "{region} placed twice");
                }
                _ => {}
            }
            if output == Output::Spawn {
                // Counted at once, so that the bound above sees processes in the making.
                self.next_pid += 1;
                self.alive.insert(self.next_pid);
            }
            self.todo.push_back(output);
        }
        Ok(())
    }

    /// Does the next thing the director asked for; answers with what happened.
    fn obey(&mut self, refuse: bool, spawned: &mut u32) -> Vec<Input> {
        match self.todo.pop_front() {
            Some(Output::Spawn) => {
                *spawned += 1;
                let pid = *spawned;
                let mut inputs = vec![Input::Spawned { pid }];
                if self.alive.contains(&pid) {
                    inputs.push(registered(u64::from(pid), None));
                } else {
                    inputs.push(Input::Exited { pid });
                }
                inputs
            }
            Some(Output::Kill { pid, .. }) => self.crash(pid),
            Some(Output::Place { worker, region, .. }) if self.alive.contains(&(worker.0 as u32)) => {
                if refuse {
                    return vec![Input::NotPlaced { worker, region }];
                }
                self.leases += 1;
                self.taken.insert(region, worker);
                vec![Input::Placed(placement(region.0, worker.0, self.leases))]
            }
            Some(Output::Retire { worker, region, exit }) if self.alive.contains(&(worker.0 as u32)) => {
                let mut inputs: Vec<_> =
                    region.map(|region| Input::Retired { worker, region }).into_iter().collect();
                if let Some(region) = region {
                    self.taken.remove(&region);
                }
                if exit {
                    inputs.extend(self.crash(worker.0 as u32));
                }
                inputs
            }
            Some(Output::Evict { region, worker }) => {
                self.taken.retain(|&r, &mut w| r != region || w != worker);
                vec![Input::Evicted(region)]
            }
            _ => Vec::new(),
        }
    }

    fn crash(&mut self, pid: u32) -> Vec<Input> {
        if !self.alive.remove(&pid) {
            return Vec::new();
        }
        self.evictable.insert(WorkerId(u64::from(pid)));
        vec![Input::Exited { pid }]
    }
}

proptest! {
    /// However workers refuse, crash, hang and lose their links, no region is with two workers that count,
    /// no worker that is heard is evicted, the number of processes keeps to its bound, and once the trouble
    /// ends every region that is wanted is served.
    #[test]
    fn safe_always_and_live_in_the_end(steps in prop::collection::vec(any_step(), 0..60)) {
        let settings = settings(1);
        let mut director = Director::new(settings, &map());
        let mut outside = Outside::default();
        let (mut now, mut spawned) = (0_u64, 0_u32);
        outside.push(handle(&mut director, now, Input::Lease(true)), settings.max_workers)?;
        let feed = |director: &mut Director, outside: &mut Outside, now: u64, inputs: Vec<Input>| {
            for input in inputs {
                outside.push(handle(director, now, input), settings.max_workers)?;
            }
            Ok::<(), TestCaseError>(())
        };
        for step in steps {
            now += 1;
            let inputs = match step {
                Step::Ensure(region) => vec![ensure(region, Why::Player)],
                Step::Obey => outside.obey(false, &mut spawned),
                Step::Refuse => outside.obey(true, &mut spawned),
                Step::Crash(n) => match director.workers().nth(n).and_then(|(_, w)| w.pid) {
                    Some(pid) => outside.crash(pid),
                    None => Vec::new(),
                },
                Step::Unlink(n) => {
                    director.workers().nth(n).map(|(&id, _)| Input::LinkLost(id)).into_iter().collect()
                }
                Step::Silence(region) => {
                    let held = director.region(RegionId(region)).and_then(|region| region.placement());
                    let silent = held.map(|held| {
                        outside.evictable.insert(held.worker);
                        silent(region, held.lease.count(), Accuser::Edge, 2_000)
                    });
                    silent.into_iter().collect()
                }
                Step::Idle(region) => vec![Input::Summary { region: RegionId(region), idle: true }],
                Step::Wait(ms) => {
                    now += ms;
                    vec![Input::Timeout]
                }
            };
            feed(&mut director, &mut outside, now, inputs)?;
        }
        // The trouble ends: the outside obeys, and time goes from deadline to deadline.
        for _ in 0..200 {
            for region in 0..3 {
                feed(&mut director, &mut outside, now, vec![ensure(region, Why::Player)])?;
            }
            while !outside.todo.is_empty() {
                let inputs = outside.obey(false, &mut spawned);
                feed(&mut director, &mut outside, now, inputs)?;
            }
            now += 200;
            feed(&mut director, &mut outside, now, vec![Input::Timeout])?;
        }
        for region in 0..3 {
            prop_assert!(
                director.region(RegionId(region)).is_some_and(|r| r.placement().is_some()),
                "{region} is {:?}", director.region(RegionId(region)),
            );
        }
    }
}
