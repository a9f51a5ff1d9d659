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
        |worker| director.workers().find(|(id, _)| id.0 == worker).map(|(_, worker)| worker.state.name());
    assert_eq!((of(7), of(8)), (Some("draining"), Some("placing")));

    ready.push((110, Input::Placed(placement(2, 8, 2))));
    let director = check("served again", 0, &ready, &placed);
    let took: Vec<_> = director.took().map(|took| (took.region, took.why, took.took)).collect();
    assert_eq!(took, [(RegionId(2), Why::Lost, ms(20))]);
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
