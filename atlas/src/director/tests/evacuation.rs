//! An operator wants another worker for a region.

use super::*;

#[test]
fn a_region_goes_on_elsewhere_once_somebody_is_ready() {
    let relieve = Output::Relieve { worker: WorkerId(7), region: RegionId(2) };
    let base = [LEAD, (1, registered(7, Some(placement(2, 7, 1)))), (2, Input::Evacuate(RegionId(2)))];
    check("nobody is ready: one is started first", 0, &base, &[Output::Spawn]);

    let mut ready = base.to_vec();
    ready.extend([(3, Input::Spawned { pid: 8 }), (4, registered(8, None))]);
    let expected = [Output::Spawn, relieve];
    check("whoever is ready is waited for", 0, &ready, &expected);

    ready.push((90, Input::Retired { worker: WorkerId(7), region: RegionId(2) }));
    let mut placed = expected.to_vec();
    placed.push(place(8, 2, Why::Lost));
    let director = check("it is given back, and placed at once", 0, &ready, &placed);
    let of =
        |worker| director.workers().find(|(id, _)| id.0 == worker).map(|(_, worker)| worker.life().name());
    assert_eq!((of(7), of(8)), (Some("draining"), Some("placed")));

    ready.push((110, Input::Placed(placement(2, 8, 2))));
    let director = check("served again", 0, &ready, &placed);
    let took: Vec<_> = director.took().map(|took| (took.region, took.why, took.took)).collect();
    assert_eq!(took, [(RegionId(2), Why::Lost, ms(20))]);
}

#[test]
fn old_workers_are_replaced_one_at_a_time() {
    let settings = Settings { max_lifetime: Some(ms(1_000)), replace_at: 1.0, ..settings(0) };
    let steps = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (5, registered(9, Some(placement(1, 9, 1)))),
        (500, registered(7, Some(placement(2, 7, 1)))),
        (600, registered(8, None)),
        (1_000, Input::Timeout),
        (1_001, Input::Timeout),
        (1_006, Input::Timeout),
        (1_010, Input::Retired { worker: WorkerId(7), region: RegionId(2) }),
        (1_020, Input::Placed(placement(2, 8, 2))),
    ];
    let relieve = Output::Relieve { worker: WorkerId(7), region: RegionId(2) };
    let expected = [relieve, place(8, 2, Why::Lost), Output::Spawn];
    check_with("the oldest first, by its first registration", settings, &steps, &expected);
}

#[test]
fn two_evacuations_need_two_workers() {
    let base = [
        LEAD,
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(9, Some(placement(1, 9, 1)))),
        (2, registered(8, None)),
        (3, Input::Evacuate(RegionId(2))),
        (3, Input::Evacuate(RegionId(1))),
    ];
    let relieve = |worker, region| Output::Relieve { worker: WorkerId(worker), region: RegionId(region) };
    check("one at a time", 0, &base, &[relieve(7, 2), Output::Spawn]);
    let mut both = base.to_vec();
    both.extend([(4, Input::Spawned { pid: 6 }), (5, registered(6, None))]);
    check("both", 0, &both, &[relieve(7, 2), Output::Spawn, relieve(9, 1)]);
}

#[test]
fn evacuations_that_come_to_nothing() {
    let served = [LEAD, (1, registered(7, Some(placement(2, 7, 1)))), (1, registered(8, None))];
    let ask = (2, Input::Evacuate(RegionId(2)));
    let relieve = Output::Relieve { worker: WorkerId(7), region: RegionId(2) };
    check("nobody serves it", 0, &[LEAD, (1, registered(8, None)), ask.clone()], &[]);

    let mut unlinked = served.to_vec();
    unlinked.extend([(2, Input::LinkLost(WorkerId(7))), ask.clone()]);
    check("its worker does not hear", 0, &unlinked, &[Output::Spawn]);

    let mut dies = served.to_vec();
    dies.extend([ask, (3, Input::Exited { pid: 7 }), (4, Input::Evicted(RegionId(2)))]);
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    let expected = [relieve, evict, place(8, 2, Why::Lost)];
    check("its worker ends on the way: as after any crash", 0, &dies, &expected);
}
