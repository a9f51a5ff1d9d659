//! Workers that somebody else starts, and whose processes are out of reach.

use super::*;

fn elsewhere(worker: u64, serving: Option<Placement>) -> Input {
    match registered(worker, serving) {
        Input::Registered { worker, endpoint, bounds, serving, in_step, .. } => {
            Input::Registered { worker, pid: None, endpoint, bounds, serving, in_step }
        }
        other => other,
    }
}

fn not_started_here() -> Settings {
    Settings { starts_workers: false, ..settings(2) }
}

#[test]
fn nobody_is_started_and_whoever_has_retired_stays() {
    let wanted = [LEAD, (1, ensure(2, Why::Player)), (2, Input::Timeout)];
    let director = check_with("a region waits for a worker", not_started_here(), &wanted, &[]);
    assert_eq!(director.region(RegionId(2)).map(|region| region.state.name()), Some("wanted"));

    let mut steps = wanted.to_vec();
    steps.extend([
        (3, elsewhere(7, None)),
        (4, Input::Placed(placement(2, 7, 1))),
        (5, elsewhere(8, None)),
        (6, elsewhere(9, None)),
        (10, Input::Summary { region: RegionId(2), idle: true }),
        (10_000, Input::Timeout),
    ]);
    let retire = Output::Retire { worker: WorkerId(7), region: Some(RegionId(2)), exit: false };
    check_with("it retires and stays", not_started_here(), &steps, &[place(7, 2, Why::Player), retire]);
}

#[test]
fn a_worker_with_bounds_gets_what_lies_within() {
    let bounded = |worker, of| match elsewhere(worker, None) {
        Input::Registered { worker, pid, endpoint, serving, in_step, .. } => {
            Input::Registered { worker, pid, endpoint, bounds: Some(of), serving, in_step }
        }
        other => other,
    };
    // Region 1 lies from (200, 0) to (400, 200).
    let steps = [
        LEAD,
        (1, bounded(7, [200.0, 0.0, 400.0, 200.0])),
        (2, ensure(0, Why::Player)),
        (3, elsewhere(6, None)),
        (4, elsewhere(5, None)),
        (5, ensure(1, Why::Player)),
    ];
    let expected = [place(6, 0, Why::Player), place(7, 1, Why::Player)];
    check_with("the one that can do nothing else goes first", not_started_here(), &steps, &expected);
}

#[test]
fn whoever_cannot_be_ended_is_forgotten() {
    let forget = |missed| Output::Forget { worker: WorkerId(7), missed };
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    let lost = [
        LEAD,
        (1, elsewhere(7, Some(placement(2, 7, 1)))),
        (1, elsewhere(8, None)),
        (5, Input::LinkLost(WorkerId(7))),
        (1_005, Input::Timeout),
        (1_010, Input::Evicted(RegionId(2))),
    ];
    let expected = [forget("return of its link"), evict.clone(), place(8, 2, Why::Lost)];
    let director = check_with("its link is gone", not_started_here(), &lost, &expected);
    assert_eq!(director.workers().count(), 1);

    let mut back = lost.to_vec();
    back.push((1_100, elsewhere(7, Some(placement(2, 7, 1)))));
    let retire = Output::Retire { worker: WorkerId(7), region: Some(RegionId(2)), exit: true };
    let mut outputs = expected.to_vec();
    outputs.push(retire);
    check_with("it lives, and comes back too late", not_started_here(), &back, &outputs);

    let stuck = [
        LEAD,
        (1, elsewhere(7, None)),
        (2, ensure(2, Why::Player)),
        (3, elsewhere(8, None)),
        (5_002, Input::Timeout),
        (5_010, Input::Evicted(RegionId(2))),
    ];
    let expected =
        [place(7, 2, Why::Player), forget("takeover of its region"), evict, place(8, 2, Why::Lost)];
    check_with("it does not take its region", not_started_here(), &stuck, &expected);
}
