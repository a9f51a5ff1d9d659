use horizon_model::{Epoch, GridMap};

use super::*;

mod elsewhere;
mod evacuation;
mod following;
mod lives;
mod pools;
mod property;

const GRACE: Duration = Duration::from_secs(3);

fn map() -> RegionMap {
    let grid = GridMap::new([0.0, 0.0], 200.0, 2, 2).expect("on the lattice");
    RegionMap { map_epoch: 1, grid }
}

fn settings(warm_workers: usize) -> Settings {
    let place_within = Duration::from_secs(5);
    Settings {
        warm_workers,
        grow_above: 1.0,
        shrink_below: 0.0,
        max_workers: 4,
        starts_workers: true,
        max_lifetime: None,
        replace_at: 0.9,
        grace: GRACE,
        place_within,
        settle: Duration::ZERO,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn placement(region: u16, worker: u64, lease: u64) -> Placement {
    Placement {
        region: RegionId(region),
        worker: WorkerId(worker),
        lease: Epoch::new(1, lease),
        endpoint: format!("127.0.0.1:{worker}"),
    }
}

fn registered(worker: u64, serving: Option<Placement>) -> Input {
    let endpoint = format!("127.0.0.1:{worker}");
    Input::Registered {
        worker: WorkerId(worker),
        pid: Some(worker as u32),
        endpoint,
        bounds: None,
        serving,
        in_step: true,
    }
}

fn ensure(region: u16, why: Why) -> Input {
    Input::Ensure { region: RegionId(region), why }
}

fn place(worker: u64, region: u16, why: Why) -> Output {
    Output::Place { worker: WorkerId(worker), region: RegionId(region), why }
}

/// What it says to do, without the reasons.
fn handle(director: &mut Director, at: u64, input: Input) -> Vec<Output> {
    director.handle(ms(at), input).into_iter().map(|decision| decision.output).collect()
}

/// Feeds `steps` and compares every output but the announcements.
#[track_caller]
fn check(what: &str, warm: usize, steps: &[(u64, Input)], expected: &[Output]) -> Director {
    check_with(what, settings(warm), steps, expected)
}

#[track_caller]
fn check_with(what: &str, settings: Settings, steps: &[(u64, Input)], expected: &[Output]) -> Director {
    let mut director = Director::new(settings, &map());
    let mut seen = Vec::new();
    for (at, input) in steps {
        let outputs = handle(&mut director, *at, input.clone());
        seen.extend(outputs.into_iter().filter(|output| !matches!(output, Output::Announce(_))));
    }
    assert_eq!(seen, expected, "{what}");
    director
}

const LEAD: (u64, Input) = (0, Input::Lease(true));

#[test]
fn placing() {
    check("nobody acts without the director lease", 1, &[(0, ensure(0, Why::Player))], &[]);
    check("a region that nobody needs costs nothing", 0, &[LEAD], &[]);
    check(
        "a warm worker is kept",
        1,
        &[LEAD, (1, Input::Spawned { pid: 7 }), (2, Input::Timeout)],
        &[Output::Spawn],
    );
    check(
        "spawn, then place",
        0,
        &[LEAD, (1, ensure(2, Why::Player)), (1, Input::Spawned { pid: 7 }), (9, registered(7, None))],
        &[Output::Spawn, place(7, 2, Why::Player)],
    );
    check(
        "players before predictions",
        0,
        &[LEAD, (1, ensure(0, Why::Prediction)), (2, ensure(1, Why::Player)), (9, registered(7, None))],
        &[Output::Spawn, Output::Spawn, place(7, 1, Why::Player)],
    );
    let director = check(
        "a region that is served is left alone, and a prediction is counted once",
        0,
        &[
            LEAD,
            (1, registered(7, None)),
            (2, ensure(2, Why::Prediction)),
            (3, ensure(2, Why::Player)),
            (9, Input::Placed(placement(2, 7, 1))),
            (9, ensure(2, Why::Prediction)),
            (9, Input::Placed(placement(2, 7, 1))),
        ],
        &[place(7, 2, Why::Prediction)],
    );
    assert_eq!(director.spawned_by_prediction(), 1);
    assert_eq!(director.placements(), [placement(2, 7, 1)]);
}

#[test]
fn failures_pause_and_then_try_again() {
    let refused = Input::NotPlaced { worker: WorkerId(7), region: RegionId(2) };
    let steps =
        [LEAD, (1, registered(7, None)), (2, ensure(2, Why::Player)), (3, refused), (50, Input::Timeout)];
    let mut director = check("pause", 0, &steps, &[place(7, 2, Why::Player)]);
    assert_eq!(director.next_timeout().expect("a pause").0, ms(103));
    assert_eq!(handle(&mut director, 103, Input::Timeout), [place(7, 2, Why::Player)]);
}

#[test]
fn a_dead_worker_is_evicted_before_its_region_is_placed_again() {
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    let busy = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(8, None)),
        (2, Input::Exited { pid: 7 }),
        (3, ensure(2, Why::Player)),
        (4, Input::Evicted(RegionId(2))),
    ];
    check(
        "busy",
        0,
        &busy,
        &[evict.clone(), place(8, 2, Why::Player)].map(|o| match o {
            Output::Place { worker, region, .. } => Output::Place { worker, region, why: Why::Lost },
            other => other,
        }),
    );
    let mut idle = busy.to_vec();
    idle[4] = (1, Input::Timeout);
    idle.insert(3, (1, Input::Summary { region: RegionId(2), idle: true }));
    check("idle and not needed", 0, &idle, &[evict]);
}

