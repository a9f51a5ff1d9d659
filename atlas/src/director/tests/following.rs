//! An edge that does not direct learns from leases alone, and takes over.

use super::*;

#[test]
fn who_follows_ends_nobody_and_goes_on_with_what_it_knows() {
    let kill = Output::Kill { pid: 7, missed: "return of its link" };
    let base = [
        (1, registered(7, Some(placement(2, 7, 1)))),
        (1, registered(8, None)),
        (2, ensure(0, Why::Player)),
        (5, Input::LinkLost(WorkerId(7))),
        (9_000, Input::Timeout),
    ];
    let director = check("somebody else directs", 1, &base, &[]);
    assert_eq!(director.placements(), [placement(2, 7, 1)]);
    assert_eq!(director.next_timeout(), None, "nothing to wait for");

    let mut takes_over = base.to_vec();
    takes_over.push((9_001, Input::Lease(true)));
    let wanted = [place(8, 0, Why::Player), Output::Spawn];
    check("what was wanted is placed", 1, &takes_over, &wanted[..1]);
    takes_over.push((9_201, Input::Timeout));
    check("the pool is filled up", 1, &takes_over, &wanted);
    takes_over.push((10_000, Input::Timeout));
    check("whoever is missed has its whole time", 1, &takes_over, &wanted);
    takes_over.push((10_001, Input::Timeout));
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    check("and no more", 1, &takes_over, &[wanted[0].clone(), wanted[1].clone(), kill, evict]);

    let mut director = check("told", 0, &base[..2], &[]);
    let told = handle(&mut director, 3, Input::Lease(true));
    assert_eq!(told, [Output::Announce(vec![placement(2, 7, 1)])], "workers hear who serves what");
    assert_eq!(handle(&mut director, 4, Input::Lease(true)), [], "once");
}

#[test]
fn a_world_that_stops_is_not_started_again_by_whoever_takes_over() {
    let steps = [
        (1, registered(7, Some(placement(2, 7, 1)))),
        (2, Input::Shutdown),
        (3, Input::Exited { pid: 7 }),
        (4, ensure(1, Why::Player)),
        (9_000, LEAD.1),
    ];
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    check("nobody is spawned", 2, &steps, &[evict, Output::Finished]);
}

#[test]
fn an_older_lease_never_replaces_a_newer_one() {
    let steps =
        [LEAD, (1, registered(7, Some(placement(2, 7, 5)))), (2, registered(8, Some(placement(2, 8, 4))))];
    let retire = Output::Retire { worker: WorkerId(8), region: Some(RegionId(2)), exit: true };
    let director = check("a zombie", 0, &steps, &[retire]);
    assert_eq!(director.placements(), [placement(2, 7, 5)]);
}