#[test]
fn a_worker_without_a_link_is_ended_only_after_a_while() {
    let lost = (5, Input::LinkLost(WorkerId(7)));
    let base = [LEAD, (1, registered(7, Some(placement(2, 7, 1)))), lost];
    let kill = Output::Kill { pid: 7, missed: "return of its link" };
    let mut back = base.to_vec();
    back.extend([(500, registered(7, Some(placement(2, 7, 1)))), (1_005, Input::Timeout)]);
    check("it came back", 0, &back, &[]);
    let mut gone = base.to_vec();
    gone.push((1_005, Input::Timeout));
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    check("it did not, and its process may be out of reach", 0, &gone, &[kill, evict]);
    let retire = Output::Retire { worker: WorkerId(7), region: Some(RegionId(2)), exit: true };
    let ending =
        [base[0].clone(), base[1].clone(), (4, Input::Shutdown), base[2].clone(), (1_005, Input::Timeout)];
    check("it ends, and closed its link for that", 0, &ending, &[retire]);
}

#[test]
fn idle_regions_retire_after_their_grace_unless_somebody_is_expected() {
    let idle = |at| (at, Input::Summary { region: RegionId(2), idle: true });
    let base = [LEAD, (1, registered(7, Some(placement(2, 7, 1)))), idle(10), (3_009, Input::Timeout)];
    let retire = |exit| Output::Retire { worker: WorkerId(7), region: Some(RegionId(2)), exit };
    let mut steps = base.to_vec();
    steps.push((3_010, Input::Timeout));
    check("surplus", 0, &steps, &[retire(true)]);
    check("back to the pool", 1, &steps, &[Output::Spawn, retire(true)]);
    steps.insert(3, (1_000, ensure(2, Why::Prediction)));
    check("expected", 0, &steps, &[]);
    let mut pool = base.to_vec();
    pool[1] = (1, registered(7, Some(placement(2, 7, 1))));
    pool.insert(1, (0, Input::SpawnFailed));
    pool.push((3_010, Input::Timeout));
    pool.push((3_020, Input::Retired { worker: WorkerId(7), region: RegionId(2) }));
    let director = check("nobody else is warm", 0, &pool, &[retire(true)]);
    assert!(director.placements().is_empty());
}

#[test]
fn the_end_of_the_world_waits_for_everybody() {
    let steps = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(8, None)),
        (2, Input::Shutdown),
        (3, Input::Retired { worker: WorkerId(7), region: RegionId(2) }),
        (4, Input::Exited { pid: 7 }),
        (5, Input::Exited { pid: 8 }),
    ];
    let retire = |worker, region: Option<u16>| Output::Retire {
        worker: WorkerId(worker),
        region: region.map(RegionId),
        exit: true,
    };
    check("all go", 0, &steps, &[retire(7, Some(2)), retire(8, None), Output::Finished]);
}

#[test]
fn a_worker_of_another_clock_serves_what_it_has_and_nothing_new() {
    let of_another_clock = |serving| match registered(7, serving) {
        Input::Registered { worker, pid, endpoint, bounds, serving, .. } => {
            Input::Registered { worker, pid, endpoint, bounds, serving, in_step: false }
        }
        other => other,
    };
    let wish = (2, ensure(1, Why::Player));
    let retire = Output::Retire { worker: WorkerId(7), region: None, exit: true };
    let idle = [LEAD, (1, of_another_clock(None)), wish];
    check("idle", 0, &idle, &[retire, Output::Spawn]);
    let director = check("busy", 0, &[LEAD, (1, of_another_clock(Some(placement(2, 7, 1))))], &[]);
    assert_eq!(director.placements(), [placement(2, 7, 1)]);
}

fn silent(region: u16, lease: u64, by: Accuser, silence: u64) -> Input {
    Input::Silent { region: RegionId(region), lease: Epoch::new(1, lease), by, silence: ms(silence) }
}

#[test]
fn a_region_that_nobody_hears_goes_to_another_worker() {
    const EDGE: Accuser = Accuser::Edge;
    let neighbour = |of: u16| Accuser::Neighbour(RegionId(of));
    let evict =
        |region: u16, worker: u64| Output::Evict { region: RegionId(region), worker: WorkerId(worker) };
    let base = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(8, Some(placement(3, 8, 2)))),
        (1, registered(9, None)),
    ];
    let told = |what: &str, more: &[(u64, Input)], expected: &[Output]| {
        let mut steps = base.to_vec();
        steps.extend_from_slice(more);
        check(what, 0, &steps, expected)
    };
    let two = [(600, silent(2, 1, EDGE, 500)), (650, silent(2, 1, neighbour(3), 500))];
    let director = told("the edge and a neighbour", &two, &[evict(2, 7)]);
    assert!(!director.speaks(WorkerId(7)) && director.speaks(WorkerId(8)));
    assert_eq!(director.workers().next().expect("it lives").1.life().name(), "failed");
    told(
        "an edge alone, while a neighbour is heard that says nothing",
        &[(900, silent(2, 1, EDGE, 5_000))],
        &[],
    );
    told("neighbours alone: its players hear it", &[(900, silent(2, 1, neighbour(3), 5_000))], &[]);
    told(
        "words that are old by now",
        &[(600, silent(2, 1, neighbour(3), 500)), (901, silent(2, 1, EDGE, 500))],
        &[],
    );
    told(
        "about an earlier lease",
        &[(600, silent(2, 0, EDGE, 500)), (600, silent(2, 0, neighbour(3), 500))],
        &[],
    );
    let deaf = [(600, silent(2, 1, EDGE, 1_900)), (600, silent(3, 2, EDGE, 1_900))];
    told("an edge that hears nobody doubts itself", &deaf, &[]);
    let deaf = [(600, silent(2, 1, EDGE, 2_000)), (600, silent(3, 2, EDGE, 2_000))];
    told("but not for ever, and as far as workers are ready", &deaf, &[evict(2, 7)]);

    let alone = [base[0].clone(), base[1].clone(), base[3].clone(), (900, silent(2, 1, EDGE, 950))];
    check("no neighbour could say otherwise, yet", 0, &alone, &[]);
    let mut longer = alone.to_vec();
    longer.push((950, silent(2, 1, EDGE, 1_000)));
    check("no neighbour could say otherwise", 0, &longer, &[evict(2, 7)]);
    longer.remove(2);
    check("nobody is ready to take it", 0, &longer, &[]);
    longer.remove(0);
    check("nobody acts without the director lease", 0, &longer, &[]);
}

#[test]
fn who_was_given_up_is_believed_no_more() {
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    let retire = |region: Option<u16>| Output::Retire {
        worker: WorkerId(7),
        region: region.map(RegionId),
        exit: true,
    };
    let base = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(9, None)),
        (900, silent(2, 1, Accuser::Edge, 1_000)),
    ];
    let told = |what: &str, more: &[(u64, Input)], expected: &[Output]| {
        let mut steps = base.to_vec();
        steps.extend_from_slice(more);
        let mut outputs = vec![evict.clone()];
        outputs.extend_from_slice(expected);
        check(what, 0, &steps, &outputs)
    };
    let zombie = registered(7, Some(placement(2, 7, 1)));
    let director = told("it wakes before the lease has ended", &[(950, zombie.clone())], &[retire(Some(2))]);
    assert_eq!(director.placements(), []);
    let said = Input::Placed(placement(2, 7, 1));
    let evicted = (960, Input::Evicted(RegionId(2)));
    told(
        "it says that it serves while another one is asked to",
        &[evicted.clone(), (970, said), (980, zombie)],
        &[place(9, 2, Why::Lost), retire(Some(2))],
    );
    told("it comes back with nothing", &[(950, registered(7, None))], &[retire(None)]);
    let kill = Output::Kill { pid: 7, missed: "its own end" };
    let placed = (990, Input::Placed(placement(2, 9, 2)));
    let late = [evicted.clone(), placed.clone(), (5_899, Input::Timeout), (5_900, Input::Timeout)];
    let director = told("it does not end", &late, &[place(9, 2, Why::Lost), kill]);
    assert_eq!(director.placements(), [placement(2, 9, 2)]);
    let ended = [evicted, placed, (2_000, Input::Exited { pid: 7 }), (9_000, Input::Timeout)];
    told("it ends", &ended, &[place(9, 2, Why::Lost)]);
}
